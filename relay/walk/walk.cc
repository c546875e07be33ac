#include "relay/walk/walk.h"

#include <algorithm>
#include <utility>

#include "relay/net/stun.h"
#include "relay/walk/admit.h"
#include "relay/walk/icmp.h"
#include "relay/walk/lookup.h"
#include "relay/walk/parse.h"
#include "relay/walk/rewrite.h"

namespace bridgehead {
namespace {

// Packets that may be cut: the sender allows it (RFC 791), or the translated packet says so (RFC
// 7915 section 5.1). An IPv6 sender does not (RFC 8200 section 5).
template <class Family>
bool MayBeCut(const Packet& packet, const Flow& flow) {
  if constexpr (std::is_same_v<Family, Ipv4>) {
    return (packet.Ip<Ipv4>().fragment.ToHost() & kIpv4DontFragment) == 0;
  } else {
    return flow.families == Families::k6To4 &&
           packet.ip_length + Growth<Ipv6>(flow) <= kSmallestMtuOverIpv4;
  }
}

template <class Family>
bool Fits(const Packet& packet, const Flow& flow, uint16_t mtu) {
  return packet.ip_length + Growth<Family>(flow) <=
         MtuOf<Family>(flow, mtu, MayBeCut<Family>(packet, flow));
}

}  // namespace

Walk::Walk(SessionShard& shard, const Steering& steering, std::vector<PortTraits> ports,
           WorkerCounters& counters, ResolveQueue& resolve, BufferSource& buffers)
    : shard_(shard),
      steering_(steering),
      ports_(std::move(ports)),
      counters_(counters),
      tally_(counters),
      hold_(resolve),
      buffers_(buffers) {
  more_.reserve(kMostMore);
}

void Walk::Run(std::span<Packet> burst, const Snapshot& snapshot, uint32_t now) {
  if (steering_.workers() > 1) {
    RunBurst<true>(burst, snapshot, now);
  } else {
    RunBurst<false>(burst, snapshot, now);
  }
}

// In pieces of the burst, each of which is a stage behind the one after it: while the lines of one
// piece are on their way from memory, the others are worked on, and no more lines are asked for at
// a time than a core can wait for.
template <bool kSteer>
void Walk::RunBurst(std::span<Packet> burst, const Snapshot& snapshot, uint32_t now) {
  constexpr size_t kPiece = 16;
  const auto piece = [&](size_t begin) {
    return begin < burst.size() ? burst.subspan(begin, std::min(kPiece, burst.size() - begin))
                                : std::span<Packet>();
  };
  const WaysOut ways(*snapshot.forwarding);
  for (size_t begin = 0; begin < burst.size() + 2 * kPiece; begin += kPiece) {
    for (Packet& packet : piece(begin)) ParseAndBegin<kSteer>(packet, snapshot);
    if (begin < kPiece) continue;
    for (Packet& packet : piece(begin - kPiece)) {
      if (packet.verdict == Verdict::kOpen && packet.kind == PacketKind::kUdp) {
        FindCandidate(packet, shard_);
      }
    }
    if (begin < 2 * kPiece) continue;
    for (Packet& packet : piece(begin - 2 * kPiece)) Forward(packet, snapshot, ways, now);
  }
  tally_.Flush();
  CountHeld();
}

template <bool kSteer>
inline void Walk::ParseAndBegin(Packet& packet, const Snapshot& snapshot) {
  const Drop drop = packet.verdict == Verdict::kOpen
                        ? Parse(packet, ports_[packet.port], *snapshot.forwarding)
                        : packet.drop;
  if (drop != Drop::kNone) [[unlikely]]
    return packet.End(drop);
  if (packet.ipv6) {
    Begin<kSteer, Ipv6>(packet, snapshot);
  } else {
    Begin<kSteer, Ipv4>(packet, snapshot);
  }
}

inline void Walk::Forward(Packet& packet, const Snapshot& snapshot, const WaysOut& ways,
                          uint32_t now) {
  if (packet.verdict != Verdict::kOpen) return;
  if (packet.ipv6) {
    if (!ForwardPlain<Ipv6>(packet, snapshot, ways, now)) Finish<Ipv6>(packet, snapshot, now);
  } else {
    if (!ForwardPlain<Ipv4>(packet, snapshot, ways, now)) Finish<Ipv4>(packet, snapshot, now);
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
  if (packet.kind == PacketKind::kUdp) [[likely]] {
    if (Steer<kSteer>(packet, packet.Key<Family>(), snapshot)) BeginLookup<Family>(packet, shard_);
  } else if (packet.kind == PacketKind::kIcmpError) {
    // It belongs where the packets belong that it is an answer to.
    Steer<kSteer>(packet, QuotedAnswer<Family>(packet), snapshot);
  } else if (kSteer && !packet.ordered) {
    packet.egress = steering_.OwnerOfDatagram(FragmentOf<Family>(packet).key.Hash());
    if (packet.egress != shard_.worker()) packet.verdict = Verdict::kHandoff;
  }
}

// False: the packet is not plain, or not of an established session; nothing has been done to it.
template <class Family>
inline bool Walk::ForwardPlain(Packet& packet, const Snapshot& snapshot, const WaysOut& ways,
                               uint32_t now) {
  Flow* flow = packet.flow;  // null for fragments and ICMP errors
  if (flow == nullptr || !Takes(*flow, packet, packet.Key<Family>(), snapshot)) [[unlikely]]
    return false;
  const Adjacency* adjacency = PlainWayOut<Family>(packet, *flow, ways);
  if (adjacency == nullptr) [[unlikely]]
    return false;
  Account(*flow, packet.ip_length, now);
  RewritePlain<Family>(packet.frame + packet.ip_offset, *flow, snapshot);
  WriteEthernet(packet, *adjacency);
  return true;
}

// Whatever is not plain.
template <class Family>
[[gnu::noinline]] void Walk::Finish(Packet& packet, const Snapshot& snapshot, uint32_t now) {
  if (packet.kind != PacketKind::kUdp) {
    return packet.kind == PacketKind::kFragment ? OrderFragment<Family>(packet, snapshot, now)
                                                : Error<Family>(packet, snapshot, now);
  }
  Drop drop = Drop::kNone;
  if (!ConfirmFlow<Family>(packet, shard_, snapshot)) {
    drop = Admit<Family>(packet, shard_, ports_[packet.port], snapshot, now);
  } else if (packet.flow->direction == Direction::kToBridge && !IsRtp(packet)) [[unlikely]] {
    drop = FollowClient<Family>(packet, shard_, ports_[packet.port], snapshot, now);
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
  if (Family::HopLimit(packet.Ip<Family>()) <= 1) [[unlikely]] {
    return Complain<Family>(packet, Drop::kTtlExpired, Complaint::kTimeExceeded, 0, snapshot, now);
  }
  const uint16_t mtu = adjacency != nullptr ? adjacency->next_hop.mtu : MtuOfRoute(flow, snapshot);
  const bool fits = Fits<Family>(packet, flow, mtu);
  if (!fits && !MayBeCut<Family>(packet, flow)) [[unlikely]] {
    return Complain<Family>(packet, Drop::kEgressMtu, Complaint::kTooLarge,
                            static_cast<uint16_t>(mtu - Growth<Family>(flow)), snapshot, now);
  }
  if (flow.direction == Direction::kToClient) {
    if ((flow.state & kAnswered) == 0 && !IsStunError({packet.Payload(), PayloadSize(packet)}))
        [[unlikely]] {
      shard_.Answered(flow);
    }
  } else if ((flow.state & (kAnswered | kConfirmed)) == kAnswered) [[unlikely]] {
    shard_.Confirm(flow);
  }
  Account(flow, packet.ip_length, now);
  if (!fits) [[unlikely]]
    return Cut<Family>(packet, adjacency, mtu, snapshot, now);
  RewriteHeaders<Family>(
      packet, flow, snapshot,
      adjacency != nullptr && ports_[adjacency->next_hop.port].tx_checksum_offload);
  if (adjacency == nullptr) [[unlikely]]
    return Hold(packet, snapshot, now);
  WriteEthernet(packet, *adjacency);
}

// Too large for its way out, and its sender lets it be cut.
template <class Family>
void Walk::Cut(Packet& packet, const Adjacency* adjacency, uint16_t mtu, const Snapshot& snapshot,
               uint32_t now) {
  const Flow& flow = *packet.flow;
  uint32_t id = 0;
  if constexpr (std::is_same_v<Family, Ipv4>) id = packet.Ip<Ipv4>().identification.ToHost();
  RewriteHeaders<Family>(packet, flow, snapshot, /*port_finishes=*/false);
  SendInPieces(packet, MtuOf<Family>(flow, mtu, /*in_fragments=*/true), id, adjacency, snapshot,
               now);
}

// `adjacency` null: the pieces wait for their next hop.
void Walk::SendInPieces(Packet& packet, uint16_t mtu, uint32_t id, const Adjacency* adjacency,
                        const Snapshot& snapshot, uint32_t now) {
  const size_t before = more_.size();
  // What waits must find room there, too.
  if (before + kMostPieces > kMostMore - FragmentTable::kHeld - kBurst)
    return packet.End(Drop::kNoBuffer);
  Drop drop = packet.ipv6 ? Split<Ipv6>(packet, mtu, id, buffers_, more_)
                          : Split<Ipv4>(packet, mtu, id, buffers_, more_);
  if (drop != Drop::kNone) return packet.End(drop);
  counters_.fragments_made.Add(more_.size() - before);
  auto send = [&](Packet& piece) {
    if (adjacency != nullptr) return WriteEthernet(piece, *adjacency);
    Hold(piece, snapshot, now);
  };
  send(packet);
  for (size_t i = before; i < more_.size(); ++i) {
    more_[i].kind = PacketKind::kFragment;  // it has no ports
    send(more_[i]);
  }
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

// Of a way out whose next hop is not resolved. Without a way there is a drop of its own.
uint16_t Walk::MtuOfRoute(Flow& flow, const Snapshot& snapshot) const {
  const Session& session = Session::Of(flow);
  auto hop = snapshot.forwarding->Route(flow.direction == Direction::kToBridge
                                            ? session.bridge_address(snapshot.places)
                                            : session.client_address());
  return hop ? hop->mtu : UINT16_MAX;
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
  if (drop == Drop::kNone) {
    packet.verdict = Verdict::kHold;
    return;
  }
  packet.End(drop);
  Unreachable(packet, snapshot, now);
}

}  // namespace bridgehead
