// What the kernel's routing tables hold, as far as netlink has told, and what of it leads out of
// the relay's ports.
//
// Messages go in one by one (Apply), both answers to dumps and notifications. A dump of a section
// begins with BeginDump and ends with EndDump, which removes what the dump no longer named; until
// then the old entries stay. No I/O: the sockets are in mirror.h.
//
// Limits: at most kMaxStoredRoutes and kMaxStoredNeighbours are remembered, further ones are
// counted and named in a warning.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <linux/netlink.h>

#include "absl/status/statusor.h"
#include "ctrl/mirror/messages.h"

namespace bridgehead::mirror {

enum class Section : uint8_t { kLinks = 0, kAddresses = 1, kRoutes = 2, kNeighbours = 3 };
inline constexpr size_t kSectionCount = 4;

inline constexpr size_t kMaxStoredRoutes = 1'000'000;
inline constexpr size_t kMaxStoredNeighbours = 262'144;

class KernelState {
 public:
  struct Effect {
    bool changed = false;  // something that a routing snapshot may depend on
    // The routes have to be dumped again: the kernel removes IPv4 routes without a word when an
    // interface or an address goes away or a next hop object changes, and a word about one next hop
    // of an IPv6 route does not always say what became of the others.
    bool routes_stale = false;
  };

  // Takes in one message of any type. Error: the message is malformed and was ignored.
  absl::StatusOr<Effect> Apply(const nlmsghdr& message);

  void BeginDump(Section section) { ++generation_[Index(section)]; }
  // True when entries went away that the dump did not name.
  bool EndDump(Section section);

  // Alternatives for one prefix, table and metric stand in the kernel's order.
  struct RouteKey {
    Table table;
    uint8_t prefix_length;
    Address prefix;
    uint32_t metric;
    auto operator<=>(const RouteKey&) const = default;
  };
  template <typename T>
  struct Entry {
    T value;
    uint64_t generation = 0;
  };
  using NeighbourKey = std::pair<uint32_t, Address>;  // ifindex, address

  const std::map<uint32_t, Entry<Link>>& links() const { return links_; }
  const std::map<LinkAddress, uint64_t>& addresses() const { return addresses_; }
  const std::map<RouteKey, std::vector<Entry<Route>>>& routes() const { return routes_; }
  const std::map<NeighbourKey, Entry<Neighbour>>& neighbours() const { return neighbours_; }
  bool over_limit() const { return over_limit_; }
  bool HasAddress(const Address& address) const;

 private:
  static size_t Index(Section section) { return static_cast<size_t>(section); }
  uint64_t Generation(Section section) const { return generation_[Index(section)]; }

  Effect AddLink(const Link& link);
  Effect RemoveLink(const Link& link);
  Effect AddRoute(const Route& route, uint16_t flags);
  Effect RemoveRoute(const Route& route);
  Effect AddNeighbour(const Neighbour& neighbour);

  std::map<uint32_t, Entry<Link>> links_;
  std::map<LinkAddress, uint64_t> addresses_;  // value: generation
  std::map<RouteKey, std::vector<Entry<Route>>> routes_;
  std::map<NeighbourKey, Entry<Neighbour>> neighbours_;
  uint64_t generation_[kSectionCount] = {};
  bool over_limit_ = false;
};

}  // namespace bridgehead::mirror
