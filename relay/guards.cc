#include "relay/guards.h"

#include <algorithm>

namespace bridgehead {
namespace {

using port::SteerGuard;
using port::SteerList;
using port::SteerRule;

constexpr uint8_t kIpv4Bits = 96;  // the length of ::ffff:0:0/96, which all IPv4 is in
constexpr uint8_t kAddressBits = 128;

// Null: the list allows everybody.
std::shared_ptr<const SteerList> ListOf(const Listener& listener, const Snapshot& snapshot) {
  auto list = std::make_shared<SteerList>();
  // By default IPv6 prefixes that hold ::ffff:0:0/96 say nothing about IPv4.
  (*list)[{0, {}}] = listener.access->others;
  (*list)[{kIpv4Bits, Ipv6Address::Mapped(be32()).bytes}] = listener.access->others;
  listener.access->prefixes.ForEachPrefix(
      [&](const Ipv6Address& prefix, size_t bits, bool allowed) {
        (*list)[{static_cast<uint8_t>(bits), prefix.bytes}] = allowed;
      });
  if (listener.octo) {
    // A bridge behind this relay is known to the list by its public address: the relay's to judge.
    for (const Listener& other : snapshot.listeners) {
      if (!other.octo) continue;
      for (const ListenerBridge& bridge : other.bridges) {
        (*list)[{kAddressBits, bridge.address.bytes}] = true;
      }
    }
  }
  const bool all = std::all_of(list->begin(), list->end(), [](const auto& e) { return e.second; });
  return all ? nullptr : list;
}

}  // namespace

std::vector<SteerRule> SteerRulesOf(const Snapshot& snapshot,
                                    std::span<const NatAddress> nat_addresses) {
  std::vector<SteerRule> rules;
  using Side = SteerRule::Side;
  // Retired listeners come last on their address, so that a port that another one has taken over is
  // guarded by that.
  for (const Listener& listener : snapshot.listeners) {
    SteerRule rule{.side = Side::kDestination,
                   .address = listener.address.bytes,
                   .first_port = listener.first_port,
                   .last_port = listener.last_port};
    rule.guard = SteerGuard{.list = ListOf(listener, snapshot),
                            .media = !listener.octo,
                            .requests_per_source = snapshot.limits.admission.requests_per_source};
    rules.push_back(std::move(rule));
    if (listener.source_nat) continue;
    for (const ListenerBridge& bridge : listener.bridges) {
      rules.push_back({.side = Side::kSource,
                       .address = bridge.address.bytes,
                       .first_port = listener.bridge_first_port,
                       .last_port = listener.BridgePort(listener.last_port)});
    }
  }
  for (const NatAddress& nat : nat_addresses) {
    rules.push_back({.side = Side::kDestination,
                     .address = nat.address.bytes,
                     .first_port = snapshot.nat_first_port,
                     .last_port = snapshot.nat_last_port});
  }
  if (!snapshot.outbound) return rules;
  for (const ListenerBridge& bridge : snapshot.outbound->bridges) {
    for (const Outbound::Ports& range : snapshot.outbound->ports) {
      rules.push_back({.side = Side::kOutbound,
                       .address = bridge.address.bytes,
                       .first_port = range.first,
                       .last_port = range.last});
    }
  }
  return rules;
}

}  // namespace bridgehead
