#include "relay/walk/fragment.h"
#include "relay/walk/parse.h"

namespace bridgehead {
namespace {

template <class Family>
Drop Check(Packet& packet) {
  const Fragment fragment = FragmentOf<Family>(packet);
  // RFC 791: what is not the last is a multiple of 8 bytes; and a packet ends at 65535.
  if (fragment.bytes == 0 || (fragment.more && fragment.bytes % 8 != 0) ||
      fragment.end() > UINT16_MAX - Ipv4::kHeaderBytes) {
    return Drop::kFragmentMalformed;
  }
  // RFC 1858: a header in pieces hides from whoever looks at the first one only.
  if (fragment.more && fragment.bytes < FragmentTable::kLeastBytes) return Drop::kFragmentTiny;
  if (fragment.first()) {
    if (fragment.bytes < sizeof(UdpHeader)) return Drop::kUdpTruncated;
    const UdpHeader& udp = fragment.udp();
    const uint16_t length = udp.length.ToHost();
    if (fragment.more ? length <= fragment.bytes : length != fragment.bytes) {
      return Drop::kUdpLength;
    }
    if (udp.source.Raw() == 0 || udp.destination.Raw() == 0) return Drop::kUdpPortZero;
    if (std::is_same_v<Family, Ipv6> && udp.checksum.Raw() == 0) return Drop::kUdpNoChecksum;
  }
  packet.kind = PacketKind::kFragment;
  return Drop::kNone;
}

}  // namespace

template <>
Drop ParseFragment<Ipv4>(Packet& packet) {
  if (packet.Ip<Ipv4>().protocol != kProtocolUdp) return Drop::kIpFragment;
  return Check<Ipv4>(packet);
}

template <>
Drop ParseFragment<Ipv6>(Packet& packet) {
  if (packet.ip_length < sizeof(Ipv6Header) + sizeof(Ipv6FragmentHeader)) {
    return Drop::kIpTruncated;
  }
  const auto& header = *reinterpret_cast<const Ipv6FragmentHeader*>(&packet.Ip<Ipv6>() + 1);
  if (header.next_header != kProtocolUdp) return Drop::kIpFragment;
  return Check<Ipv6>(packet);
}

}  // namespace bridgehead
