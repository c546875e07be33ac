// rtnetlink messages, parsed: plain structs out of the kernel's bytes, and nothing kept.
//
// Parsing is strict: every length is checked before the bytes behind it are read, an attribute of
// another size than its type has is an error, and so is one that ends past its message. A message
// that is well-formed but none of the mirror's business (another address family, another table, a
// bridge port's link message) parses to nullopt. So does what only the kernel itself needs: the
// machine's link-local addresses, and routes to link-local or multicast destinations, which no
// packet of the relay has. Link-local gateways and neighbours are IPv6's ordinary next hops.
//
// MAC addresses are 6 bytes or empty.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <linux/netlink.h>

#include "absl/status/statusor.h"
#include "ctrl/config/address.h"

namespace bridgehead::mirror {

using config::Address;

struct Link {
  uint32_t ifindex = 0;
  std::string name;
  std::string mac;
  uint32_t mtu = 0;
  bool up = false;       // administratively
  bool carrier = false;  // lower layer works
  uint32_t parent = 0;   // of a VLAN interface, 0 for none in this network namespace
  uint16_t vlan = 0;     // 802.1Q identifier; 0 for anything that is not such an interface
  bool operator==(const Link&) const = default;
};

struct LinkAddress {
  uint32_t ifindex = 0;
  Address address;  // this machine's own
  uint8_t prefix_length = 0;
  auto operator<=>(const LinkAddress&) const = default;
};

struct NextHop {
  uint32_t ifindex = 0;
  Address gateway;               // empty: on link
  bool foreign_gateway = false;  // the gateway is of another family than the route (RFC 8950)
  bool dead = false;             // its interface is down
  bool operator==(const NextHop&) const = default;
};

// The tables the kernel asks, in this order, when no policy rules were added. IPv6 has no default
// table.
enum class Table : uint8_t { kLocal = 0, kMain = 1, kDefault = 2 };

struct Route {
  Table table = Table::kMain;
  Address prefix;  // host bits are zero
  uint8_t prefix_length = 0;
  uint32_t metric = 0;             // lower wins
  bool unicast = false;            // false: blackhole, unreachable, prohibit, local, broadcast, ...
  uint32_t mtu = 0;                // 0: not set
  std::vector<NextHop> next_hops;  // several in a multipath route
  bool operator==(const Route&) const = default;
};

struct Neighbour {
  uint32_t ifindex = 0;
  Address address;
  bool usable = false;     // `mac` can be sent to
  bool failed = false;     // the kernel asked and got no answer
  bool permanent = false;  // somebody's setting, which the kernel neither asks for nor forgets
  std::string mac;
  bool operator==(const Neighbour&) const = default;
};

// RTM_NEWLINK, RTM_DELLINK.
absl::StatusOr<std::optional<Link>> ParseLink(const nlmsghdr& message);
// RTM_NEWADDR, RTM_DELADDR.
absl::StatusOr<std::optional<LinkAddress>> ParseAddress(const nlmsghdr& message);
// RTM_NEWROUTE, RTM_DELROUTE.
absl::StatusOr<std::optional<Route>> ParseRoute(const nlmsghdr& message);
// RTM_NEWNEIGH, RTM_DELNEIGH.
absl::StatusOr<std::optional<Neighbour>> ParseNeighbour(const nlmsghdr& message);

}  // namespace bridgehead::mirror
