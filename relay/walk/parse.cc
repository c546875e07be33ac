#include "relay/walk/parse.h"

namespace bridgehead {
namespace {

Drop ParseEthernet(Packet& packet, const PortTraits& port, const Forwarding& forwarding) {
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
  packet.ipv6 = ether_type.ToHost() == Ipv6::kEtherType;
  return packet.ipv6 || ether_type.ToHost() == Ipv4::kEtherType ? Drop::kNone : Drop::kNotIp;
}

// RFC 1812 section 5.2.2: what a router must check, and what media never needs.
Drop ParseIpv4(Packet& packet) {
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
  if (!IsHostAddress(ip.source)) return Drop::kMartianSource;
  return Drop::kNone;
}

// RFC 8200. Extension headers are as rare here as options, and hide the ports from NICs: refused.
Drop ParseIpv6(Packet& packet) {
  size_t available = packet.length - packet.ip_offset;
  if (available < sizeof(Ipv6Header)) return Drop::kIpTruncated;
  const auto& ip = *reinterpret_cast<const Ipv6Header*>(packet.frame + packet.ip_offset);
  if (ip.version_class_flow.ToHost() >> 28 != 6) return Drop::kIpVersion;
  size_t length = sizeof(Ipv6Header) + ip.payload_length.ToHost();
  if (length > available || length > UINT16_MAX) return Drop::kIpTruncated;
  packet.ip_length = static_cast<uint16_t>(length);
  if (!IsHostAddress(ip.source)) return Drop::kMartianSource;
  return Drop::kNone;
}

// Why a packet whose next header is none of ours is refused.
Drop RefuseNextHeader(uint8_t next_header) {
  switch (next_header) {
    case kProtocolHopByHop:
    case kProtocolRouting:
    case kProtocolAuthentication:
    case kProtocolDestinationOptions:
    case kProtocolMobility:
      return Drop::kIpOptions;
    default:
      return Drop::kIpProtocol;
  }
}

// RFC 768. A checksum of zero means that the sender made none, which IPv6 does not allow (RFC 8200
// section 8.1; the exceptions of RFC 6936 are for tunnels).
template <class Family>
Drop ParseUdp(Packet& packet, const PortTraits& port) {
  size_t size = packet.ip_length - Family::kHeaderBytes;
  if (size < sizeof(UdpHeader)) return Drop::kUdpTruncated;
  const auto& udp = packet.Udp<Family>();
  if (udp.length.ToHost() != size) return Drop::kUdpLength;
  if (udp.source.Raw() == 0 || udp.destination.Raw() == 0) return Drop::kUdpPortZero;
  if (udp.checksum.Raw() == 0)
    return std::is_same_v<Family, Ipv4> ? Drop::kNone : Drop::kUdpNoChecksum;
  return CheckUdpChecksum<Family>(packet, port);
}

Drop ParseAfterIp4(Packet& packet, const PortTraits& port) {
  const auto& ip = packet.Ip<Ipv4>();
  if (ip.fragment.ToHost() & (kIpv4MoreFragments | kIpv4OffsetMask)) [[unlikely]]
    return ParseFragment<Ipv4>(packet);
  if (ip.protocol == kProtocolUdp) [[likely]]
    return ParseUdp<Ipv4>(packet, port);
  if (ip.protocol != kProtocolIcmp) return Drop::kIpProtocol;
  return ParseIcmp(packet);
}

Drop ParseAfterIp6(Packet& packet, const PortTraits& port) {
  const auto& ip = packet.Ip<Ipv6>();
  if (ip.next_header == kProtocolUdp) [[likely]]
    return ParseUdp<Ipv6>(packet, port);
  if (ip.next_header == kProtocolIcmpv6) return ParseIcmpv6(packet);
  if (ip.next_header == kProtocolFragment) return ParseFragment<Ipv6>(packet);
  return RefuseNextHeader(ip.next_header);
}

}  // namespace

Drop ParseAny(Packet& packet, const PortTraits& port, const Forwarding& forwarding) {
  Drop drop = ParseEthernet(packet, port, forwarding);
  if (drop != Drop::kNone) return drop;
  drop = packet.ipv6 ? ParseIpv6(packet) : ParseIpv4(packet);
  if (drop != Drop::kNone) return drop;
  packet.length = packet.ip_offset + packet.ip_length;  // without Ethernet padding
  return packet.ipv6 ? ParseAfterIp6(packet, port) : ParseAfterIp4(packet, port);
}

}  // namespace bridgehead
