// Stage 1, parse: is this a well-formed UDP packet over IPv4 that a router may forward?
//
// The only place, with the ICMP part below it, that looks at packet memory before its length is
// known. Ways out: the packet goes on, or one drop of the groups "parse" in drops.def.
#pragma once

#include "relay/net/checksum.h"
#include "relay/walk/forwarding.h"
#include "relay/walk/packet.h"

namespace bridgehead {

// ICMP messages (walk/parse_icmp.cc): never forwarded, but told apart by name.
Drop ParseIcmp(const uint8_t* message, size_t size);

inline Drop ParseEthernet(Packet& packet, const PortTraits& port, const Forwarding& forwarding) {
  if (packet.length < sizeof(EthernetHeader)) return Drop::kFrameTooShort;
  const auto& ethernet = *reinterpret_cast<const EthernetHeader*>(packet.frame);
  // A promiscuous port or a flooding switch shows frames for other stations, which take their own
  // way; a second copy from here would be a duplicate.
  if (port.check_mac && ethernet.destination != port.mac &&
      !forwarding.IsOwnMac(packet.port, ethernet.destination)) {
    return Drop::kOtherStation;
  }
  be16 ether_type = ethernet.ether_type;
  packet.ip_offset = sizeof(EthernetHeader);
  if (ether_type.ToHost() == kEtherTypeVlan) {
    if (packet.length < sizeof(EthernetHeader) + sizeof(VlanTag)) return Drop::kFrameTooShort;
    const auto& tag = *reinterpret_cast<const VlanTag*>(packet.frame + sizeof(EthernetHeader));
    ether_type = tag.ether_type;
    packet.ip_offset = sizeof(EthernetHeader) + sizeof(VlanTag);
    if (ether_type.ToHost() == kEtherTypeVlan) return Drop::kVlanStacked;
  }
  if (ether_type.ToHost() == kEtherTypeQinQ) return Drop::kVlanStacked;
  return ether_type.ToHost() == Ipv4::kEtherType ? Drop::kNone : Drop::kNotIp;
}

// RFC 1812 section 5.2.2: what a router must check, and what media never needs.
inline Drop ParseIpv4(Packet& packet) {
  size_t available = packet.length - packet.ip_offset;
  if (available < sizeof(Ipv4Header)) return Drop::kIpTruncated;
  const auto& ip = *reinterpret_cast<const Ipv4Header*>(packet.frame + packet.ip_offset);
  if (ip.version_ihl >> 4 != 4) return Drop::kIpVersion;
  size_t header = (ip.version_ihl & 0x0f) * size_t{4};
  packet.ip_length = ip.total_length.ToHost();
  if (header < sizeof(Ipv4Header) || header > packet.ip_length) return Drop::kIpHeaderLength;
  if (packet.ip_length > available) return Drop::kIpTruncated;
  if (packet.checksum_flags & kIpChecksumBad) return Drop::kIpChecksum;
  if (!(packet.checksum_flags & kIpChecksumGood) && FoldChecksum(SumBytes(&ip, header)) != 0xffff) {
    return Drop::kIpChecksum;
  }
  if (header != sizeof(Ipv4Header)) return Drop::kIpOptions;
  if (ip.fragment.ToHost() & (kIpv4MoreFragments | kIpv4OffsetMask)) return Drop::kIpFragment;
  if (!IsHostAddress(ip.source)) return Drop::kMartianSource;
  return Drop::kNone;
}

// RFC 768. A checksum of zero means that the sender made none.
inline Drop ParseUdp(Packet& packet, const PortTraits& port) {
  size_t size = packet.ip_length - sizeof(Ipv4Header);
  if (size < sizeof(UdpHeader)) return Drop::kUdpTruncated;
  const auto& ip = packet.Ip<Ipv4>();
  const auto& udp = packet.Udp<Ipv4>();
  if (udp.length.ToHost() != size) return Drop::kUdpLength;
  if (udp.source.Raw() == 0 || udp.destination.Raw() == 0) return Drop::kUdpPortZero;
  uint16_t checksum = udp.checksum.Raw();
  if (checksum == 0) return Drop::kNone;
  if (packet.checksum_flags & kUdpChecksumBad) return Drop::kUdpChecksum;
  if (packet.checksum_flags & kUdpChecksumGood) return Drop::kNone;
  uint64_t pseudo =
      PseudoHeaderSum(ip.source.Raw(), ip.destination.Raw(), kProtocolUdp, udp.length.ToHost());
  if (port.partial_checksums && checksum == FoldChecksum(pseudo)) {
    // The kernel's CHECKSUM_PARTIAL: the sum of the pseudo header, for a NIC to finish.
    packet.partial_checksum = true;
    return Drop::kNone;
  }
  if (port.verify_udp_checksum && FoldChecksum(SumBytes(&udp, size, pseudo)) != 0xffff) {
    return Drop::kUdpChecksum;
  }
  return Drop::kNone;
}

inline Drop Parse(Packet& packet, const PortTraits& port, const Forwarding& forwarding) {
  Drop drop = ParseEthernet(packet, port, forwarding);
  if (drop != Drop::kNone) return drop;
  drop = ParseIpv4(packet);
  if (drop != Drop::kNone) return drop;
  const auto& ip = packet.Ip<Ipv4>();
  if (ip.protocol == kProtocolUdp) [[likely]] {
    drop = ParseUdp(packet, port);
    packet.length = packet.ip_offset + packet.ip_length;  // without Ethernet padding
    return drop;
  }
  if (ip.protocol != kProtocolIcmp) return Drop::kIpProtocol;
  return ParseIcmp(packet.frame + packet.ip_offset + sizeof(Ipv4Header),
                   packet.ip_length - sizeof(Ipv4Header));
}

}  // namespace bridgehead
