// How a listener answers TLS clients: certificates by name, versions, ciphers, tickets, ALPN.
//
// Of several certificates for a name the client's signature algorithms choose (ECDSA before RSA).
// Immutable: a reload makes another one, and connections keep theirs. Used by all threads.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctrl/config/edge.h"
#include "ctrl/proxy/tls/certificate_files.h"
#include "ctrl/proxy/tls/openssl.h"
#include "ctrl/proxy/tls/ticket_keys.h"

namespace bridgehead::proxy {

class ServerContext {
 public:
  // The protocols to agree on, best first; none: ALPN is not answered.
  using Protocols = std::vector<std::string>;

  // Reads the files. `tickets`: none without tickets. Error: InvalidArgument, naming the file.
  static absl::StatusOr<std::shared_ptr<const ServerContext>> Create(
      const config::ListenerTls& settings, const Protocols& protocols,
      std::shared_ptr<TicketKeys> tickets);
  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  // For one connection, which keeps this context as long as it needs it. Null: no memory.
  SslPtr NewConnection() const;

  // Of the certificates: what will be wrong soon, or is not used.
  std::vector<std::string> warnings() const;

 private:
  ServerContext(const config::ListenerTls& settings, const Protocols& protocols,
                std::shared_ptr<TicketKeys> tickets);

  absl::Status Build();
  absl::StatusOr<SSL_CTX*> ContextOf(const std::set<size_t>& certificates);
  void Prepare(SSL_CTX* context);
  // The context for a name; null if no certificate is for it.
  SSL_CTX* Find(std::string_view name) const;

  static int OnServerName(SSL* ssl, int* alert, void* self);
  static int OnProtocols(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                         const unsigned char* in, unsigned in_size, void* self);
  static int OnStatusRequest(SSL* ssl, void* self);

  const config::ListenerTls settings_;
  std::string protocols_;  // in ALPN's form: each with its length before it
  const std::shared_ptr<TicketKeys> tickets_;
  std::vector<LoadedCertificate> certificates_;
  std::map<std::set<size_t>, SslContextPtr> contexts_;  // by the certificates in them
  std::map<std::string, SSL_CTX*, std::less<>> by_name_;
  SSL_CTX* default_ = nullptr;
};

}  // namespace bridgehead::proxy
