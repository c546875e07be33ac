// TLS of a check, without I/O: what the server has sent goes in; what it says, and what is to be
// sent to it, comes out. So nothing that it sends can keep the caller's loop busy longer than that
// many bytes take.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

namespace bridgehead::health {

// Makes a client's side of a connection, with what it verifies; who calls owns it. Null: no memory.
using NewTls = std::function<SSL*()>;

class TlsFilter {
 public:
  enum class State : uint8_t {
    kHandshake,
    kOpen,
    kEnded,   // the server has said that nothing follows
    kFailed,  // see error()
  };

  // Takes `ssl`.
  explicit TlsFilter(SSL* ssl);
  TlsFilter(const TlsFilter&) = delete;
  TlsFilter& operator=(const TlsFilter&) = delete;

  // Bytes of the server; none to begin with. What they say is appended to `said`. Not after kEnded
  // or kFailed.
  State Take(std::string_view bytes, std::string& said);
  // To the server, once it is kOpen.
  void Say(std::string_view text);
  // What is to be sent to it now, also after a failure.
  std::string TakeOutput();
  // Why it is kFailed, in words.
  const std::string& error() const { return error_; }

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  State Judge(int result);

  const std::unique_ptr<SSL, FreeSsl> ssl_;
  BIO* const from_server_;  // both are of ssl_
  BIO* const to_server_;
  std::string error_;
};

}  // namespace bridgehead::health
