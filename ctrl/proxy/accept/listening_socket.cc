#include "ctrl/proxy/accept/listening_socket.h"

#include <cerrno>
#include <cstring>
#include <string>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "ctrl/proxy/net/socket_address.h"
#include "ctrl/proxy/net/socket_options.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

bool Set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

absl::Status Failed(const config::Endpoint& listen, const char* what) {
  const std::string text = fmt::format("cannot {} {}: {}", what, listen.text(), strerror(errno));
  return errno == EACCES || errno == EPERM ? absl::PermissionDeniedError(text)
                                           : absl::UnavailableError(text);
}

}  // namespace

absl::StatusOr<ListeningSocket> ListeningSocket::Open(const config::Endpoint& listen) {
  const SocketAddress address(listen.address, listen.ports.first);
  const int fd = socket(address.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Failed(listen, "open a socket for");
  ListeningSocket listening(fd);
  if (!Set(fd, SOL_SOCKET, SO_REUSEADDR, 1) || !Set(fd, SOL_SOCKET, SO_REUSEPORT, 1) ||
      !SetCommonOptions(fd) || (!address.is_v4() && !Set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1))) {
    return Failed(listen, "set the options of a socket for");
  }
  if (bind(fd, address.get(), address.size()) != 0) return Failed(listen, "bind");
  if (::listen(fd, kBacklog) != 0) return Failed(listen, "listen on");
  return listening;
}

ListeningSocket::~ListeningSocket() {
  if (fd_ >= 0) close(fd_);
}

void ListeningSocket::SetFastOpen(bool on) const {
  // A kernel without it serves the same clients, a round trip later.
  Set(fd_, IPPROTO_TCP, TCP_FASTOPEN, on ? kFastOpenQueue : 0);
}

absl::StatusOr<ListeningSockets> OpenListeningSockets(
    std::span<const config::EdgeListener> listeners, const std::set<config::Endpoint>& open) {
  ListeningSockets opened;
  for (const config::EdgeListener& listener : listeners) {
    if (open.contains(listener.listen) || opened.contains(listener.listen)) continue;
    auto socket = ListeningSocket::Open(listener.listen);
    if (!socket.ok()) {
      return absl::Status(socket.status().code(),
                          fmt::format("edge: listener {}: {}", listener.name,
                                      std::string(socket.status().message())));
    }
    opened.emplace(listener.listen, *std::move(socket));
  }
  return opened;
}

}  // namespace bridgehead::proxy
