// Stage 1, parse: is this a well-formed UDP packet over IPv4 or IPv6 that a router may forward?
//
// The only place, with the ICMP and fragment parts below it, that looks at packet memory before its
// length is known. Ways out: the packet goes on, or one drop of the groups "parse" in drops.def.
//
// Nearly every packet is plain: UDP behind an IP header without options or extensions, in an
// untagged frame. ParsePlain takes those, and nothing else, by a few wide loads; everything else
// goes through ParseAny (parse.cc), which knows why a packet is refused. Both say the same of a
// plain one.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "relay/net/checksum.h"
#include "relay/walk/forwarding.h"
#include "relay/walk/packet.h"

namespace bridgehead {

// Any frame.
Drop ParseAny(Packet& packet, const PortTraits& port, const Forwarding& forwarding);

// ICMP messages (walk/parse_icmp.cc): an error about UDP goes on, as kIcmpError.
Drop ParseIcmp(Packet& packet);
Drop ParseIcmpv6(Packet& packet);

// Fragments (walk/parse_fragment.cc): a well-formed one of UDP goes on, as kFragment.
template <class Family>
Drop ParseFragment(Packet& packet);
template <>
Drop ParseFragment<Ipv4>(Packet& packet);
template <>
Drop ParseFragment<Ipv6>(Packet& packet);

// The UDP checksum, which is not zero, of a packet whose lengths hold: kNone or kUdpChecksum.
template <class Family>
inline Drop CheckUdpChecksum(Packet& packet, const PortTraits& port) {
  if (packet.checksum_flags & kUdpChecksumBad) return Drop::kUdpChecksum;
  if (packet.checksum_flags & kUdpChecksumGood) return Drop::kNone;
  if (!port.partial_checksums && !port.verify_udp_checksum) return Drop::kNone;
  const auto& ip = packet.Ip<Family>();
  const auto& udp = packet.Udp<Family>();
  const uint16_t size = udp.length.ToHost();
  uint64_t pseudo = PseudoHeaderSum(ip.source, ip.destination, kProtocolUdp, size);
  if (port.partial_checksums && udp.checksum.Raw() == FoldChecksum(pseudo)) {
    // The kernel's CHECKSUM_PARTIAL: the sum of the pseudo header, for a NIC to finish.
    packet.partial_checksum = true;
    return Drop::kNone;
  }
  if (port.verify_udp_checksum && FoldChecksum(SumBytes(&udp, size, pseudo)) != 0xffff) {
    return Drop::kUdpChecksum;
  }
  return Drop::kNone;
}

// Of a plain packet, at most 64 KiB: from here on its facts are in the record.
template <class Family>
inline bool TakePlain(Packet& packet, const PortTraits& port, uint16_t ip_length,
                      uint16_t udp_checksum) {
  packet.ip_offset = sizeof(EthernetHeader);
  packet.ip_length = ip_length;
  packet.length = uint32_t{sizeof(EthernetHeader)} + ip_length;  // without Ethernet padding
  packet.ipv6 = std::is_same_v<Family, Ipv6>;
  // Zero: the sender made none, which IPv6 does not allow.
  if (udp_checksum == 0) return std::is_same_v<Family, Ipv4>;
  const bool trusted = (packet.checksum_flags & kUdpChecksumGood) != 0 ||
                       !(port.partial_checksums || port.verify_udp_checksum);
  return trusted || CheckUdpChecksum<Family>(packet, port) == Drop::kNone;
}

template <class Word>
inline Word WordAt(const uint8_t* at) {
  Word word;
  memcpy(&word, at, sizeof(word));
  return word;
}

// Ports that are not zero, and a length that holds. `udp`: the header, as it lies.
inline bool IsPlainUdp(uint64_t udp, size_t size) {
  const auto length = __builtin_bswap16(static_cast<uint16_t>(udp >> 32));
  return (udp & 0xffff) != 0 && (udp & 0xffff'0000) != 0 && length == size &&
         size >= sizeof(UdpHeader);
}

// `ip`: with room for an IPv4 and a UDP header behind it.
inline bool ParsePlainIpv4(Packet& packet, const PortTraits& port, const uint8_t* ip) {
  const auto first = WordAt<uint64_t>(ip);       // version, TOS, length, identification, fragment
  const auto second = WordAt<uint64_t>(ip + 8);  // TTL, protocol, checksum, source
  const auto third = WordAt<uint32_t>(ip + 16);  // destination
  const auto udp = WordAt<uint64_t>(ip + 20);
  // Version 4 and five words; neither more fragments nor an offset.
  if ((first & 0xff3f'0000'0000'00ff) != 0x45) return false;
  if ((second & 0xff00) != uint64_t{kProtocolUdp} << 8) return false;
  const auto length = __builtin_bswap16(static_cast<uint16_t>(first >> 16));
  if (length > packet.length - sizeof(EthernetHeader)) return false;
  if (!IsPlainUdp(udp, size_t{length} - sizeof(Ipv4Header))) return false;
  if (!IsHostAddress(static_cast<uint8_t>(second >> 32))) return false;
  if ((packet.checksum_flags & kIpChecksumGood) == 0) {
    const uint64_t sum =
        (first & 0xffff'ffff) + (first >> 32) + (second & 0xffff'ffff) + (second >> 32) + third;
    if (FoldChecksum(sum) != 0xffff) return false;
  }
  return TakePlain<Ipv4>(packet, port, length, static_cast<uint16_t>(udp >> 48));
}

// `ip`: with room for an IPv6 and a UDP header behind it.
inline bool ParsePlainIpv6(Packet& packet, const PortTraits& port, const uint8_t* ip) {
  const auto first = WordAt<uint64_t>(ip);  // version, class, flow, length, next header, hop limit
  const auto udp = WordAt<uint64_t>(ip + sizeof(Ipv6Header));
  if ((first & 0x00ff'0000'0000'00f0) != (uint64_t{kProtocolUdp} << 48 | 0x60)) return false;
  const auto payload = __builtin_bswap16(static_cast<uint16_t>(first >> 32));
  const size_t length = sizeof(Ipv6Header) + payload;
  if (length > packet.length - sizeof(EthernetHeader) || length > UINT16_MAX) return false;
  if (!IsPlainUdp(udp, payload)) return false;
  if (!IsHostAddress(reinterpret_cast<const Ipv6Header*>(ip)->source)) return false;
  return TakePlain<Ipv6>(packet, port, static_cast<uint16_t>(length),
                         static_cast<uint16_t>(udp >> 48));
}

// False: it is not plain, or not well-formed; ParseAny says.
inline bool ParsePlain(Packet& packet, const PortTraits& port) {
  constexpr size_t kIpv4Bytes = sizeof(EthernetHeader) + sizeof(Ipv4Header) + sizeof(UdpHeader);
  constexpr size_t kIpv6Bytes = sizeof(EthernetHeader) + sizeof(Ipv6Header) + sizeof(UdpHeader);
  if (packet.length < kIpv4Bytes) return false;
  const auto& ethernet = *reinterpret_cast<const EthernetHeader*>(packet.frame);
  if (port.check_mac && ethernet.destination != port.mac) return false;
  if ((packet.checksum_flags & (kIpChecksumBad | kUdpChecksumBad)) != 0) return false;
  const uint8_t* ip = packet.frame + sizeof(EthernetHeader);
  if (ethernet.ether_type == be16::FromHost(Ipv4::kEtherType)) [[likely]] {
    return ParsePlainIpv4(packet, port, ip);
  }
  return ethernet.ether_type == be16::FromHost(Ipv6::kEtherType) && packet.length >= kIpv6Bytes &&
         ParsePlainIpv6(packet, port, ip);
}

inline Drop Parse(Packet& packet, const PortTraits& port, const Forwarding& forwarding) {
  if (ParsePlain(packet, port)) [[likely]]
    return Drop::kNone;
  return ParseAny(packet, port, forwarding);
}

}  // namespace bridgehead
