#include "relay/walk/walk.h"

#include <utility>

#include "relay/walk/admit.h"
#include "relay/walk/lookup.h"
#include "relay/walk/parse.h"
#include "relay/walk/rewrite.h"

namespace bridgehead {

Walk::Walk(SessionShard& shard, const Steering& steering, std::vector<PortTraits> ports,
           WorkerCounters& counters, ResolveQueue& resolve)
    : shard_(shard),
      steering_(steering),
      ports_(std::move(ports)),
      counters_(counters),
      hold_(resolve) {}

void Walk::Run(std::span<Packet> burst, const Snapshot& snapshot, uint32_t now) {
  if (steering_.workers() > 1) {
    RunBurst<true>(burst, snapshot, now);
  } else {
    RunBurst<false>(burst, snapshot, now);
  }
}

template <bool kSteer>
void Walk::RunBurst(std::span<Packet> burst, const Snapshot& snapshot, uint32_t now) {
  for (Packet& packet : burst) {
    Drop drop = packet.verdict == Verdict::kOpen
                    ? Parse(packet, ports_[packet.port], *snapshot.forwarding)
                    : packet.drop;
    if (drop != Drop::kNone) [[unlikely]] {
      packet.End(drop);
      continue;
    }
    const LocalAddress* local = Classify(packet, snapshot);
    if constexpr (kSteer) {
      packet.egress = OwnerOf(packet, local, snapshot, steering_);
      if (packet.egress != shard_.worker()) {
        packet.verdict = Verdict::kHandoff;
        continue;
      }
    }
    BeginLookup(packet, shard_);
  }
  for (Packet& packet : burst) {
    if (packet.verdict == Verdict::kOpen) FindCandidate(packet, shard_);
  }
  for (Packet& packet : burst) {
    if (packet.verdict != Verdict::kOpen) continue;
    if (!ConfirmFlow(packet, shard_)) [[unlikely]] {
      Drop drop = Admit(packet, shard_, snapshot, now);
      if (drop != Drop::kNone) {
        packet.End(drop);
        continue;
      }
    }
    Established(packet, snapshot, now);
  }
}

void Walk::Established(Packet& packet, const Snapshot& snapshot, uint32_t now) {
  Flow<Ipv4>& flow = *packet.flow;
  const Adjacency* adjacency = WayOut(flow, snapshot);
  if (flow.ingress_port != kAnyPort && flow.ingress_port != packet.port) {
    return packet.End(Drop::kWrongIngress);
  }
  // RFC 1812 section 5.3.1: a packet whose TTL would become zero is not forwarded.
  if (packet.Ip<Ipv4>().ttl <= 1) return packet.End(Drop::kTtlExpired);
  if (adjacency != nullptr && packet.ip_length > adjacency->next_hop.mtu) {
    return packet.End(Drop::kEgressMtu);
  }
  flow.last_seen = now;
  if (flow.direction == Direction::kToClient) {
    if (flow.packets == 0) shard_.Confirm();
    for (TrafficCounters* traffic :
         {&counters_.listeners[flow.listener], &counters_.bridges[flow.bridge]}) {
      traffic->packets_to_client.Add(1);
      traffic->bytes_to_client.Add(packet.ip_length);
    }
  } else {
    for (TrafficCounters* traffic :
         {&counters_.listeners[flow.listener], &counters_.bridges[flow.bridge]}) {
      traffic->packets_to_bridge.Add(1);
      traffic->bytes_to_bridge.Add(packet.ip_length);
    }
  }
  ++flow.packets;
  flow.bytes += packet.ip_length;
  RewriteHeaders(packet, flow,
                 adjacency != nullptr && ports_[adjacency->next_hop.port].tx_checksum_offload);
  if (adjacency == nullptr) [[unlikely]]
    return Hold(packet, snapshot, now);
  WriteEthernet(packet, *adjacency);
}

// The resolved adjacency of the flow, or nullptr.
const Adjacency* Walk::WayOut(Flow<Ipv4>& flow, const Snapshot& snapshot) {
  const Forwarding& forwarding = *snapshot.forwarding;
  if (flow.route_generation != forwarding.generation() || flow.adjacency == kNoAdjacency)
      [[unlikely]] {
    Reroute(flow, snapshot);
  }
  const Adjacency* adjacency = forwarding.Get(flow.adjacency);
  if (adjacency == nullptr || adjacency->state != Adjacency::State::kResolved) return nullptr;
  return adjacency;
}

void Walk::Reroute(Flow<Ipv4>& flow, const Snapshot& snapshot) {
  const Forwarding& forwarding = *snapshot.forwarding;
  auto hop = forwarding.Route(flow.rewritten.destination);
  flow.adjacency = hop ? forwarding.Find(*hop) : kNoAdjacency;
  // What may come in follows from where the peer is now.
  if (flow.direction == Direction::kToClient) {
    auto back = forwarding.Route(flow.match.source);
    if (back) flow.ingress_port = back->port;
  }
  flow.route_generation = forwarding.generation();
}

void Walk::Hold(Packet& packet, const Snapshot& snapshot, uint32_t now) {
  Drop drop = hold_.Add(packet, snapshot, now);
  if (drop != Drop::kNone) return packet.End(drop);
  packet.verdict = Verdict::kHold;
  counters_.held.Set(hold_.held());
}

}  // namespace bridgehead
