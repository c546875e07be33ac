#include "ctrl/mirror/kernel_state.h"

#include <algorithm>

#include <linux/rtnetlink.h>

namespace bridgehead::mirror {

absl::StatusOr<KernelState::Effect> KernelState::Apply(const nlmsghdr& message) {
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      absl::StatusOr<std::optional<Link>> link = ParseLink(message);
      if (!link.ok()) return link.status();
      if (!*link) return Effect{};
      return message.nlmsg_type == RTM_NEWLINK ? AddLink(**link) : RemoveLink(**link);
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      absl::StatusOr<std::optional<LinkAddress>> address = ParseAddress(message);
      if (!address.ok()) return address.status();
      if (!*address) return Effect{};
      if (message.nlmsg_type == RTM_DELADDR) {
        return Effect{.changed = addresses_.erase(**address) != 0, .routes_stale = true};
      }
      bool added = addresses_.insert_or_assign(**address, Generation(Section::kAddresses)).second;
      return Effect{.changed = added};
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      absl::StatusOr<std::optional<Route>> route = ParseRoute(message);
      if (!route.ok()) return route.status();
      if (!*route) return Effect{};
      return message.nlmsg_type == RTM_NEWROUTE ? AddRoute(**route, message.nlmsg_flags)
                                                : RemoveRoute(**route);
    }
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      absl::StatusOr<std::optional<Neighbour>> neighbour = ParseNeighbour(message);
      if (!neighbour.ok()) return neighbour.status();
      if (!*neighbour) return Effect{};
      if (message.nlmsg_type == RTM_NEWNEIGH) return AddNeighbour(**neighbour);
      return Effect{.changed =
                        neighbours_.erase({(*neighbour)->ifindex, (*neighbour)->address}) != 0};
    }
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return Effect{.routes_stale = true};
    default:
      return Effect{};
  }
}

KernelState::Effect KernelState::AddLink(const Link& link) {
  Entry<Link>& entry = links_[link.ifindex];
  Effect effect;
  effect.changed = entry.value != link;
  effect.routes_stale = entry.value.up != link.up || entry.value.carrier != link.carrier;
  entry = {link, Generation(Section::kLinks)};
  return effect;
}

KernelState::Effect KernelState::RemoveLink(const Link& link) {
  bool removed = links_.erase(link.ifindex) != 0;
  // Should an index be used again, nothing of its last owner may be taken for its own.
  std::erase_if(addresses_, [&](const auto& e) { return e.first.ifindex == link.ifindex; });
  std::erase_if(neighbours_, [&](const auto& e) { return e.first.first == link.ifindex; });
  return Effect{.changed = removed, .routes_stale = true};
}

KernelState::Effect KernelState::AddRoute(const Route& route, uint16_t flags) {
  RouteKey key{route.table, route.prefix_length, route.prefix, route.metric};
  if (routes_.size() >= kMaxStoredRoutes && !routes_.contains(key)) {
    over_limit_ = true;
    return Effect{};
  }
  std::vector<Entry<Route>>& entries = routes_[key];
  uint64_t generation = Generation(Section::kRoutes);
  auto same = std::find_if(entries.begin(), entries.end(),
                           [&](const Entry<Route>& e) { return e.value == route; });
  if (same != entries.end()) {
    same->generation = generation;
    return Effect{};
  }
  Entry<Route> entry{route, generation};
  bool v6 = route.prefix.is_v6();  // knows no prepending
  bool dumped = (flags & NLM_F_MULTI) != 0;
  if ((flags & NLM_F_REPLACE) != 0 && !entries.empty()) {
    entries.front() = entry;
  } else if (v6 || dumped || (flags & (NLM_F_APPEND | NLM_F_EXCL)) != 0 || entries.empty()) {
    entries.push_back(entry);
  } else {
    entries.insert(entries.begin(), entry);  // "ip route prepend"
  }
  // Beside others, an IPv6 route may be one of its own or all of them with one more next hop.
  return Effect{.changed = true, .routes_stale = v6 && !dumped && entries.size() > 1};
}

KernelState::Effect KernelState::RemoveRoute(const Route& route) {
  auto found = routes_.find(RouteKey{route.table, route.prefix_length, route.prefix, route.metric});
  if (found == routes_.end()) return Effect{};
  // The message of a deletion may differ in next-hop flags: the interface is down by then.
  auto alike = [&](const Entry<Route>& e) {
    if (e.value.unicast != route.unicast) return false;
    return std::equal(e.value.next_hops.begin(), e.value.next_hops.end(), route.next_hops.begin(),
                      route.next_hops.end(), [](const NextHop& a, const NextHop& b) {
                        return a.ifindex == b.ifindex && a.gateway == b.gateway;
                      });
  };
  size_t removed = std::erase_if(found->second, alike);
  bool others = !found->second.empty();
  if (!others) routes_.erase(found);
  return Effect{.changed = removed != 0,
                .routes_stale = removed == 0 || (others && route.prefix.is_v6())};
}

KernelState::Effect KernelState::AddNeighbour(const Neighbour& neighbour) {
  NeighbourKey key{neighbour.ifindex, neighbour.address};
  // Still being asked for: as good as not there.
  if (!neighbour.usable && !neighbour.failed) return Effect{.changed = neighbours_.erase(key) != 0};
  if (neighbours_.size() >= kMaxStoredNeighbours && !neighbours_.contains(key)) {
    over_limit_ = true;
    return Effect{};
  }
  Entry<Neighbour>& entry = neighbours_[key];
  bool changed = entry.value != neighbour;
  entry = {neighbour, Generation(Section::kNeighbours)};
  return Effect{.changed = changed};
}

bool KernelState::EndDump(Section section) {
  uint64_t generation = Generation(section);
  auto old = [&](const auto& e) { return e.second.generation != generation; };
  switch (section) {
    case Section::kLinks:
      return std::erase_if(links_, old) != 0;
    case Section::kAddresses:
      return std::erase_if(addresses_, [&](const auto& e) { return e.second != generation; }) != 0;
    case Section::kNeighbours:
      return std::erase_if(neighbours_, old) != 0;
    case Section::kRoutes:
      break;
  }
  size_t removed = 0;
  for (auto& [key, entries] : routes_) {
    removed +=
        std::erase_if(entries, [&](const Entry<Route>& e) { return e.generation != generation; });
  }
  std::erase_if(routes_, [](const auto& e) { return e.second.empty(); });
  return removed != 0;
}

bool KernelState::HasAddress(const Address& address) const {
  return std::any_of(addresses_.begin(), addresses_.end(),
                     [&](const auto& e) { return e.first.address == address; });
}

}  // namespace bridgehead::mirror
