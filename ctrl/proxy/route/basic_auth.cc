#include "ctrl/proxy/route/basic_auth.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

// RFC 4648 section 4, with its padding: the library's decoder takes blanks and the like as well.
bool IsBase64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return false;
  for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '+' || c == '/';
  });
}

}  // namespace

std::optional<Credentials> ParseBasic(std::string_view authorization) {
  constexpr std::string_view kScheme = "Basic ";
  constexpr size_t kMaxEncoded = (kMaxCredentialBytes + 2) / 3 * 4;
  const auto scheme = authorization.substr(0, kScheme.size());
  if (!absl::EqualsIgnoreCase({scheme.data(), scheme.size()}, {kScheme.data(), kScheme.size()})) {
    return std::nullopt;
  }
  std::string_view encoded = authorization.substr(kScheme.size());
  encoded.remove_prefix(std::min(encoded.find_first_not_of(' '), encoded.size()));
  std::string text;
  if (encoded.size() > kMaxEncoded || !IsBase64(encoded) ||
      !absl::Base64Unescape({encoded.data(), encoded.size()}, &text)) {
    return std::nullopt;
  }
  const size_t colon = text.find(':');
  if (text.size() > kMaxCredentialBytes || colon == text.npos || colon == 0 ||
      colon > kMaxUserBytes || std::any_of(text.begin(), text.end(), absl::ascii_iscntrl)) {
    return std::nullopt;
  }
  return Credentials{text.substr(0, colon), text.substr(colon + 1)};
}

std::string BasicChallenge(std::string_view realm) {
  std::string quoted;
  for (const char c : realm) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return fmt::format("Basic realm=\"{}\", charset=\"UTF-8\"", quoted);
}

BasicAuthCheck::BasicAuthCheck(std::shared_ptr<const PasswordFile> file, WorkerPool& pool,
                               DeferredCheck::Post post)
    : file_(std::move(file)), check_(pool, std::move(post), kPasswordGoodFor) {}

BasicAuthCheck::Answer BasicAuthCheck::Check(const Credentials& credentials,
                                             const config::Address& source, DeferredCheck::Time now,
                                             DeferredCheck::Done done) {
  // A user has no colon: two different pairs never make one text.
  return check_.Ask(
      fmt::format("{}:{}", credentials.user, credentials.password), source, now,
      [file = file_, credentials] { return file->Verify(credentials.user, credentials.password); },
      std::move(done));
}

}  // namespace bridgehead::proxy
