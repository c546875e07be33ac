#include "ctrl/mirror/routing.h"

#include <array>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>

#include "absl/container/flat_hash_map.h"
#include "fmt/format.h"

namespace bridgehead::mirror {
namespace {

// Prefixes of both families, to be asked for the longest one around another.
class Prefixes {
 public:
  void Add(const Address& prefix, uint8_t length, bool reachable) {
    by_length_[length][prefix] = reachable;
  }
  // Takes those of `other` in as well, and leaves it empty; both have none in common.
  void Take(Prefixes& other) {
    for (size_t l = 0; l < by_length_.size(); ++l) by_length_[l].merge(other.by_length_[l]);
  }
  // Whether the longest prefix that holds this one (itself included) is reachable.
  std::optional<bool> Around(const Address& prefix, uint8_t length) const {
    for (int l = length; l >= 0; --l) {
      const auto& prefixes = by_length_[static_cast<size_t>(l)];
      if (prefixes.empty()) continue;
      auto found = prefixes.find(prefix.Network(static_cast<uint8_t>(l)));
      if (found != prefixes.end()) return found->second;
    }
    return std::nullopt;
  }

 private:
  std::array<absl::flat_hash_map<Address, bool>, 129> by_length_;
};

using InterfaceIndex = std::unordered_map<uint32_t, uint32_t>;  // ifindex to Routing.interfaces

void AddInterface(const KernelState& state, const Link& link, uint32_t port, api::Routing& routing,
                  InterfaceIndex& index) {
  index[link.ifindex] = static_cast<uint32_t>(routing.interfaces_size());
  api::Interface* interface = routing.add_interfaces();
  interface->set_port(port);
  interface->set_vlan(link.vlan);
  interface->set_ifindex(link.ifindex);
  interface->set_mac(link.mac);
  interface->set_mtu(link.mtu);
  // LinkAddress sorts by interface first.
  for (auto it = state.addresses().lower_bound(LinkAddress{link.ifindex, Address(), 0});
       it != state.addresses().end() && it->first.ifindex == link.ifindex; ++it) {
    interface->add_addresses(it->first.address.bytes());
  }
}

// Each port's device, then the VLANs on it in order of their tags.
InterfaceIndex AddInterfaces(const KernelState& state, const std::vector<std::string>& devices,
                             MirroredRouting& out) {
  std::map<std::string_view, const Link*> by_name;
  std::multimap<uint32_t, const Link*> by_parent;
  for (const auto& [ifindex, entry] : state.links()) {
    by_name[entry.value.name] = &entry.value;
    if (entry.value.parent != 0) by_parent.emplace(entry.value.parent, &entry.value);
  }
  InterfaceIndex index;
  for (size_t port = 0; port < devices.size(); ++port) {
    if (devices[port].empty()) continue;
    auto device = by_name.find(devices[port]);
    if (device == by_name.end()) {
      out.warnings.push_back(fmt::format("device {} does not exist", devices[port]));
      continue;
    }
    const Link& base = *device->second;
    if (!base.up) {
      out.warnings.push_back(
          fmt::format("device {} is down; ip link set {} up", base.name, base.name));
    }
    // The device stands for untagged packets even where it is a VLAN interface itself.
    Link untagged = base;
    untagged.vlan = 0;
    auto number = static_cast<uint32_t>(port);
    AddInterface(state, untagged, number, out.routing, index);
    std::map<uint16_t, const Link*> vlans;
    auto [first, last] = by_parent.equal_range(base.ifindex);
    for (auto it = first; it != last; ++it) vlans.emplace(it->second->vlan, it->second);
    for (const auto& [vlan, link] : vlans) {
      AddInterface(state, *link, number, out.routing, index);
    }
  }
  return index;
}

// A prefix with the route the kernel would use for it.
struct Chosen {
  const Route* route;
  const NextHop* hop;  // null: nothing leaves by it
  bool foreign;        // something would, but for its gateway's family
};

Chosen Choose(const Route& route, const InterfaceIndex& interfaces) {
  if (!route.unicast) return {&route, nullptr, false};
  for (const NextHop& hop : route.next_hops) {
    if (hop.dead) continue;
    bool ours = interfaces.contains(hop.ifindex);
    return {&route, ours && !hop.foreign_gateway ? &hop : nullptr, ours && hop.foreign_gateway};
  }
  return {&route, nullptr, false};
}

// Short prefixes first, one route each.
std::map<std::pair<uint8_t, Address>, Chosen> ChooseRoutes(const KernelState& state,
                                                           const InterfaceIndex& interfaces) {
  std::map<std::pair<uint8_t, Address>, Chosen> chosen;
  Prefixes earlier_tables;  // a table is asked only for what no earlier one had an answer to
  Prefixes this_table;
  std::optional<Table> table;
  // RouteKey sorts by table, length, prefix, then metric: the first of a prefix wins.
  for (const auto& [key, alternatives] : state.routes()) {
    if (table != key.table) {
      earlier_tables.Take(this_table);
      table = key.table;
    }
    if (chosen.contains({key.prefix_length, key.prefix}) ||
        earlier_tables.Around(key.prefix, key.prefix_length)) {
      continue;
    }
    this_table.Add(key.prefix, key.prefix_length, true);
    chosen[{key.prefix_length, key.prefix}] = Choose(alternatives.front().value, interfaces);
  }
  return chosen;
}

void AddRoutes(const KernelState& state, const InterfaceIndex& interfaces, MirroredRouting& out) {
  Prefixes kept;
  size_t left_off = 0;
  size_t foreign = 0;
  for (const auto& [key, choice] : ChooseRoutes(state, interfaces)) {
    const auto& [length, prefix] = key;
    foreign += choice.foreign ? 1 : 0;
    bool reachable = choice.hop != nullptr;
    if (!reachable && !kept.Around(prefix, length).value_or(false)) continue;
    if (static_cast<size_t>(out.routing.routes_size()) >= kMaxRoutes) {
      ++left_off;
      continue;
    }
    kept.Add(prefix, length, reachable);
    api::Route* route = out.routing.add_routes();
    route->set_prefix(prefix.bytes());
    route->set_prefix_length(length);
    if (!reachable) {
      route->set_unreachable(true);
      continue;
    }
    route->set_interface(interfaces.at(choice.hop->ifindex));
    route->set_gateway(choice.hop->gateway.bytes());
    route->set_mtu(choice.route->mtu);
  }
  if (left_off != 0) {
    out.warnings.push_back(
        fmt::format("{} routes over the limit of {} were left off, longest prefixes first",
                    left_off, kMaxRoutes));
  }
  if (foreign != 0) {
    out.warnings.push_back(
        fmt::format("{} routes have a gateway of the other address family (RFC 8950), which is not "
                    "supported: no packet takes them",
                    foreign));
  }
}

void AddNeighbours(const KernelState& state, const InterfaceIndex& interfaces,
                   MirroredRouting& out) {
  size_t left_off = 0;
  for (const auto& [key, entry] : state.neighbours()) {
    auto found = interfaces.find(key.first);
    if (found == interfaces.end()) continue;
    if (static_cast<size_t>(out.routing.neighbours_size()) >= kMaxNeighbours) {
      ++left_off;
      continue;
    }
    api::Neighbour* neighbour = out.routing.add_neighbours();
    neighbour->set_interface(found->second);
    neighbour->set_address(key.second.bytes());
    neighbour->set_mac(entry.value.mac);
    neighbour->set_permanent(entry.value.permanent);
  }
  if (left_off != 0) {
    out.warnings.push_back(
        fmt::format("{} neighbours over the limit of {} were left off", left_off, kMaxNeighbours));
  }
}

}  // namespace

MirroredRouting BuildRouting(const KernelState& state, const std::vector<std::string>& devices) {
  MirroredRouting out;
  std::set<Address> own;
  for (const auto& [address, generation] : state.addresses()) own.insert(address.address);
  out.own_addresses.assign(own.begin(), own.end());
  InterfaceIndex interfaces = AddInterfaces(state, devices, out);
  AddRoutes(state, interfaces, out);
  AddNeighbours(state, interfaces, out);
  if (state.over_limit()) {
    out.warnings.push_back(
        fmt::format("the kernel has more than {} routes or {} neighbours; the rest is not seen",
                    kMaxStoredRoutes, kMaxStoredNeighbours));
  }
  return out;
}

}  // namespace bridgehead::mirror
