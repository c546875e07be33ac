#include "relay/walk/icmp_error.h"

#include <algorithm>

#include "relay/net/headers.h"
#include "relay/walk/icmp_build.h"

namespace bridgehead {
namespace {

constexpr uint8_t kHops = 64;
// RFC 1812 section 4.3.2.5: errors of routers go before ordinary traffic (precedence 6).
constexpr uint8_t kTrafficClass = 0xc0;

IcmpHeader MessageOf(Ipv4, Complaint complaint, uint16_t mtu) {
  switch (complaint) {
    case Complaint::kTimeExceeded:
      return {kIcmpTimeExceeded, 0, be16(), be32()};
    case Complaint::kTooLarge:
      return {kIcmpUnreachable, kIcmpCodeFragmentationNeeded, be16(), be32::FromHost(mtu)};
    case Complaint::kNoRoute:
      return {kIcmpUnreachable, kIcmpCodeNetUnreachable, be16(), be32()};
    case Complaint::kHostUnreachable:
      break;
  }
  return {kIcmpUnreachable, kIcmpCodeHostUnreachable, be16(), be32()};
}

IcmpHeader MessageOf(Ipv6, Complaint complaint, uint16_t mtu) {
  switch (complaint) {
    case Complaint::kTimeExceeded:
      return {kIcmpv6TimeExceeded, 0, be16(), be32()};
    case Complaint::kTooLarge:
      return {kIcmpv6PacketTooBig, 0, be16(), be32::FromHost(std::max(mtu, kSmallestMtuOfIpv6))};
    case Complaint::kNoRoute:
      return {kIcmpv6Unreachable, kIcmpv6CodeNoRoute, be16(), be32()};
    case Complaint::kHostUnreachable:
      break;
  }
  return {kIcmpv6Unreachable, kIcmpv6CodeAddressUnreachable, be16(), be32()};
}

}  // namespace

template <class Family>
void MakeIcmpError(Packet& packet, Complaint complaint, uint16_t mtu,
                   const typename Family::Address& source) {
  constexpr size_t kHeaders = Family::kHeaderBytes + sizeof(IcmpHeader);
  uint8_t* quoted = packet.frame + packet.ip_offset;
  const typename Family::Address sender = packet.Ip<Family>().source;
  const size_t quoted_bytes = std::min<size_t>(packet.ip_length, kMostIcmpBytes<Family> - kHeaders);
  const size_t icmp_bytes = sizeof(IcmpHeader) + quoted_bytes;
  auto& icmp = *reinterpret_cast<IcmpHeader*>(quoted - sizeof(IcmpHeader));
  icmp = MessageOf(Family(), complaint, mtu);
  auto& ip = *reinterpret_cast<typename Family::Header*>(quoted - kHeaders);
  FillIcmpOuter(ip, kHops, kTrafficClass, icmp_bytes);
  ip.source = source;
  ip.destination = sender;
  SealIcmp<Family>(ip, icmp, icmp_bytes);
  if constexpr (std::is_same_v<Family, Ipv4>) SealIp(ip);
  packet.ip_offset = sizeof(EthernetHeader);
  packet.frame = quoted - kHeaders - packet.ip_offset;
  packet.ip_length = static_cast<uint16_t>(Family::kHeaderBytes + icmp_bytes);
  packet.length = packet.ip_offset + packet.ip_length;
  packet.kind = PacketKind::kIcmpError;
  packet.offload_checksum = false;
}
template void MakeIcmpError<Ipv4>(Packet&, Complaint, uint16_t, const be32&);
template void MakeIcmpError<Ipv6>(Packet&, Complaint, uint16_t, const Ipv6Address&);

}  // namespace bridgehead
