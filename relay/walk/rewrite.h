// Stage 5, rewrite: the packet becomes what leaves, in the buffer it came in.
//
// Addresses, ports, TTL, both checksums, then the Ethernet header of the adjacency. The payload is
// not touched: STUN's MESSAGE-INTEGRITY covers it.
//
// Checksums are updated from the session's deltas (RFC 1624). A packet whose UDP checksum is only
// the pseudo header's sum (a kernel socket's, on veth or virtio) gets a full one instead: from the
// port it leaves by where that can, and here otherwise.
#pragma once

#include <cstring>

#include "relay/net/checksum.h"
#include "relay/walk/forwarding.h"
#include "relay/walk/packet.h"

namespace bridgehead {

inline void RewriteUdpChecksum(Packet& packet, const Flow<Ipv4>& flow, bool port_finishes) {
  auto& udp = packet.Udp<Ipv4>();
  if (!packet.partial_checksum) [[likely]] {
    udp.checksum = be16::FromRaw(ApplyUdpDelta(udp.checksum.Raw(), flow.transport_delta));
    return;
  }
  const auto& ip = packet.Ip<Ipv4>();
  uint64_t sum =
      PseudoHeaderSum(ip.source.Raw(), ip.destination.Raw(), kProtocolUdp, udp.length.ToHost());
  if (port_finishes) {
    udp.checksum = be16::FromRaw(FoldChecksum(sum));
    packet.offload_checksum = true;
    return;
  }
  udp.checksum = be16();
  auto checksum = static_cast<uint16_t>(~FoldChecksum(SumBytes(&udp, udp.length.ToHost(), sum)));
  udp.checksum = be16::FromRaw(checksum == 0 ? 0xffff : checksum);
}

// Layers 3 and 4. The TTL must have been checked. `port_finishes`: the egress port is known and
// computes UDP checksums.
inline void RewriteHeaders(Packet& packet, const Flow<Ipv4>& flow, bool port_finishes) {
  auto& ip = packet.Ip<Ipv4>();
  --ip.ttl;
  ip.checksum = be16::FromRaw(ApplyDelta(ip.checksum.Raw(), flow.address_delta));
  // Addresses and ports are neighbours in the packet as they are in the flow.
  memcpy(packet.frame + packet.ip_offset + offsetof(Ipv4Header, source), &flow.rewritten,
         sizeof(flow.rewritten));
  RewriteUdpChecksum(packet, flow, port_finishes);
}

// Layer 2: in place of the old header, whatever its size was. The buffer has room in front.
inline void WriteEthernet(Packet& packet, const Adjacency& adjacency) {
  uint8_t* ip = packet.frame + packet.ip_offset;
  packet.frame = ip - adjacency.l2_bytes;
  packet.length = adjacency.l2_bytes + packet.ip_length;
  packet.ip_offset = adjacency.l2_bytes;
  memcpy(packet.frame, adjacency.l2.data(), 14);
  if (adjacency.l2_bytes > 14) memcpy(packet.frame + 14, adjacency.l2.data() + 14, 4);
  packet.egress = adjacency.next_hop.port;
  packet.verdict = Verdict::kTransmit;
  if (!adjacency.used.load(std::memory_order_relaxed)) {
    adjacency.used.store(true, std::memory_order_relaxed);
  }
}

}  // namespace bridgehead
