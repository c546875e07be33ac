#include "ctrl/proxy/http/grammar.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <emmintrin.h>

#include "absl/strings/ascii.h"

namespace bridgehead::proxy {
namespace {

constexpr size_t kMaxHost = 255;  // RFC 1035 section 2.3.4

constexpr bool IsAlphanumeric(int c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

constexpr std::array<bool, 256> AlphanumericAnd(std::string_view others) {
  std::array<bool, 256> chars{};
  for (int c = 0; c < 256; ++c) chars[static_cast<size_t>(c)] = IsAlphanumeric(c);
  for (char c : others) chars[static_cast<uint8_t>(c)] = true;
  return chars;
}

constexpr std::array<bool, 256> VisibleWithout(std::string_view others) {
  std::array<bool, 256> chars{};
  for (size_t c = 0x21; c < 0x7f; ++c) chars[c] = true;
  for (char c : others) chars[static_cast<uint8_t>(c)] = false;
  return chars;
}

constexpr std::array<bool, 256> kHostChars = AlphanumericAnd("-._");
constexpr std::array<bool, 256> kPathChars = VisibleWithout("#\"<>\\?");
constexpr std::array<bool, 256> kQueryChars = VisibleWithout("#\"<>");

bool AllOf(std::string_view text, const std::array<bool, 256>& chars) {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return chars[static_cast<uint8_t>(c)]; });
}

bool IsIpv6(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN] = {};
  in6_addr address;
  if (text.size() >= sizeof(terminated)) return false;
  std::copy(text.begin(), text.end(), terminated);
  return inet_pton(AF_INET6, terminated, &address) == 1 && strlen(terminated) == text.size();
}

}  // namespace

const std::array<bool, 256> kTokenChars = AlphanumericAnd("!#$%&'*+-.^_`|~");
const std::array<bool, 256> kPlainNameChars = AlphanumericAnd("-");

const char* FindControl(const char* begin, const char* end) {
  const __m128i last = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f);
  for (; end - begin >= 16; begin += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last), bytes);
    const int found = _mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(bytes, del)));
    if (found != 0) return begin + __builtin_ctz(static_cast<unsigned>(found));
  }
  return std::find_if(begin, end, [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

bool IsToken(std::string_view text) {
  return !text.empty() && AllOf(text, kTokenChars);
}

bool IsFieldValue(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); (at = FindControl(at, end)) != end; ++at) {
    if (*at != '\t') return false;
  }
  return TrimWhitespace(text).size() == text.size();
}

std::string_view TrimWhitespace(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool TakeElement(std::string_view& list, std::string_view& element) {
  if (list.data() == nullptr) return false;
  const size_t comma = list.find(',');
  element = TrimWhitespace(list.substr(0, comma));
  list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
  return true;
}

bool SameText(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && absl::ascii_tolower(static_cast<unsigned char>(a[i])) !=
                            absl::ascii_tolower(static_cast<unsigned char>(b[i]))) {
      return false;
    }
  }
  return true;
}

bool IsPathAndQuery(std::string_view text) {
  if (!text.starts_with('/')) return false;
  const size_t path_size = std::min(text.find('?'), text.size());
  return AllOf(text.substr(0, path_size), kPathChars) && AllOf(text.substr(path_size), kQueryChars);
}

std::optional<Authority> ParseAuthority(std::string_view text) {
  Authority authority;
  const bool is_literal = text.starts_with('[');
  const size_t host_size = is_literal ? text.find(']') + 1 : std::min(text.find(':'), text.size());
  if (host_size == 0 || host_size > kMaxHost) return std::nullopt;  // npos + 1 is 0
  authority.host = text.substr(0, host_size);
  if (is_literal) {
    if (!IsIpv6(authority.host.substr(1, host_size - 2))) return std::nullopt;
  } else {
    if (!AllOf(authority.host, kHostChars)) return std::nullopt;
    if (authority.host.ends_with('.')) authority.host.remove_suffix(1);
    // A name of dots alone is a path to somewhere else in the hands of whoever makes one of it.
    if (authority.host.empty() || authority.host.starts_with('.')) return std::nullopt;
    if (authority.host.find("..") != text.npos || authority.host.ends_with('.'))
      return std::nullopt;
  }
  text.remove_prefix(host_size);
  if (text.empty()) return authority;
  const char* const end = text.data() + text.size();
  // Not from_chars alone: it takes zeros in front. One port, one way to write it.
  if (text[0] != ':' || text.size() < 2 || text[1] < '1' || text[1] > '9') return std::nullopt;
  const auto [at, error] = std::from_chars(text.data() + 1, end, authority.port);
  if (error != std::errc() || at != end) return std::nullopt;
  return authority;
}

bool IsWebSocketKey(std::string_view text) {
  constexpr size_t kSize = 24;  // 22 letters for 16 bytes, and two of padding
  static constexpr std::array<bool, 256> kLetters = AlphanumericAnd("+/");
  return text.size() == kSize && text.ends_with("==") && AllOf(text.substr(0, kSize - 2), kLetters);
}

}  // namespace bridgehead::proxy
