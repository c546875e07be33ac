// What is known of a client's connection before it has asked for anything.
#pragma once

#include <memory>
#include <string>

#include "ctrl/proxy/accept/accepted.h"
#include "ctrl/proxy/net/socket_address.h"

namespace bridgehead::proxy {

struct ClientInfo {
  SocketAddress peer, local;
  bool tls = false;
  std::string sni;          // empty: none, or no TLS
  std::string tls_version;  // "TLSv1.3"; empty: no TLS
  std::shared_ptr<const config::EdgeListener> listener;
  std::shared_ptr<Admission> admission;  // kept until the connection has ended
};

}  // namespace bridgehead::proxy
