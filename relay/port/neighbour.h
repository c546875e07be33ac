// Asks the kernel to resolve a neighbour, as it would for a packet of its own: RTM_NEWNEIGH with
// NTF_USE. The answer arrives where all neighbours do, in ctrl's mirror and with its next snapshot.
//
// Also keeps the neighbours that the relay uses alive: the kernel sees none of our packets, and
// would let an entry grow stale and forget it while calls run over it.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "relay/net/address.h"

struct mnl_socket;

namespace bridgehead::port {

class NeighbourAsker {
 public:
  // Error: no netlink socket. Asking needs CAP_NET_ADMIN.
  static absl::StatusOr<std::unique_ptr<NeighbourAsker>> Create();
  ~NeighbourAsker();
  NeighbourAsker(const NeighbourAsker&) = delete;
  NeighbourAsker& operator=(const NeighbourAsker&) = delete;

  // Either family. Fire and forget: the kernel does not answer, and a lost question is asked again.
  void Ask(uint32_t ifindex, const Ipv6Address& address);

 private:
  explicit NeighbourAsker(mnl_socket* socket) : socket_(socket) {}
  mnl_socket* socket_;
};

}  // namespace bridgehead::port
