// Tokens in a cookie: whoever names a file of a folder is let in.
//
// The name comes from a stranger, so it is one of letters, digits, "_" and "-" before it is looked
// for: no dot, no slash, nothing that leads out of the folder. A symbolic link is no token, nor is
// anything but a regular file. The file is not opened.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "ctrl/config/edge.h"
#include "ctrl/proxy/route/deferred_check.h"

namespace bridgehead::proxy {

inline constexpr size_t kMinTokenBytes = 8, kMaxTokenBytes = 128;
// How long a token may outlive its file.
inline constexpr std::chrono::seconds kTokenGoodFor{5};

// The value of the first cookie of this name, without quotes around it. `field`: a Cookie field's
// value (RFC 6265 section 4.2.1); what no cookie pair is, is skipped. HTTP/2 may send several
// fields. Of equal names browsers send the one of the longer path first.
std::optional<std::string_view> FindCookie(std::string_view field, std::string_view name);

// [A-Za-z0-9_-]{8,128}.
bool IsCookieToken(std::string_view text);

// Whether the folder has a regular file of the token's name. Waits for the disk. A token of another
// form than IsCookieToken's is in no folder.
bool FolderHasToken(const std::string& folder, std::string_view token);

// One route's, on one loop.
class CookieTokenCheck {
 public:
  using Answer = DeferredCheck::Answer;

  CookieTokenCheck(const config::CookieToken& config, WorkerPool& pool, DeferredCheck::Post post);

  // `token`: the cookie's value, of any form. kNo: 403.
  Answer Check(std::string_view token, const config::Address& source, DeferredCheck::Time now,
               DeferredCheck::Done done);

 private:
  const std::string folder_;
  DeferredCheck check_;
};

}  // namespace bridgehead::proxy
