#include "ctrl/config/listen.h"

#include <cerrno>
#include <cstring>

#include <linux/in6.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bridgehead::config {

namespace {

struct SocketName {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketName MakeName(const Endpoint& endpoint) {
  SocketName name;
  const std::string bytes = endpoint.address.bytes();
  if (endpoint.address.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(name.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.ports.first);
    memcpy(&v4.sin_addr, bytes.data(), bytes.size());
    name.size = sizeof(v4);
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(name.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.ports.first);
    memcpy(&v6.sin6_addr, bytes.data(), bytes.size());
    name.size = sizeof(v6);
  }
  return name;
}

}  // namespace

int ListenOn(const Endpoint& endpoint, IfAbsent if_absent) {
  const SocketName name = MakeName(endpoint);
  const int fd = socket(name.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (endpoint.address.is_v6()) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (if_absent == IfAbsent::kListen) {
    const bool v6 = endpoint.address.is_v6();
    setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on,
               sizeof(on));
  }
  if (bind(fd, name.get(), name.size) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
  const int error = errno;
  close(fd);
  return -error;
}

}  // namespace bridgehead::config
