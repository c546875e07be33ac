#include "ctrl/proxy/route/cookie_token.h"

#include <algorithm>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/ascii.h"

namespace bridgehead::proxy {
namespace {

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

std::optional<std::string_view> FindCookie(std::string_view field, std::string_view name) {
  while (!field.empty()) {
    const size_t end = std::min(field.find(';'), field.size());
    const std::string_view pair = field.substr(0, end);
    field.remove_prefix(std::min(end + 1, field.size()));
    const size_t equals = pair.find('=');
    if (equals == pair.npos || Trim(pair.substr(0, equals)) != name) continue;
    std::string_view value = Trim(pair.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    return value;
  }
  return std::nullopt;
}

bool IsCookieToken(std::string_view text) {
  return text.size() >= kMinTokenBytes && text.size() <= kMaxTokenBytes &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '-';
         });
}

bool FolderHasToken(const std::string& folder, std::string_view token) {
  if (!IsCookieToken(token)) return false;
  const int fd = open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  struct stat found {};
  const bool there = fstatat(fd, std::string(token).c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0;
  close(fd);
  return there && S_ISREG(found.st_mode);
}

CookieTokenCheck::CookieTokenCheck(const config::CookieToken& config, WorkerPool& pool,
                                   DeferredCheck::Post post)
    : folder_(config.folder), check_(pool, std::move(post), kTokenGoodFor) {}

CookieTokenCheck::Answer CookieTokenCheck::Check(std::string_view token,
                                                 const config::Address& source,
                                                 DeferredCheck::Time now,
                                                 DeferredCheck::Done done) {
  if (!IsCookieToken(token)) return Answer::kNo;
  return check_.Ask(
      token, source, now,
      [folder = folder_, token = std::string(token)] { return FolderHasToken(folder, token); },
      std::move(done));
}

}  // namespace bridgehead::proxy
