#include "ctrl/proxy/net/socket_address.h"

#include <cstring>

#include "fmt/format.h"

namespace bridgehead::proxy {

SocketAddress::SocketAddress(const config::Address& address, uint16_t port) : SocketAddress() {
  const std::string bytes = address.bytes();
  if (address.is_v4()) {
    v4_ = {};
    v4_.sin_family = AF_INET;
    v4_.sin_port = htons(port);
    std::memcpy(&v4_.sin_addr, bytes.data(), sizeof(v4_.sin_addr));
  } else if (address.is_v6()) {
    v6_ = {};
    v6_.sin6_family = AF_INET6;
    v6_.sin6_port = htons(port);
    std::memcpy(&v6_.sin6_addr, bytes.data(), sizeof(v6_.sin6_addr));
  }
}

SocketAddress::SocketAddress(const sockaddr_storage& from) : SocketAddress() {
  if (from.ss_family == AF_INET) {
    std::memcpy(&v4_, &from, sizeof(v4_));
  } else if (from.ss_family == AF_INET6) {
    std::memcpy(&v6_, &from, sizeof(v6_));
    if (IN6_IS_ADDR_V4MAPPED(&v6_.sin6_addr)) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = v6_.sin6_port;
      std::memcpy(&v4.sin_addr, v6_.sin6_addr.s6_addr + 12, sizeof(v4.sin_addr));
      v4_ = v4;
    }
  }
}

config::Address SocketAddress::address() const {
  if (empty()) return {};
  const char* bytes = is_v4() ? reinterpret_cast<const char*>(&v4_.sin_addr)
                              : reinterpret_cast<const char*>(&v6_.sin6_addr);
  return *config::Address::FromBytes({bytes, is_v4() ? size_t{4} : size_t{16}});
}

uint16_t SocketAddress::port() const {
  if (empty()) return 0;
  return ntohs(is_v4() ? v4_.sin_port : v6_.sin6_port);
}

std::string SocketAddress::text() const {
  if (empty()) return "-";
  return config::Endpoint{address(), {port(), port()}}.text();
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return any_.sa_family == other.any_.sa_family &&
         (empty() || (address() == other.address() && port() == other.port()));
}

}  // namespace bridgehead::proxy
