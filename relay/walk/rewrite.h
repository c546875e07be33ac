// Stage 5, rewrite: the packet becomes what leaves, in the buffer it came in.
//
// Addresses, ports, TTL or hop limit, checksums, and between IPv6 and IPv4 the IP header itself
// (RFC 7915); then the Ethernet header of the adjacency. The payload is not touched: STUN's
// MESSAGE-INTEGRITY covers it.
//
// Checksums are updated from the session's deltas (RFC 1624). A packet whose UDP checksum is only
// the pseudo header's sum (a kernel socket's, on veth or virtio) gets a full one instead: from the
// port it leaves by where that can, and here otherwise.
#pragma once

#include <cstring>
#include <type_traits>

#include "relay/net/checksum.h"
#include "relay/walk/forwarding.h"
#include "relay/walk/icmp_build.h"
#include "relay/walk/packet.h"
#include "relay/walk/snapshot.h"

namespace bridgehead {

// RFC 7915 section 5.1: packets up to this size may be fragmented behind the relay, larger ones may
// not, so that path MTU discovery works.
inline constexpr uint16_t kSmallestMtuOverIpv4 = 1260;

// The packet's UDP checksum in full. `port_finishes`: the pseudo header's sum only.
template <class Family>
inline void WriteUdpChecksum(Packet& packet, bool port_finishes) {
  const auto& ip = packet.Ip<Family>();
  auto& udp = packet.Udp<Family>();
  uint64_t sum = PseudoHeaderSum(ip.source, ip.destination, kProtocolUdp, udp.length.ToHost());
  if (port_finishes) {
    udp.checksum = be16::FromRaw(FoldChecksum(sum));
    packet.offload_checksum = true;
    return;
  }
  udp.checksum = be16();
  auto checksum = static_cast<uint16_t>(~FoldChecksum(SumBytes(&udp, udp.length.ToHost(), sum)));
  udp.checksum = be16::FromRaw(checksum == 0 ? 0xffff : checksum);
}

// IPv6 has no header checksum: this is the tuple alone.
inline void WriteTuple(Packet& packet, const Flow& flow, const Snapshot& snapshot) {
  const Endpoints& ends = flow.endpoints;
  auto& key = const_cast<FlowKey<Ipv6>&>(packet.Key<Ipv6>());
  if (flow.direction == Direction::kToBridge) {
    if (ends.nat != kNoPlace) key.source = snapshot.AddressAt(ends.nat);
    key.destination = snapshot.AddressAt(ends.bridge);
    key.source_port = ends.nat_port;
    key.destination_port = ends.bridge_port;
  } else {
    key.source = snapshot.AddressAt(ends.listener);
    key.destination = ends.client;
    key.source_port = ends.listener_port;
    key.destination_port = ends.client_port;
  }
}

// RFC 7915 section 5.1. The IPv4 header takes the place of the last 20 bytes of the IPv6 one.
inline void MakeIpv4(Packet& packet, const Flow& flow, const Snapshot& snapshot) {
  const Ipv6Header from = packet.Ip<Ipv6>();
  constexpr size_t kShrink = sizeof(Ipv6Header) - sizeof(Ipv4Header);
  packet.ip_offset = static_cast<uint8_t>(packet.ip_offset + kShrink);
  packet.ip_length = static_cast<uint16_t>(packet.ip_length - kShrink);
  packet.ipv6 = false;
  Ipv4Header& ip = packet.Ip<Ipv4>();
  const Endpoints& ends = flow.endpoints;
  ip = Ipv4Header{};
  ip.version_ihl = 0x45;
  ip.tos = static_cast<uint8_t>(from.version_class_flow.ToHost() >> 20);
  ip.total_length = be16::FromHost(packet.ip_length);
  ip.fragment =
      be16::FromHost(packet.ip_length > kSmallestMtuOverIpv4 ? kIpv4DontFragment : uint16_t{0});
  // Only what may be fragmented needs one (RFC 6864). The packet count makes it new each time.
  if (ip.fragment.Raw() == 0)
    ip.identification = be16::FromHost(static_cast<uint16_t>(flow.packets));
  ip.ttl = static_cast<uint8_t>(from.hop_limit - 1);
  ip.protocol = kProtocolUdp;
  ip.source = snapshot.AddressAt(ends.nat).Unmapped();
  ip.destination = snapshot.AddressAt(ends.bridge).Unmapped();
  ip.checksum = be16::FromRaw(static_cast<uint16_t>(~FoldChecksum(SumBytes(&ip, sizeof(ip)))));
  auto& udp = packet.Udp<Ipv4>();
  udp.source = ends.nat_port;
  udp.destination = ends.bridge_port;
}

// RFC 7915 section 4.1. Needs 20 bytes in front of the packet.
inline void MakeIpv6(Packet& packet, const Flow& flow, const Snapshot& snapshot) {
  const Ipv4Header from = packet.Ip<Ipv4>();
  constexpr size_t kGrow = sizeof(Ipv6Header) - sizeof(Ipv4Header);
  uint8_t* start = packet.frame + packet.ip_offset - kGrow;
  packet.frame -= kGrow;
  packet.length += kGrow;
  packet.ip_length = static_cast<uint16_t>(packet.ip_length + kGrow);
  packet.ipv6 = true;
  auto& ip = *reinterpret_cast<Ipv6Header*>(start);
  const Endpoints& ends = flow.endpoints;
  ip.version_class_flow = be32::FromHost(6u << 28 | uint32_t{from.tos} << 20);
  ip.payload_length = be16::FromHost(static_cast<uint16_t>(packet.ip_length - sizeof(Ipv6Header)));
  ip.next_header = kProtocolUdp;
  ip.hop_limit = static_cast<uint8_t>(from.ttl - 1);
  ip.source = snapshot.AddressAt(ends.listener);
  ip.destination = ends.client;
  auto& udp = packet.Udp<Ipv6>();
  udp.source = ends.listener_port;
  udp.destination = ends.client_port;
}

// Addresses and ports of this flow's packets when they leave.
template <class Out>
inline FlowKey<Out> Leaving(const Flow& flow, const Snapshot& snapshot) {
  if constexpr (std::is_same_v<Out, Ipv4>) {
    if (flow.families == Families::k4To4) return flow.v4.rewritten;
  }
  const Endpoints& ends = flow.endpoints;
  if (flow.direction == Direction::kToClient) {
    return {Out::From(snapshot.AddressAt(ends.listener)), Out::From(ends.client),
            ends.listener_port, ends.client_port};
  }
  const Ipv6Address& nat = ends.nat == kNoPlace ? ends.client : snapshot.AddressAt(ends.nat);
  return {Out::From(nat), Out::From(snapshot.AddressAt(ends.bridge)), ends.nat_port,
          ends.bridge_port};
}

// What a packet of this flow is when it leaves.
template <class In>
constexpr bool LeavesAsIpv6(const Flow& flow) {
  if constexpr (std::is_same_v<In, Ipv4>) {
    return flow.families != Families::k4To4;
  } else {
    return flow.families == Families::k6To6;
  }
}

// How much larger than it arrived a packet of this flow leaves.
template <class In>
constexpr int Growth(const Flow& flow) {
  constexpr int kDifference = sizeof(Ipv6Header) - sizeof(Ipv4Header);
  if constexpr (std::is_same_v<In, Ipv4>) {
    return flow.families == Families::k4To4 ? 0 : kDifference;
  } else {
    return flow.families == Families::k6To6 ? 0 : -kDifference;
  }
}

// How large what leaves may be: what is sent to IPv6 in fragments fits any IPv6 path (RFC 7915
// section 4.1), since no error of such a path could tell its sender.
template <class In>
inline uint16_t MtuOf(const Flow& flow, uint16_t mtu, bool in_fragments) {
  if (!std::is_same_v<In, Ipv4> || flow.families == Families::k4To4 || !in_fragments) return mtu;
  return mtu < kSmallestMtuOfIpv6 ? mtu : kSmallestMtuOfIpv6;
}

inline void UpdateUdpChecksum(be16& checksum, const Flow& flow) {
  checksum = be16::FromRaw(ApplyUdpDelta(checksum.Raw(), flow.transport_delta));
}

// Layers 3 and 4. The TTL must have been checked. `port_finishes`: the egress port is known and
// computes UDP checksums.
template <class In>
inline void RewriteHeaders(Packet& packet, const Flow& flow, const Snapshot& snapshot,
                           bool port_finishes) {
  if constexpr (std::is_same_v<In, Ipv4>) {
    if (flow.families == Families::k4To4) [[likely]] {
      auto& ip = packet.Ip<Ipv4>();
      --ip.ttl;
      ip.checksum = be16::FromRaw(ApplyDelta(ip.checksum.Raw(), flow.v4.address_delta));
      // Addresses and ports are neighbours in the packet as they are in the flow.
      memcpy(packet.frame + packet.ip_offset + Ipv4::kKeyOffset, &flow.v4.rewritten,
             sizeof(flow.v4.rewritten));
      if (packet.partial_checksum) [[unlikely]]
        return WriteUdpChecksum<Ipv4>(packet, port_finishes);
      return UpdateUdpChecksum(packet.Udp<Ipv4>().checksum, flow);
    }
    MakeIpv6(packet, flow, snapshot);
    // Over IPv6 there is no UDP without a checksum (RFC 8200 section 8.1, RFC 7915 section 4.5).
    auto& checksum = packet.Udp<Ipv6>().checksum;
    if (packet.partial_checksum || checksum.Raw() == 0) {
      return WriteUdpChecksum<Ipv6>(packet, packet.partial_checksum && port_finishes);
    }
    UpdateUdpChecksum(checksum, flow);
  } else {
    if (flow.families == Families::k6To6) {
      --packet.Ip<Ipv6>().hop_limit;
      WriteTuple(packet, flow, snapshot);
      if (packet.partial_checksum) return WriteUdpChecksum<Ipv6>(packet, port_finishes);
      return UpdateUdpChecksum(packet.Udp<Ipv6>().checksum, flow);
    }
    MakeIpv4(packet, flow, snapshot);
    if (packet.partial_checksum) return WriteUdpChecksum<Ipv4>(packet, port_finishes);
    UpdateUdpChecksum(packet.Udp<Ipv4>().checksum, flow);
  }
}

// Layer 2: in place of the old header, whatever its size was. The buffer has room in front.
inline void WriteEthernet(Packet& packet, const Adjacency& adjacency) {
  const uint8_t bytes = adjacency.l2_bytes;
  uint8_t* frame = packet.frame + packet.ip_offset - bytes;
  packet.frame = frame;
  packet.length = uint32_t{bytes} + packet.ip_length;
  packet.ip_offset = bytes;
  packet.egress = adjacency.next_hop.port;
  packet.verdict = Verdict::kTransmit;
  memcpy(frame, adjacency.l2.data(), 14);
  if (bytes > 14) [[unlikely]]
    memcpy(frame + 14, adjacency.l2.data() + 14, 4);
  if (!adjacency.used.load(std::memory_order_relaxed)) {
    adjacency.used.store(true, std::memory_order_relaxed);
  }
}

}  // namespace bridgehead
