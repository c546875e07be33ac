#include "relay/walk/forwarding.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "fmt/format.h"
#include "relay/api/relay.pb.h"
#include "relay/walk/address_bytes.h"

namespace bridgehead {
namespace {

constexpr size_t kMaxAdjacencies = kNoAdjacency;

bool ToMac(const std::string& bytes, MacAddress& mac) {
  if (bytes.size() != mac.size()) return false;
  memcpy(mac.data(), bytes.data(), mac.size());
  return true;
}

void SetEthernet(Adjacency& adjacency, const MacAddress& destination, const MacAddress& source) {
  uint8_t* at = adjacency.l2.data();
  memcpy(at, destination.data(), 6);
  memcpy(at + 6, source.data(), 6);
  at += 12;
  if (adjacency.next_hop.vlan != 0) {
    *at++ = kEtherTypeVlan >> 8;
    *at++ = kEtherTypeVlan & 0xff;
    *at++ = static_cast<uint8_t>(adjacency.next_hop.vlan >> 8);
    *at++ = static_cast<uint8_t>(adjacency.next_hop.vlan);
  }
  uint16_t type = adjacency.next_hop.address.IsMapped() ? Ipv4::kEtherType : Ipv6::kEtherType;
  *at++ = static_cast<uint8_t>(type >> 8);
  *at++ = static_cast<uint8_t>(type);
  adjacency.l2_bytes = static_cast<uint8_t>(at - adjacency.l2.data());
}

}  // namespace

Adjacency& Adjacency::operator=(const Adjacency& other) {
  next_hop = other.next_hop;
  state = other.state;
  l2_bytes = other.l2_bytes;
  l2 = other.l2;
  ifindex = other.ifindex;
  used.store(other.used.load(std::memory_order_relaxed), std::memory_order_relaxed);
  return *this;
}

absl::StatusOr<std::shared_ptr<const Forwarding>> Forwarding::Build(
    const api::Routing& routing, const std::vector<MacAddress>& port_macs,
    const Forwarding* before) {
  auto built = std::make_shared<Forwarding>();
  for (const api::Interface& from : routing.interfaces()) {
    // ctrl names only ports that there are; a table that does not must not reach the workers.
    if (from.port() >= port_macs.size() || from.vlan() > kVlanIdMask) {
      return absl::InvalidArgumentError(
          fmt::format("routing: no port {} or VLAN {}", from.port(), from.vlan()));
    }
    Interface to{static_cast<uint8_t>(from.port()), static_cast<uint16_t>(from.vlan()),
                 static_cast<uint16_t>(std::min<uint32_t>(from.mtu(), 0xffff)), from.ifindex(),
                 MacAddress{}};
    if (!ToMac(from.mac(), to.mac)) to.mac = port_macs[from.port()];
    built->interfaces_.push_back(to);
    auto& addresses = built->addresses_.emplace_back();
    for (const std::string& bytes : from.addresses()) {
      Ipv6Address address;
      if (AddressOfBytes(bytes, address) && IsAnyHostAddress(address)) addresses.push_back(address);
    }
  }
  for (const api::Route& route : routing.routes()) built->AddRoute(route);
  if (before != nullptr) built->KeepNumbers(*before);
  built->AddNeighbours(routing);
  return std::shared_ptr<const Forwarding>(std::move(built));
}

void Forwarding::AddRoute(const api::Route& route) {
  Ipv6Address prefix;
  if (!AddressOfBytes(route.prefix(), prefix)) return;
  RouteEntry entry{static_cast<uint16_t>(route.interface()),
                   static_cast<uint16_t>(std::min<uint32_t>(route.mtu(), 0xffff)),
                   route.gateway().empty(), route.unreachable(), Ipv6Address()};
  if (!entry.unreachable) {
    if (route.interface() >= interfaces_.size()) return;
    if (!entry.on_link && (!AddressOfBytes(route.gateway(), entry.gateway) ||
                           entry.gateway.IsMapped() != prefix.IsMapped())) {
      return;
    }
  }
  if (routes_.Add(prefix, route.prefix_length(), entry)) ++route_count_;
}

// The numbering goes on where `before` stops if nothing a session relies on has changed: the same
// interfaces and routes, and not too many numbers without a neighbour.
void Forwarding::KeepNumbers(const Forwarding& before) {
  generation_ = before.generation_;
  size_t dead = 0;
  for (const Adjacency& adjacency : before.adjacencies_) {
    dead += adjacency.state == Adjacency::State::kUnresolved;
  }
  bool same = interfaces_ == before.interfaces_ && routes_ == before.routes_ &&
              dead <= before.adjacencies_.size() / 2 + 64;
  if (!same) {
    ++generation_;  // it may wrap: no session waits that long for its next packet
    return;
  }
  adjacencies_ = before.adjacencies_;
  numbers_ = before.numbers_;
  for (Adjacency& adjacency : adjacencies_) adjacency.state = Adjacency::State::kUnresolved;
}

// A next hop is there once with the MTU of its interface and once for each other MTU that a route
// over the interface has.
void Forwarding::AddNeighbours(const api::Routing& routing) {
  std::vector<std::set<uint16_t>> mtus(interfaces_.size());
  for (size_t i = 0; i < interfaces_.size(); ++i) mtus[i].insert(interfaces_[i].mtu);
  auto note = [&](const RouteEntry& route) {
    if (!route.unreachable && route.mtu != 0) mtus[route.interface].insert(route.mtu);
  };
  routes_.ForEach(note);
  for (const api::Neighbour& neighbour : routing.neighbours()) {
    if (neighbour.interface() >= interfaces_.size()) continue;
    const Interface& interface = interfaces_[neighbour.interface()];
    Ipv6Address address;
    if (!AddressOfBytes(neighbour.address(), address)) continue;
    for (uint16_t mtu : mtus[neighbour.interface()]) {
      NextHop hop{interface.port, interface.vlan, mtu, address};
      if (!AddAdjacency(hop, interface, neighbour)) return;
    }
  }
}

// False: all numbers are taken.
bool Forwarding::AddAdjacency(const NextHop& hop, const Interface& interface,
                              const api::Neighbour& neighbour) {
  auto [entry, added] = numbers_.try_emplace(hop, static_cast<uint16_t>(adjacencies_.size()));
  if (added) {
    if (adjacencies_.size() >= kMaxAdjacencies) {
      numbers_.erase(entry);
      return false;
    }
    adjacencies_.emplace_back();
  }
  Adjacency& adjacency = adjacencies_[entry->second];
  adjacency.next_hop = hop;
  adjacency.ifindex = neighbour.permanent() ? 0 : interface.ifindex;
  adjacency.state = Adjacency::State::kFailed;
  MacAddress mac;
  if (ToMac(neighbour.mac(), mac)) {
    SetEthernet(adjacency, mac, interface.mac);
    adjacency.state = Adjacency::State::kResolved;
  }
  return true;
}

bool Forwarding::IsOwnMac(uint8_t port, const MacAddress& mac) const {
  return std::any_of(interfaces_.begin(), interfaces_.end(), [&](const Interface& interface) {
    return interface.port == port && interface.mac == mac;
  });
}

std::optional<NextHop> Forwarding::Route(const Ipv6Address& destination) const {
  const RouteEntry* entry = routes_.Find(destination);
  if (entry == nullptr || entry->unreachable) return std::nullopt;
  const Interface& interface = interfaces_[entry->interface];
  return NextHop{interface.port, interface.vlan, entry->mtu != 0 ? entry->mtu : interface.mtu,
                 entry->on_link ? destination : entry->gateway};
}

uint16_t Forwarding::Find(const NextHop& next_hop) const {
  auto found = numbers_.find(next_hop);
  return found == numbers_.end() ? kNoAdjacency : found->second;
}

const Ipv6Address* Forwarding::AddressOf(const NextHop& next_hop, bool ipv6) const {
  for (size_t i = 0; i < interfaces_.size(); ++i) {
    if (interfaces_[i].port != next_hop.port || interfaces_[i].vlan != next_hop.vlan) continue;
    for (const Ipv6Address& address : addresses_[i]) {
      if (address.IsMapped() != ipv6) return &address;
    }
  }
  return nullptr;
}

uint32_t Forwarding::IfindexOf(const NextHop& next_hop) const {
  for (const Interface& interface : interfaces_) {
    if (interface.port == next_hop.port && interface.vlan == next_hop.vlan) {
      return interface.ifindex;
    }
  }
  return 0;
}

}  // namespace bridgehead
