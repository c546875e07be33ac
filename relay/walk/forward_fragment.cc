// The walk of fragments, in place of look-up and rewrite: in order, to the session's worker, and
// out with what their packet's first one has found.
#include <cstring>
#include <type_traits>

#include "relay/net/checksum.h"
#include "relay/walk/admit.h"
#include "relay/walk/icmp_build.h"
#include "relay/walk/lookup.h"
#include "relay/walk/rewrite.h"
#include "relay/walk/split.h"
#include "relay/walk/walk.h"

namespace bridgehead {
namespace {

template <class Family>
FlowKey<Family> KeyOf(const Fragment& first) {
  return {Family::From(first.key.source), Family::From(first.key.destination), first.udp().source,
          first.udp().destination};
}

// Whether its sender lets a fragment be cut further: in IPv6 no one does (RFC 8200 section 5), what
// becomes IPv4 has no say in it (RFC 7915 section 5.1.1).
template <class Family>
bool FragmentMayBeCut(const Packet& packet, const Flow& flow) {
  if constexpr (std::is_same_v<Family, Ipv4>) {
    return (packet.Ip<Ipv4>().fragment.ToHost() & kIpv4DontFragment) == 0;
  } else {
    return !LeavesAsIpv6<Ipv6>(flow);
  }
}

// How much larger than it arrived a fragment leaves.
template <class Family>
int GrowthOfFragment(const Flow& flow) {
  constexpr int kDifference = sizeof(Ipv6Header) + sizeof(Ipv6FragmentHeader) - sizeof(Ipv4Header);
  if (LeavesAsIpv6<Family>(flow) == std::is_same_v<Family, Ipv6>) return 0;
  return LeavesAsIpv6<Family>(flow) ? kDifference : -kDifference;
}

// RFC 7915 sections 4.1 and 5.1.1: the other family's fields for the same place in the packet.
void WriteHeader(Packet& packet, const Fragment& fragment, uint8_t hops, uint8_t traffic_class,
                 Ipv4) {
  packet.ip_length = static_cast<uint16_t>(sizeof(Ipv4Header) + fragment.bytes);
  packet.ip_offset = static_cast<uint8_t>(fragment.payload - sizeof(Ipv4Header) - packet.frame);
  packet.ipv6 = false;
  auto& ip = packet.Ip<Ipv4>();
  ip = Ipv4Header{};
  ip.version_ihl = 0x45;
  ip.tos = traffic_class;
  ip.total_length = be16::FromHost(packet.ip_length);
  ip.identification = be16::FromHost(static_cast<uint16_t>(fragment.key.id));
  ip.fragment = be16::FromHost(
      static_cast<uint16_t>(fragment.offset / 8 | (fragment.more ? kIpv4MoreFragments : 0)));
  ip.ttl = hops;
  ip.protocol = kProtocolUdp;
}
void WriteHeader(Packet& packet, const Fragment& fragment, uint8_t hops, uint8_t traffic_class,
                 Ipv6) {
  constexpr size_t kHeaders = sizeof(Ipv6Header) + sizeof(Ipv6FragmentHeader);
  packet.ip_length = static_cast<uint16_t>(kHeaders + fragment.bytes);
  packet.ip_offset = sizeof(EthernetHeader);
  packet.frame = fragment.payload - kHeaders - packet.ip_offset;
  packet.ipv6 = true;
  auto& ip = packet.Ip<Ipv6>();
  ip.version_class_flow = be32::FromHost(6u << 28 | uint32_t{traffic_class} << 20);
  ip.payload_length = be16::FromHost(static_cast<uint16_t>(packet.ip_length - sizeof(ip)));
  ip.next_header = kProtocolFragment;
  ip.hop_limit = hops;
  *reinterpret_cast<Ipv6FragmentHeader*>(&ip + 1) = {
      kProtocolUdp, 0,
      be16::FromHost(
          static_cast<uint16_t>(fragment.offset | (fragment.more ? kIpv6MoreFragments : 0))),
      be32::FromHost(fragment.key.id)};
}

// The fragment as it leaves, but for the Ethernet header.
template <class In, class Out>
void RewriteFragment(Packet& packet, const Fragment& fragment, const Flow& flow,
                     const Snapshot& snapshot) {
  auto& before = packet.Ip<In>();
  const auto hops = static_cast<uint8_t>(In::HopLimit(before) - 1);
  if constexpr (std::is_same_v<In, Out>) {
    In::HopLimit(before) = hops;
  } else {
    WriteHeader(packet, fragment, hops, TrafficClass(before), Out());
  }
  const FlowKey<Out> leaves = Leaving<Out>(flow, snapshot);
  auto& ip = packet.Ip<Out>();
  ip.source = leaves.source;
  ip.destination = leaves.destination;
  if constexpr (std::is_same_v<Out, Ipv4>) SealIp(ip);
  if (fragment.first()) {
    UdpHeader& udp = fragment.udp();
    udp.source = leaves.source_port;
    udp.destination = leaves.destination_port;
    UpdateUdpChecksum(udp.checksum, flow);
  }
}

}  // namespace

template <class Family>
void Walk::OrderFragment(Packet& packet, const Snapshot& snapshot, uint32_t now) {
  if (packet.ordered) return ForwardFragment<Family>(packet, snapshot, now);
  const Fragment fragment = FragmentOf<Family>(packet);
  if (fragment.whole()) {  // RFC 6946: nothing to do with others of this identification
    const FlowKey<Family> key = KeyOf<Family>(fragment);
    const LocalAddress* local = Classify(packet, key, snapshot);
    return ToOwner<Family>(packet, OwnerOf(packet, key, local, snapshot, steering_), snapshot, now);
  }
  auto give_up = [this](const Packet& other) { more_.push_back(other); };
  FragmentTable::Datagram& datagram = fragments_.FindOrMake(fragment.key, now, give_up);
  using State = FragmentTable::Datagram::State;
  if (datagram.state == State::kRefused) return packet.End(datagram.drop);
  bool whole_packet = false;
  Drop drop = fragments_.Note(datagram, fragment, whole_packet);
  if (drop != Drop::kNone) {
    if (whole_packet) fragments_.Refuse(datagram, drop, give_up);
    return packet.End(drop);
  }
  if (datagram.state == State::kWaits && !fragment.first()) {
    drop = fragments_.Hold(datagram, packet, give_up);
    if (drop != Drop::kNone) return packet.End(drop);
    packet.verdict = Verdict::kHold;
    return;
  }
  if (fragment.first()) {
    const FlowKey<Family> key = KeyOf<Family>(fragment);
    const LocalAddress* local = Classify(packet, key, snapshot);
    datagram.owner = OwnerOf(packet, key, local, snapshot, steering_);
    datagram.state = State::kOpen;
  }
  ToOwner<Family>(packet, datagram.owner, snapshot, now);
  fragments_.Release(datagram, [&](Packet held) {
    held.verdict = Verdict::kOpen;
    ToOwner<Family>(held, datagram.owner, snapshot, now);
    more_.push_back(held);
  });
  if (fragments_.IsWhole(datagram)) fragments_.Forget(datagram);
}
template void Walk::OrderFragment<Ipv4>(Packet&, const Snapshot&, uint32_t);
template void Walk::OrderFragment<Ipv6>(Packet&, const Snapshot&, uint32_t);

template <class Family>
void Walk::ToOwner(Packet& packet, uint8_t owner, const Snapshot& snapshot, uint32_t now) {
  if (owner == shard_.worker()) return ForwardFragment<Family>(packet, snapshot, now);
  packet.ordered = true;
  packet.egress = owner;
  packet.verdict = Verdict::kHandoff;
}

// What the first fragment finds is remembered for the others.
template <class Family>
Drop Walk::FindFragmentFlow(Packet& packet, const Fragment& fragment, const Snapshot& snapshot,
                            uint32_t now) {
  using State = FragmentTable::Datagram::State;
  if (!fragment.first()) {
    const auto* datagram = fragments_.Find(fragment.key, now);
    if (datagram == nullptr) return Drop::kFragmentOverflow;
    if (datagram->state == State::kRefused) return datagram->drop;
    if (datagram->flow == nullptr) return Drop::kFragmentNoSession;
    packet.flow = datagram->flow;
    const uint32_t sequence = Session::Of(*packet.flow).sequence().load(std::memory_order_relaxed);
    return sequence == datagram->sequence ? Drop::kNone : Drop::kFragmentNoSession;
  }
  auto& datagram = fragments_.FindOrMake(fragment.key, now,
                                         [this](const Packet& other) { more_.push_back(other); });
  datagram.state = State::kOpen;
  const FlowKey<Family> key = KeyOf<Family>(fragment);
  Classify(packet, key, snapshot);
  packet.flow = FindFlow(packet, key, shard_, snapshot);
  Drop drop = Drop::kNone;
  if (packet.flow == nullptr) {
    drop = Drop::kFragmentNoSession;
  } else if (fragment.udp().checksum.Raw() == 0 && LeavesAsIpv6<Family>(*packet.flow)) {
    drop =
        Drop::kUdpNoChecksum;  // RFC 7915 section 4.5: it would take the whole packet to make one
  }
  if (drop == Drop::kNone && (packet.flow->state & kMedia) != 0) {
    const bool charge =
        ports_[packet.port].charge_requests && (packet.flow->state & kConfirmed) == 0;
    drop = RefuseMedia({fragment.payload + sizeof(UdpHeader), fragment.bytes - sizeof(UdpHeader)},
                       fragment.key.source, charge, shard_, snapshot, now);
  }
  if (drop != Drop::kNone) {
    datagram.state = State::kRefused;
    datagram.drop = drop;
    return drop;
  }
  datagram.flow = packet.flow;
  datagram.sequence = Session::Of(*packet.flow).sequence().load(std::memory_order_relaxed);
  return drop;
}

template <class Family>
void Walk::ForwardFragment(Packet& packet, const Snapshot& snapshot, uint32_t now) {
  const Fragment fragment = FragmentOf<Family>(packet);
  Drop drop = FindFragmentFlow<Family>(packet, fragment, snapshot, now);
  if (drop != Drop::kNone) return packet.End(drop);
  Flow& flow = *packet.flow;
  const Adjacency* adjacency = WayOut(flow, snapshot);
  if (flow.ingress_port != kAnyPort && flow.ingress_port != packet.port) {
    return packet.End(Drop::kWrongIngress);
  }
  if (Family::HopLimit(packet.Ip<Family>()) <= 1) {
    // RFC 1812 section 4.3.2.7: no error is sent about a fragment other than the first.
    if (!fragment.first()) return packet.End(Drop::kTtlExpired);
    return Complain<Family>(packet, Drop::kTtlExpired, Complaint::kTimeExceeded, 0, snapshot, now);
  }
  const int growth = GrowthOfFragment<Family>(flow);
  const bool may_be_cut = FragmentMayBeCut<Family>(packet, flow);
  const uint16_t mtu = MtuOf<Family>(
      flow, adjacency != nullptr ? adjacency->next_hop.mtu : MtuOfRoute(flow, snapshot),
      may_be_cut);
  const bool fits = packet.ip_length + growth <= mtu;
  if (!fits && !may_be_cut) {
    if (!fragment.first()) return packet.End(Drop::kEgressMtu);
    return Complain<Family>(packet, Drop::kEgressMtu, Complaint::kTooLarge,
                            static_cast<uint16_t>(mtu - growth), snapshot, now);
  }
  Account(flow, packet.ip_length, now);
  if (LeavesAsIpv6<Family>(flow)) {
    RewriteFragment<Family, Ipv6>(packet, fragment, flow, snapshot);
  } else {
    RewriteFragment<Family, Ipv4>(packet, fragment, flow, snapshot);
  }
  if (!fits) return SendInPieces(packet, mtu, fragment.key.id, adjacency, snapshot, now);
  if (adjacency == nullptr) return Hold(packet, snapshot, now);
  WriteEthernet(packet, *adjacency);
}

}  // namespace bridgehead
