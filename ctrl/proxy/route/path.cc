#include "ctrl/proxy/route/path.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"

namespace bridgehead::proxy {
namespace {

// -1: none.
int HexDigit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(digit));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

bool IsUnreserved(uint8_t byte) {
  return absl::ascii_isalnum(byte) || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

int EscapedByte(std::string_view rest) {
  if (rest.size() < 3) return -1;
  const int high = HexDigit(rest[1]), low = HexDigit(rest[2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

namespace {

PathError ErrorOfByte(uint8_t byte) {
  if (byte <= ' ' || byte == 0x7f) return PathError::kControl;
  if (byte == '\\') return PathError::kBackslash;
  // Others that RFC 3986 does not list, such as "|" and "[", are sent by browsers as they are.
  return byte >= 0x80 || byte == '?' || byte == '#' ? PathError::kNotInPath : PathError::kNone;
}

// Bytes that stand for themselves wherever they are in a path.
constexpr auto kPlain = [] {
  std::array<bool, 256> plain{};
  for (int byte = '!'; byte < 0x7f; ++byte) plain[static_cast<size_t>(byte)] = true;
  for (const char other : {'%', '\\', '?', '#', '/'}) plain[static_cast<uint8_t>(other)] = false;
  return plain;
}();

// No escapes, and each slash has a segment behind it that is no dot segment, or nothing.
bool IsCanonical(std::string_view raw) {
  for (size_t at = 0; at < raw.size(); ++at) {
    if (kPlain[static_cast<uint8_t>(raw[at])]) continue;
    const char next = at + 1 < raw.size() ? raw[at + 1] : '\0';
    if (raw[at] != '/' || next == '/' || next == '.') return false;
  }
  return true;
}

// RFC 3629 section 4, byte by byte.
class Utf8Reader {
 public:
  // False: no UTF-8 goes on with this byte.
  bool Take(uint8_t byte) {
    if (more_ > 0) {
      if (byte < low_ || byte > high_) return false;
      --more_;
      low_ = 0x80, high_ = 0xbf;
      return true;
    }
    if (byte < 0x80) return true;
    if (byte < 0xc2 || byte > 0xf4) return false;
    more_ = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    low_ = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;   // overlong below
    high_ = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;  // surrogates, or over U+10FFFF
    return true;
  }
  bool within() const { return more_ > 0; }

 private:
  int more_ = 0;
  uint8_t low_ = 0x80, high_ = 0xbf;
};

PathError AppendEscape(std::string_view rest, Utf8Reader& utf8, std::string& out) {
  const int escaped = EscapedByte(rest);
  if (escaped < 0) return PathError::kBadEscape;
  const auto byte = static_cast<uint8_t>(escaped);
  if (byte < ' ' || byte == 0x7f) return PathError::kControl;
  if (byte == '/') return PathError::kEscapedSlash;
  if (byte == '\\') return PathError::kBackslash;
  if (!utf8.Take(byte)) return PathError::kNotUtf8;
  if (IsUnreserved(byte)) {
    out.push_back(static_cast<char>(byte));
  } else {
    for (const char c : rest.substr(0, 3)) {
      out.push_back(absl::ascii_toupper(static_cast<unsigned char>(c)));
    }
  }
  return PathError::kNone;
}

// Of a path without escaped dots. Parameters (RFC 3986 section 3.3) do not count: there are servers
// that take "..;a" for "..".
bool HasDotSegment(std::string_view path) {
  for (size_t slash = path.find("/."); slash != path.npos; slash = path.find("/.", slash + 1)) {
    std::string_view rest = path.substr(slash + 2);
    if (rest.starts_with('.')) rest.remove_prefix(1);
    if (rest.empty() || rest[0] == '/' || rest[0] == ';' || rest.starts_with("%3B")) return true;
  }
  return false;
}

}  // namespace

std::string_view Name(PathError error) {
  switch (error) {
    case PathError::kNone:
      return "none";
    case PathError::kNotAbsolute:
      return "not_absolute";
    case PathError::kTooLong:
      return "too_long";
    case PathError::kControl:
      return "control";
    case PathError::kNotInPath:
      return "not_in_path";
    case PathError::kBackslash:
      return "backslash";
    case PathError::kBadEscape:
      return "bad_escape";
    case PathError::kEscapedSlash:
      return "escaped_slash";
    case PathError::kDotSegment:
      return "dot_segment";
    case PathError::kNotUtf8:
      return "not_utf8";
  }
  return "none";
}

int StatusOf(PathError error) {
  return error == PathError::kTooLong ? 414 : 400;
}

CheckedPath CheckPath(std::string_view raw, std::string& scratch) {
  if (!raw.starts_with('/')) return {PathError::kNotAbsolute, {}};
  if (raw.size() > kMaxPathBytes) return {PathError::kTooLong, {}};
  if (IsCanonical(raw)) return {PathError::kNone, raw};
  scratch.clear();
  Utf8Reader utf8;
  for (size_t at = 0; at < raw.size(); ++at) {
    const char c = raw[at];
    if (c == '%') {
      const PathError error = AppendEscape(raw.substr(at), utf8, scratch);
      if (error != PathError::kNone) return {error, {}};
      at += 2;
      continue;
    }
    const PathError error = ErrorOfByte(static_cast<uint8_t>(c));
    if (error != PathError::kNone) return {error, {}};
    if (utf8.within()) return {PathError::kNotUtf8, {}};
    if (c != '/' || !scratch.ends_with('/')) scratch.push_back(c);
  }
  if (utf8.within()) return {PathError::kNotUtf8, {}};
  if (HasDotSegment(scratch)) return {PathError::kDotSegment, {}};
  return {PathError::kNone, scratch};
}

bool IsQuery(std::string_view query) {
  return std::all_of(query.begin(), query.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte > ' ' && byte < 0x7f && byte != '#';
  });
}

}  // namespace bridgehead::proxy
