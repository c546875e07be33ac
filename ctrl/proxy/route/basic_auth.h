// HTTP's Basic authentication (RFC 7617).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ctrl/proxy/route/deferred_check.h"
#include "ctrl/proxy/route/password_file.h"

namespace bridgehead::proxy {

inline constexpr size_t kMaxCredentialBytes = 512;  // decoded; crypt(3) takes no longer passwords
// A changed password file counts from the next reload on, whatever this says.
inline constexpr std::chrono::minutes kPasswordGoodFor{5};

struct Credentials {
  std::string user, password;
};
// Of an Authorization field's value. Nothing (401): another scheme, no base64, no colon, no user,
// control characters (RFC 7617 section 2), over kMaxCredentialBytes or kMaxUserBytes.
std::optional<Credentials> ParseBasic(std::string_view authorization);

// The value of WWW-Authenticate (RFC 7617 section 2.1).
std::string BasicChallenge(std::string_view realm);

// One route's, on one loop.
class BasicAuthCheck {
 public:
  using Answer = DeferredCheck::Answer;

  BasicAuthCheck(std::shared_ptr<const PasswordFile> file, WorkerPool& pool,
                 DeferredCheck::Post post);

  // Never kNo at once.
  Answer Check(const Credentials& credentials, const config::Address& source,
               DeferredCheck::Time now, DeferredCheck::Done done);

 private:
  const std::shared_ptr<const PasswordFile> file_;
  DeferredCheck check_;
};

}  // namespace bridgehead::proxy
