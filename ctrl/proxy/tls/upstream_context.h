// TLS towards an upstream. Certificates are verified unless the configuration says otherwise.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "ctrl/config/edge.h"
#include "ctrl/proxy/tls/openssl.h"

namespace bridgehead::proxy {

// Immutable; used by all threads.
class UpstreamContext {
 public:
  // Error: InvalidArgument: the file of authorities can not be used.
  static absl::StatusOr<std::shared_ptr<const UpstreamContext>> Create(
      const config::UpstreamTls& settings);

  // For a connection to the server at `address`, which is what is verified if the settings have no
  // name. Null: no memory.
  SslPtr NewConnection(const config::Address& address) const;

 private:
  explicit UpstreamContext(const config::UpstreamTls& settings) : settings_(settings) {}

  const config::UpstreamTls settings_;
  SslContextPtr context_;
};

}  // namespace bridgehead::proxy
