// Where packets go: the kernel's routes and neighbours as the relay uses them, immutable once
// built.
//
// A route leads to a next hop; a next hop that the kernel has resolved is an adjacency, which holds
// the ready Ethernet header. Sessions keep the number of their adjacency. Numbers stay the same as
// long as `generation` does: a neighbour that changes its MAC only changes the adjacency's content;
// anything else that moves numbers or routes makes a new generation, and then every session looks
// its route up again with its next packet.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "relay/net/family.h"
#include "relay/net/prefix_table.h"
#include "relay/session/flow.h"

namespace bridgehead {

namespace api {
class Neighbour;
class Route;
class Routing;
}  // namespace api

struct NextHop {
  uint8_t port = 0;
  uint16_t vlan = 0;
  uint16_t mtu = 0;     // IP bytes: the route's, or the interface's
  Ipv6Address address;  // either family

  bool operator==(const NextHop& other) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const NextHop& hop) {
    return H::combine(std::move(h), hop.port, hop.vlan, hop.mtu, hop.address.High(),
                      hop.address.Low());
  }
};

struct alignas(64) Adjacency {
  enum class State : uint8_t { kUnresolved, kResolved, kFailed };

  NextHop next_hop;
  State state = State::kUnresolved;
  uint8_t l2_bytes = 0;                   // 14, or 18 with a VLAN tag
  std::array<uint8_t, 18> l2{};           // the Ethernet header to write
  uint32_t ifindex = 0;                   // whose kernel keeps it fresh when asked; 0: none
  mutable std::atomic<bool> used{false};  // set by workers, cleared by the control thread

  Adjacency() = default;
  Adjacency(const Adjacency& other) { *this = other; }
  Adjacency& operator=(const Adjacency& other);
};
static_assert(sizeof(Adjacency) == 64);

struct RouteEntry {
  uint16_t interface;
  uint16_t mtu;  // 0: the interface's
  bool on_link;
  bool unreachable;
  Ipv6Address gateway;  // either family
  bool operator==(const RouteEntry& other) const = default;
};

class Forwarding {
 public:
  // `port_macs`: the ports' own addresses, for interfaces that come without one (no kernel device).
  // `before`: the forwarding in use, whose numbering is kept when possible; may be null.
  // Error: an interface of a port that does not exist.
  static absl::StatusOr<std::shared_ptr<const Forwarding>> Build(
      const api::Routing& routing, const std::vector<MacAddress>& port_macs,
      const Forwarding* before);

  uint16_t generation() const { return generation_; }

  // Longest prefix match; nullopt: no route, or an unreachable one.
  std::optional<NextHop> Route(const Ipv6Address& destination) const;  // either family
  // The number of a next hop's adjacency, kNoAdjacency when the kernel has not named its MAC.
  uint16_t Find(const NextHop& next_hop) const;
  const Adjacency* Get(uint16_t number) const {
    return number < adjacencies_.size() ? &adjacencies_[number] : nullptr;
  }
  // Whether `mac` belongs to an interface of `port`: the device itself or a VLAN on it.
  bool IsOwnMac(uint8_t port, const MacAddress& mac) const;
  // An address of the kernel interface behind a next hop, to send ICMP errors from; nullptr: none.
  const Ipv6Address* AddressOf(const NextHop& next_hop, bool ipv6) const;
  // The kernel interface behind a next hop, 0: none.
  uint32_t IfindexOf(const NextHop& next_hop) const;
  const std::vector<Adjacency>& adjacencies() const { return adjacencies_; }
  size_t routes() const { return route_count_; }

 private:
  struct Interface {
    uint8_t port;
    uint16_t vlan;
    uint16_t mtu;
    uint32_t ifindex;
    MacAddress mac;
    bool operator==(const Interface& other) const = default;
  };
  void AddRoute(const api::Route& route);
  void AddNeighbours(const api::Routing& routing);
  bool AddAdjacency(const NextHop& hop, const Interface& interface,
                    const api::Neighbour& neighbour);
  void KeepNumbers(const Forwarding& before);

  uint16_t generation_ = 1;
  size_t route_count_ = 0;
  std::vector<Interface> interfaces_;
  std::vector<std::vector<Ipv6Address>> addresses_;  // by interface; either family
  AnyPrefixTable<RouteEntry> routes_;
  std::vector<Adjacency> adjacencies_;
  absl::flat_hash_map<NextHop, uint16_t> numbers_;
};

}  // namespace bridgehead
