#include "relay/walk/walk.h"

#include <utility>

#include "relay/net/stun.h"
#include "relay/walk/admit.h"
#include "relay/walk/icmp.h"
#include "relay/walk/lookup.h"
#include "relay/walk/parse.h"
#include "relay/walk/rewrite.h"

namespace bridgehead {
namespace {

size_t PayloadSize(const Packet& packet) {
  const size_t headers =
      (packet.ipv6 ? Ipv6::kHeaderBytes : Ipv4::kHeaderBytes) + sizeof(UdpHeader);
  return packet.ip_length - headers;
}

// Could this be a STUN Binding Request? Says no to nearly all media by two bytes that lie in the
// cache line of the headers.
bool LooksLikeRequest(const Packet& packet) {
  const uint8_t* payload = packet.Payload();
  return PayloadSize(packet) >= kStunHeaderBytes && payload[0] == 0 && payload[1] == 1;
}

}  // namespace

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
    if (packet.ipv6) {
      Begin<kSteer, Ipv6>(packet, snapshot);
    } else {
      Begin<kSteer, Ipv4>(packet, snapshot);
    }
  }
  for (Packet& packet : burst) {
    if (packet.verdict == Verdict::kOpen && !packet.icmp) FindCandidate(packet, shard_);
  }
  for (Packet& packet : burst) {
    if (packet.verdict != Verdict::kOpen) continue;
    if (packet.ipv6) {
      Finish<Ipv6>(packet, snapshot, now);
    } else {
      Finish<Ipv4>(packet, snapshot, now);
    }
  }
}

// False: the packet is another worker's.
template <bool kSteer, class Family>
bool Walk::Steer(Packet& packet, const FlowKey<Family>& key, const Snapshot& snapshot) {
  const LocalAddress* local = Classify(packet, key, snapshot);
  if constexpr (kSteer) {
    packet.egress = OwnerOf(packet, key, local, snapshot, steering_);
    if (packet.egress != shard_.worker()) {
      packet.verdict = Verdict::kHandoff;
      return false;
    }
  }
  return true;
}

template <bool kSteer, class Family>
void Walk::Begin(Packet& packet, const Snapshot& snapshot) {
  // An ICMP error belongs where the packets belong that it is an answer to.
  if (packet.icmp) [[unlikely]] {
    Steer<kSteer>(packet, QuotedAnswer<Family>(packet), snapshot);
  } else if (Steer<kSteer>(packet, packet.Key<Family>(), snapshot)) {
    BeginLookup<Family>(packet, shard_);
  }
}

template <class Family>
void Walk::Finish(Packet& packet, const Snapshot& snapshot, uint32_t now) {
  if (packet.icmp) [[unlikely]]
    return Error<Family>(packet, snapshot, now);
  Drop drop = Drop::kNone;
  if (!ConfirmFlow<Family>(packet, shard_, snapshot)) [[unlikely]] {
    drop = Admit<Family>(packet, shard_, snapshot, now);
  } else if (packet.flow->direction == Direction::kToBridge && LooksLikeRequest(packet))
      [[unlikely]] {
    drop = FollowUfrag<Family>(packet, shard_, snapshot, now);
  }
  if (drop != Drop::kNone) return packet.End(drop);
  Established<Family>(packet, snapshot, now);
}

template <class Family>
void Walk::Established(Packet& packet, const Snapshot& snapshot, uint32_t now) {
  Flow& flow = *packet.flow;
  const Adjacency* adjacency = WayOut(flow, snapshot);
  if (flow.ingress_port != kAnyPort && flow.ingress_port != packet.port) {
    return packet.End(Drop::kWrongIngress);
  }
  // RFC 1812 section 5.3.1, RFC 8200 section 3: a packet whose TTL or hop limit would become zero
  // is not forwarded.
  if (Family::HopLimit(packet.Ip<Family>()) <= 1) return packet.End(Drop::kTtlExpired);
  if (adjacency != nullptr && packet.ip_length + Growth<Family>(flow) > adjacency->next_hop.mtu) {
    return packet.End(Drop::kEgressMtu);
  }
  flow.last_seen = now;
  if (flow.direction == Direction::kToClient) {
    if ((flow.state & kAnswered) == 0 && !IsStunError({packet.Payload(), PayloadSize(packet)}))
        [[unlikely]] {
      shard_.Answered(flow);
    }
    for (TrafficCounters* traffic :
         {&counters_.listeners[flow.listener], &counters_.bridges[flow.bridge]}) {
      traffic->packets_to_client.Add(1);
      traffic->bytes_to_client.Add(packet.ip_length);
    }
  } else {
    if ((flow.state & (kAnswered | kConfirmed)) == kAnswered) [[unlikely]]
      shard_.Confirm(flow);
    for (TrafficCounters* traffic :
         {&counters_.listeners[flow.listener], &counters_.bridges[flow.bridge]}) {
      traffic->packets_to_bridge.Add(1);
      traffic->bytes_to_bridge.Add(packet.ip_length);
    }
  }
  ++flow.packets;
  flow.bytes += packet.ip_length;
  RewriteHeaders<Family>(
      packet, flow, snapshot,
      adjacency != nullptr && ports_[adjacency->next_hop.port].tx_checksum_offload);
  if (adjacency == nullptr) [[unlikely]]
    return Hold(packet, snapshot, now);
  WriteEthernet(packet, *adjacency);
}

// An ICMP error about a packet that was sent here. It says nothing about whether the session lives
// (RFC 5508 section 4.2, RFC 4787 section 4.3): it is forwarded, and changes nothing.
template <class Family>
void Walk::Error(Packet& packet, const Snapshot& snapshot, uint32_t now) {
  Drop drop = FindQuoted<Family>(packet, shard_, snapshot);
  if (drop == Drop::kNone && Family::HopLimit(packet.Ip<Family>()) <= 1) drop = Drop::kTtlExpired;
  if (drop == Drop::kNone) drop = TranslateIcmp<Family>(packet, snapshot);
  if (drop != Drop::kNone) return packet.End(drop);
  const Adjacency* adjacency = WayOut(*packet.flow, snapshot);
  if (adjacency == nullptr) return Hold(packet, snapshot, now);
  if (packet.ip_length > adjacency->next_hop.mtu) return packet.End(Drop::kEgressMtu);
  WriteEthernet(packet, *adjacency);
}

// The resolved adjacency of the flow, or nullptr.
const Adjacency* Walk::WayOut(Flow& flow, const Snapshot& snapshot) {
  const Forwarding& forwarding = *snapshot.forwarding;
  if (flow.route_generation != forwarding.generation() || flow.adjacency == kNoAdjacency)
      [[unlikely]] {
    Reroute(flow, snapshot);
  }
  const Adjacency* adjacency = forwarding.Get(flow.adjacency);
  if (adjacency == nullptr || adjacency->state != Adjacency::State::kResolved) return nullptr;
  return adjacency;
}

void Walk::Reroute(Flow& flow, const Snapshot& snapshot) {
  const Forwarding& forwarding = *snapshot.forwarding;
  const Session& session = Session::Of(flow);
  Ipv6Address from = session.client_address();
  Ipv6Address to = session.bridge_address(snapshot.places);
  if (flow.direction == Direction::kToClient) std::swap(from, to);
  auto hop = forwarding.Route(to);
  flow.adjacency = hop ? forwarding.Find(*hop) : kNoAdjacency;
  // Who may only come in where its route leads out follows its route.
  if (flow.ingress_port != kAnyPort) {
    auto back = forwarding.Route(from);
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
