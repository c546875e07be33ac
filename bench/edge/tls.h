// The client's side of TLS: TLS 1.3, TLS_AES_128_GCM_SHA256 and X25519 alone, so that every proxy
// does the same work. Certificates are not verified: that would be the client's work alone.
#pragma once

#include <memory>
#include <string>

#include <openssl/ssl.h>

namespace bridgehead::edge_load {

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using SslPtr = std::unique_ptr<SSL, FreeSsl>;
using SessionPtr = std::unique_ptr<SSL_SESSION, FreeSsl>;

class ClientTls {
 public:
  explicit ClientTls(const std::string& server_name);

  // A client of the socket `fd`, which stays the caller's. `session`: to be resumed, may be null.
  // The newest ticket goes to `*newest`, which must live as long as the connection.
  SslPtr Connect(int fd, SSL_SESSION* session, SessionPtr* newest) const;
  // The first bytes of a connection, for proxies that only look at them.
  std::string ClientHello() const;

 private:
  SslPtr New() const;
  static int OnSession(SSL* ssl, SSL_SESSION* session);

  const std::string server_name_;
  std::unique_ptr<SSL_CTX, FreeSsl> context_;
};

}  // namespace bridgehead::edge_load
