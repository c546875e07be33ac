#include "relay/session_list.h"

#include <algorithm>

#include "fmt/format.h"
#include "relay/walk/address_bytes.h"

namespace bridgehead {
namespace {

void FillSession(const Session& from, const std::vector<Ipv6Address>& places, uint32_t now,
                 api::Session& to) {
  const SessionEnds ends = EndsOf(from, places);
  to.set_client_address(AddressBytes(ends.client.address));
  to.set_client_port(ends.client.port.ToHost());
  to.set_listener_address(AddressBytes(ends.listener.address));
  to.set_listener_port(ends.listener.port.ToHost());
  to.set_nat_address(AddressBytes(ends.nat.address));
  to.set_nat_port(ends.nat.port.ToHost());
  to.set_bridge_address(AddressBytes(ends.bridge.address));
  to.set_bridge_port(ends.bridge.port.ToHost());
  to.set_confirmed(from.confirmed());
  to.set_idle_seconds(now - std::max(from.to_bridge.last_seen, from.to_client.last_seen));
  to.set_packets_to_bridge(from.to_bridge.packets);
  to.set_bytes_to_bridge(from.to_bridge.bytes);
  to.set_packets_to_client(from.to_client.packets);
  to.set_bytes_to_client(from.to_client.bytes);
}

}  // namespace

SessionEnds EndsOf(const Session& session, const std::vector<Ipv6Address>& places) {
  const Flow& flow = session.to_bridge;
  if (flow.families == Families::k4To4) {
    const FlowKey<Ipv4>& in = flow.v4.match;
    const FlowKey<Ipv4>& out = flow.v4.rewritten;
    return {{Ipv6Address::Mapped(in.source), in.source_port},
            {Ipv6Address::Mapped(in.destination), in.destination_port},
            {Ipv6Address::Mapped(out.source), out.source_port},
            {Ipv6Address::Mapped(out.destination), out.destination_port}};
  }
  const Endpoints& ends = flow.endpoints;
  return {{ends.client, ends.client_port},
          {places.at(ends.listener), ends.listener_port},
          {ends.nat == kNoPlace ? ends.client : places.at(ends.nat), ends.nat_port},
          {places.at(ends.bridge), ends.bridge_port}};
}

absl::StatusOr<api::SessionsPage> ListSessions(const SessionSources& sources,
                                               const api::SessionsQuery& query) {
  constexpr uint32_t kMaxPage = 10'000;
  constexpr size_t kMaxScan = 1 << 20;
  if (query.limit() == 0 || query.limit() > kMaxPage) {
    return absl::InvalidArgumentError(fmt::format("limit must be 1..{}", kMaxPage));
  }
  api::SessionsPage page;
  const size_t capacity = sources.workers.front()->shard().capacity();
  const size_t all = capacity * sources.workers.size();
  // A filter may match nothing for long: bounded, so that the caller's other work is not held up.
  const size_t end = std::min<size_t>(all, query.cursor() + kMaxScan);
  for (size_t at = query.cursor(); at < end; ++at) {
    const Worker& worker = *sources.workers[at / capacity];
    Session session;
    if (!worker.shard().Copy(at % capacity, session)) continue;
    const std::string& bridge = sources.bridges.at(session.to_bridge.bridge);
    if (!query.bridge().empty() && query.bridge() != bridge) continue;
    if (!query.client().empty() && query.client() != AddressBytes(session.client_address()))
      continue;
    if (page.sessions_size() == static_cast<int>(query.limit())) {
      page.set_next_cursor(at);
      return page;
    }
    api::Session& out = *page.add_sessions();
    FillSession(session, sources.places, worker.Now(), out);
    out.set_worker(static_cast<uint32_t>(at / capacity));
    out.set_listener(sources.listeners.at(session.to_bridge.listener));
    out.set_bridge(bridge);
  }
  if (end < all) page.set_next_cursor(end);
  return page;
}

}  // namespace bridgehead
