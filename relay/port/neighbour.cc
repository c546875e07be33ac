#include "relay/port/neighbour.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "fmt/format.h"

namespace bridgehead::port {

absl::StatusOr<std::unique_ptr<NeighbourAsker>> NeighbourAsker::Create() {
  mnl_socket* socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket == nullptr || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
    int error = errno;
    if (socket != nullptr) mnl_socket_close(socket);
    return absl::UnavailableError(
        fmt::format("cannot open a netlink socket for neighbours: {}", strerror(error)));
  }
  return std::unique_ptr<NeighbourAsker>(new NeighbourAsker(socket));
}

NeighbourAsker::~NeighbourAsker() {
  mnl_socket_close(socket_);
}

void NeighbourAsker::Ask(uint32_t ifindex, const Ipv6Address& address) {
  if (ifindex == 0) return;  // no kernel interface: only static neighbours
  alignas(NLMSG_ALIGNTO) char buffer[256];
  nlmsghdr* header = mnl_nlmsg_put_header(buffer);
  header->nlmsg_type = RTM_NEWNEIGH;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE;
  auto* message = static_cast<ndmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(ndmsg)));
  message->ndm_family = address.IsMapped() ? AF_INET : AF_INET6;
  message->ndm_ifindex = static_cast<int>(ifindex);
  message->ndm_flags = NTF_USE;
  if (address.IsMapped()) {
    mnl_attr_put_u32(header, NDA_DST, address.Unmapped().Raw());
  } else {
    mnl_attr_put(header, NDA_DST, address.bytes.size(), address.bytes.data());
  }
  mnl_socket_sendto(socket_, header, header->nlmsg_len);
  // The kernel only writes back on an error; nobody reads it, so it must not pile up.
  while (mnl_socket_recvfrom(socket_, buffer, sizeof(buffer)) > 0) {
  }
}

}  // namespace bridgehead::port
