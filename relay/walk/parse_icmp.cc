#include "relay/net/headers.h"
#include "relay/walk/icmp.h"
#include "relay/walk/parse.h"

namespace bridgehead {

// RFC 792: an error quotes the IP header and at least eight bytes of the packet it is about.
Drop ParseIcmp(Packet& packet) {
  const size_t size = packet.ip_length - sizeof(Ipv4Header);
  if (size < sizeof(IcmpHeader)) return Drop::kIcmpTruncated;
  const IcmpHeader& icmp = IcmpOf<Ipv4>(packet);
  switch (icmp.type) {  // not source quench (RFC 5508 requirement 10 (c), RFC 6633)
    case kIcmpUnreachable:
    case kIcmpTimeExceeded:
    case kIcmpParameterProblem:
      break;
    default:
      return Drop::kIcmpType;
  }
  if (FoldChecksum(SumBytes(&icmp, size)) != 0xffff) return Drop::kIcmpChecksum;
  if (size < sizeof(IcmpHeader) + sizeof(Ipv4Header) + sizeof(UdpHeader)) {
    return Drop::kIcmpTruncated;
  }
  // What the relay sends has neither options nor another protocol, nor less than a UDP header.
  const Ipv4Header& quoted = QuotedIp<Ipv4>(packet);
  if (quoted.version_ihl != 0x45 || quoted.protocol != kProtocolUdp ||
      quoted.total_length.ToHost() < sizeof(Ipv4Header) + sizeof(UdpHeader) ||
      (quoted.fragment.ToHost() & kIpv4OffsetMask) != 0) {
    return Drop::kIcmpNoSession;
  }
  // RFC 5508 requirement 3 (a). The quoted UDP checksum is not looked at (c).
  if (FoldChecksum(SumBytes(&quoted, sizeof(quoted))) != 0xffff) return Drop::kIcmpChecksum;
  packet.kind = PacketKind::kIcmpError;
  return Drop::kNone;
}

// RFC 4443: as much of the packet as fits is quoted.
Drop ParseIcmpv6(Packet& packet) {
  const auto& ip = packet.Ip<Ipv6>();
  const auto size = static_cast<uint16_t>(packet.ip_length - sizeof(Ipv6Header));
  if (size < sizeof(IcmpHeader)) return Drop::kIcmpTruncated;
  const IcmpHeader& icmp = IcmpOf<Ipv6>(packet);
  // The high bit tells errors from information (section 2.1).
  if (icmp.type < kIcmpv6Unreachable || icmp.type > kIcmpv6ParameterProblem) {
    return Drop::kIcmpType;
  }
  uint64_t pseudo = PseudoHeaderSum(ip.source, ip.destination, kProtocolIcmpv6, size);
  if (FoldChecksum(SumBytes(&icmp, size, pseudo)) != 0xffff) return Drop::kIcmpChecksum;
  if (size < sizeof(IcmpHeader) + sizeof(Ipv6Header) + sizeof(UdpHeader)) {
    return Drop::kIcmpTruncated;
  }
  const Ipv6Header& quoted = QuotedIp<Ipv6>(packet);
  size_t headers = sizeof(UdpHeader);
  uint8_t protocol = quoted.next_header;
  if (const Ipv6FragmentHeader* fragment = QuotedFragment<Ipv6>(packet)) {
    headers += sizeof(*fragment);
    if (size < sizeof(IcmpHeader) + sizeof(Ipv6Header) + headers) return Drop::kIcmpTruncated;
    // Of the first one only: the others have no ports.
    if ((fragment->offset.ToHost() & kIpv6OffsetMask) != 0) return Drop::kIcmpNoSession;
    protocol = fragment->next_header;
  }
  if (quoted.version_class_flow.ToHost() >> 28 != 6 || protocol != kProtocolUdp ||
      quoted.payload_length.ToHost() < headers) {
    return Drop::kIcmpNoSession;
  }
  packet.kind = PacketKind::kIcmpError;
  return Drop::kNone;
}

}  // namespace bridgehead
