// Sockets that listen: opened by whoever may bind, handed to a loop that accepts.
//
// Each loop has one of its own for an address (SO_REUSEPORT); the kernel gives a connection to one
// of them. What waits in a socket's queue dies with it, so a reload keeps the sockets whose address
// is in both configurations.
#pragma once

#include <map>
#include <set>
#include <span>
#include <utility>

#include "absl/status/statusor.h"
#include "ctrl/config/edge.h"

namespace bridgehead::proxy {

class ListeningSocket {
 public:
  // Of connections that wait to be accepted; the kernel lowers it to net.core.somaxconn.
  static constexpr int kBacklog = 4096;
  // RFC 7413 section 5.1: SYNs with data whose handshake has not ended. Beyond it, data waits.
  static constexpr int kFastOpenQueue = 256;

  // Bound and listening, and it does not block. `listen`: one port, or PortRange{} for one of the
  // kernel's choice. IPv6 is IPv6 only. There is no TCP_DEFER_ACCEPT: who is silent would wait
  // without our limits and counters, and a server that has to speak first could not.
  static absl::StatusOr<ListeningSocket> Open(const config::Endpoint& listen);

  ListeningSocket(ListeningSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  ~ListeningSocket();

  // RFC 7413. The kernel's own switch (net.ipv4.tcp_fastopen) must have bit 2 too.
  void SetFastOpen(bool on) const;
  int fd() const { return fd_; }

 private:
  explicit ListeningSocket(int fd) : fd_(fd) {}
  int fd_;
};

using ListeningSockets = std::map<config::Endpoint, ListeningSocket>;

// Those of `listeners` whose address is not among `open`; all or none. The error names the
// listener.
absl::StatusOr<ListeningSockets> OpenListeningSockets(
    std::span<const config::EdgeListener> listeners, const std::set<config::Endpoint>& open);

}  // namespace bridgehead::proxy
