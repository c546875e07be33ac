// Protocol headers as they lie in a packet. Only the parser (walk/parse.h) and the rewriter map
// these onto packet memory, after the length was checked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "relay/net/address.h"
#include "relay/net/endian.h"

namespace bridgehead {

using MacAddress = std::array<uint8_t, 6>;

inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr uint16_t kEtherTypeVlan = 0x8100;  // IEEE 802.1Q
inline constexpr uint16_t kEtherTypeQinQ = 0x88a8;  // IEEE 802.1ad
inline constexpr uint16_t kVlanIdMask = 0x0fff;

struct [[gnu::packed]] EthernetHeader {
  MacAddress destination;
  MacAddress source;
  be16 ether_type;
};
static_assert(sizeof(EthernetHeader) == 14);

struct [[gnu::packed]] VlanTag {
  be16 control;  // priority 3, drop eligible 1, VLAN id 12
  be16 ether_type;
};
static_assert(sizeof(VlanTag) == 4);

inline constexpr uint8_t kProtocolHopByHop = 0;
inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolRouting = 43;
inline constexpr uint8_t kProtocolFragment = 44;
inline constexpr uint8_t kProtocolAuthentication = 51;
inline constexpr uint8_t kProtocolIcmpv6 = 58;
inline constexpr uint8_t kProtocolDestinationOptions = 60;
inline constexpr uint8_t kProtocolMobility = 135;

// RFC 791 section 3.1.
struct [[gnu::packed]] Ipv4Header {
  uint8_t version_ihl;
  uint8_t tos;
  be16 total_length;
  be16 identification;
  be16 fragment;  // flags 3, offset 13 in units of 8 bytes
  uint8_t ttl;
  uint8_t protocol;
  be16 checksum;
  be32 source;
  be32 destination;
};
static_assert(sizeof(Ipv4Header) == 20);

inline constexpr uint16_t kIpv4DontFragment = 0x4000;
inline constexpr uint16_t kIpv4MoreFragments = 0x2000;
inline constexpr uint16_t kIpv4OffsetMask = 0x1fff;

// RFC 8200 section 3.
struct [[gnu::packed]] Ipv6Header {
  be32 version_class_flow;  // version 4, traffic class 8, flow label 20
  be16 payload_length;
  uint8_t next_header;
  uint8_t hop_limit;
  Ipv6Address source;
  Ipv6Address destination;
};
static_assert(sizeof(Ipv6Header) == 40);

// RFC 8200 section 4.5.
struct [[gnu::packed]] Ipv6FragmentHeader {
  uint8_t next_header;
  uint8_t reserved;
  be16 offset;  // offset 13 in units of 8 bytes, reserved 2, more fragments 1
  be32 identification;
};
static_assert(sizeof(Ipv6FragmentHeader) == 8);

inline constexpr uint16_t kIpv6MoreFragments = 0x0001;
inline constexpr uint16_t kIpv6OffsetMask = 0xfff8;

// RFC 768.
struct [[gnu::packed]] UdpHeader {
  be16 source;
  be16 destination;
  be16 length;
  be16 checksum;
};
static_assert(sizeof(UdpHeader) == 8);

// RFC 792 and RFC 4443: the part all ICMP errors share; the quoted packet follows.
struct [[gnu::packed]] IcmpHeader {
  uint8_t type;
  uint8_t code;
  be16 checksum;
  be32 rest;
};
static_assert(sizeof(IcmpHeader) == 8);

inline constexpr uint8_t kIcmpUnreachable = 3;
inline constexpr uint8_t kIcmpTimeExceeded = 11;
inline constexpr uint8_t kIcmpParameterProblem = 12;
inline constexpr uint8_t kIcmpCodeNetUnreachable = 0;  // codes of kIcmpUnreachable
inline constexpr uint8_t kIcmpCodeHostUnreachable = 1;
inline constexpr uint8_t kIcmpCodeProtocolUnreachable = 2;
inline constexpr uint8_t kIcmpCodePortUnreachable = 3;
inline constexpr uint8_t kIcmpCodeFragmentationNeeded = 4;  // RFC 1191: with the next hop's MTU

// RFC 4443: the errors.
inline constexpr uint8_t kIcmpv6Unreachable = 1;
inline constexpr uint8_t kIcmpv6PacketTooBig = 2;
inline constexpr uint8_t kIcmpv6TimeExceeded = 3;
inline constexpr uint8_t kIcmpv6ParameterProblem = 4;
inline constexpr uint8_t kIcmpv6CodeNoRoute = 0;  // codes of kIcmpv6Unreachable
inline constexpr uint8_t kIcmpv6CodeAddressUnreachable = 3;

}  // namespace bridgehead
