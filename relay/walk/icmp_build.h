// The outer parts of an ICMP error that the relay writes itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "relay/net/checksum.h"
#include "relay/net/family.h"

namespace bridgehead {

inline constexpr uint16_t kSmallestMtuOfIpv6 = 1280;  // RFC 8200 section 5

// How large an error may be: RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c).
template <class Family>
inline constexpr size_t kMostIcmpBytes =
    std::is_same_v<Family, Ipv4> ? 576 : size_t{kSmallestMtuOfIpv6};

inline void SealIp(Ipv4Header& ip) {
  ip.checksum = be16();
  ip.checksum = be16::FromRaw(static_cast<uint16_t>(~FoldChecksum(SumBytes(&ip, sizeof(ip)))));
}

// The outer header: `length` is what follows it.
inline void FillIcmpOuter(Ipv4Header& ip, uint8_t hops, uint8_t tos, size_t length) {
  ip = Ipv4Header{};
  ip.version_ihl = 0x45;
  ip.tos = tos;
  ip.total_length = be16::FromHost(static_cast<uint16_t>(sizeof(ip) + length));
  ip.ttl = hops;
  ip.protocol = kProtocolIcmp;
}
inline void FillIcmpOuter(Ipv6Header& ip, uint8_t hops, uint8_t tos, size_t length) {
  ip.version_class_flow = be32::FromHost(6u << 28 | uint32_t{tos} << 20);
  ip.payload_length = be16::FromHost(static_cast<uint16_t>(length));
  ip.next_header = kProtocolIcmpv6;
  ip.hop_limit = hops;
}
inline uint8_t TrafficClass(const Ipv4Header& ip) {
  return ip.tos;
}
inline uint8_t TrafficClass(const Ipv6Header& ip) {
  return static_cast<uint8_t>(ip.version_class_flow.ToHost() >> 20);
}

template <class Family>
inline void SealIcmp(const typename Family::Header& ip, IcmpHeader& icmp, size_t size) {
  uint64_t sum = 0;
  if constexpr (std::is_same_v<Family, Ipv6>) {
    sum = PseudoHeaderSum(ip.source, ip.destination, kProtocolIcmpv6, static_cast<uint16_t>(size));
  }
  icmp.checksum = be16();
  icmp.checksum = be16::FromRaw(static_cast<uint16_t>(~FoldChecksum(SumBytes(&icmp, size, sum))));
}

}  // namespace bridgehead
