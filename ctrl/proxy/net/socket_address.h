// An IP address and a TCP port as the kernel wants them.
#pragma once

#include <cstdint>
#include <string>

#include <netinet/in.h>
#include <sys/socket.h>

#include "ctrl/config/address.h"

namespace bridgehead::proxy {

class SocketAddress {
 public:
  SocketAddress() : any_{} {}  // of no family
  SocketAddress(const config::Address& address, uint16_t port);
  // From accept(2) and the like: AF_INET or AF_INET6. IPv4-mapped addresses become IPv4.
  explicit SocketAddress(const sockaddr_storage& from);

  bool empty() const { return any_.sa_family == AF_UNSPEC; }
  bool is_v4() const { return any_.sa_family == AF_INET; }
  config::Address address() const;
  uint16_t port() const;
  // "192.0.2.1:443", "[2001:db8::1]:443"; "-" for an empty one.
  std::string text() const;

  const sockaddr* get() const { return &any_; }
  socklen_t size() const { return is_v4() ? sizeof(v4_) : sizeof(v6_); }
  bool operator==(const SocketAddress& other) const;

 private:
  union {
    sockaddr any_;
    sockaddr_in v4_;
    sockaddr_in6 v6_;
  };
};

}  // namespace bridgehead::proxy
