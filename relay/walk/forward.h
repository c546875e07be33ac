// Stages 4 and 5 for nearly all packets: those of an established session that leave in the family
// they came in, fit their way out, which is known, and neither begin nor end anything. They need no
// decision, so the few fields that say so are looked at together.
//
// Whatever is not plain takes Walk::Established and what is behind it, which may also forward it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "relay/walk/rewrite.h"
#include "relay/walk/snapshot.h"

namespace bridgehead {

inline size_t PayloadSize(const Packet& packet) {
  const size_t headers =
      (packet.ipv6 ? Ipv6::kHeaderBytes : Ipv4::kHeaderBytes) + sizeof(UdpHeader);
  return packet.ip_length - headers;
}

// RTP or RTCP (RFC 7983 section 7), which is nearly everything, by a byte that lies in the cache
// line of the headers.
inline bool IsRtp(const Packet& packet) {
  return PayloadSize(packet) > 0 && packet.Payload()[0] >> 6 == 2;
}

// The resolved adjacencies of a burst's snapshot, at hand.
class WaysOut {
 public:
  explicit WaysOut(const Forwarding& forwarding)
      : adjacencies_(forwarding.adjacencies()), generation_(forwarding.generation()) {}

  // The flow's; nullptr: it has to be looked for, or is not resolved.
  const Adjacency* Find(const Flow& flow) const {
    if (flow.route_generation != generation_ || flow.adjacency >= adjacencies_.size()) {
      return nullptr;
    }
    const Adjacency& adjacency = adjacencies_[flow.adjacency];
    return adjacency.state == Adjacency::State::kResolved ? &adjacency : nullptr;
  }

 private:
  std::span<const Adjacency> adjacencies_;
  uint16_t generation_;
};

// The flow's state has nothing to learn from this packet of its.
inline bool ChangesNothing(const Packet& packet, const Flow& flow) {
  if (flow.direction == Direction::kToClient) return (flow.state & kAnswered) != 0;
  return (flow.state & (kAnswered | kConfirmed)) != kAnswered && IsRtp(packet);
}

// The way out of a plain packet, or nullptr.
template <class Family>
inline const Adjacency* PlainWayOut(const Packet& packet, const Flow& flow, const WaysOut& ways) {
  constexpr Families kSame = std::is_same_v<Family, Ipv4> ? Families::k4To4 : Families::k6To6;
  const Adjacency* adjacency = ways.Find(flow);
  if (adjacency == nullptr || flow.families != kSame) return nullptr;
  if (flow.ingress_port != kAnyPort && flow.ingress_port != packet.port) return nullptr;
  if (packet.ip_length > adjacency->next_hop.mtu || packet.partial_checksum) return nullptr;
  if (Family::HopLimit(packet.Ip<Family>()) <= 1) return nullptr;
  return ChangesNothing(packet, flow) ? adjacency : nullptr;
}

// RewriteHeaders of a plain packet: all is read before anything is written, so that nothing is read
// twice. `ip`: its IP header.
template <class Family>
inline void RewritePlain(uint8_t* ip, const Flow& flow, const Snapshot& snapshot);

template <>
inline void RewritePlain<Ipv4>(uint8_t* ip, const Flow& flow, const Snapshot&) {
  constexpr size_t kTtl = offsetof(Ipv4Header, ttl);
  constexpr size_t kUdpChecksum = sizeof(Ipv4Header) + offsetof(UdpHeader, checksum);
  const FlowKey<Ipv4> leaving = flow.v4.rewritten;
  uint32_t word;  // TTL, protocol, checksum
  uint16_t udp_checksum;
  memcpy(&word, ip + kTtl, sizeof(word));
  memcpy(&udp_checksum, ip + kUdpChecksum, sizeof(udp_checksum));
  const uint16_t checksum = ApplyDelta(static_cast<uint16_t>(word >> 16), flow.v4.address_delta);
  word = uint32_t{checksum} << 16 | ((word & 0xffff) - 1);
  udp_checksum = ApplyUdpDelta(udp_checksum, flow.transport_delta);
  memcpy(ip + kTtl, &word, sizeof(word));
  memcpy(ip + Ipv4::kKeyOffset, &leaving, sizeof(leaving));
  memcpy(ip + kUdpChecksum, &udp_checksum, sizeof(udp_checksum));
}

template <>
inline void RewritePlain<Ipv6>(uint8_t* ip, const Flow& flow, const Snapshot& snapshot) {
  constexpr size_t kUdpChecksum = sizeof(Ipv6Header) + offsetof(UdpHeader, checksum);
  const FlowKey<Ipv6> leaving = Leaving<Ipv6>(flow, snapshot);
  uint16_t udp_checksum;
  memcpy(&udp_checksum, ip + kUdpChecksum, sizeof(udp_checksum));
  udp_checksum = ApplyUdpDelta(udp_checksum, flow.transport_delta);
  --ip[offsetof(Ipv6Header, hop_limit)];
  memcpy(ip + Ipv6::kKeyOffset, &leaving, sizeof(leaving));
  memcpy(ip + kUdpChecksum, &udp_checksum, sizeof(udp_checksum));
}

}  // namespace bridgehead
