#include "ctrl/proxy/net/socket_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace bridgehead::proxy {
namespace {

bool Set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

}  // namespace

bool SetCommonOptions(int fd) {
  return Set(fd, IPPROTO_TCP, TCP_NODELAY, 1) && Set(fd, SOL_SOCKET, SO_OOBINLINE, 1) &&
         Set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
         Set(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds) &&
         Set(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalSeconds) &&
         Set(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
}

}  // namespace bridgehead::proxy
