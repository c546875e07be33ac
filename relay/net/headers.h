// Protocol headers as they lie in a packet. Only the parser (walk/parse.h) and the rewriter map
// these onto packet memory, after the length was checked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "relay/net/endian.h"

namespace bridgehead {

using MacAddress = std::array<uint8_t, 6>;

inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
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

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolUdp = 17;

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

inline constexpr uint16_t kIpv4MoreFragments = 0x2000;
inline constexpr uint16_t kIpv4OffsetMask = 0x1fff;

// RFC 768.
struct [[gnu::packed]] UdpHeader {
  be16 source;
  be16 destination;
  be16 length;
  be16 checksum;
};
static_assert(sizeof(UdpHeader) == 8);

// RFC 792: the part all ICMP errors share; the quoted packet follows.
struct [[gnu::packed]] IcmpHeader {
  uint8_t type;
  uint8_t code;
  be16 checksum;
  be32 rest;
};
static_assert(sizeof(IcmpHeader) == 8);

inline constexpr uint8_t kIcmpUnreachable = 3;
inline constexpr uint8_t kIcmpSourceQuench = 4;
inline constexpr uint8_t kIcmpTimeExceeded = 11;
inline constexpr uint8_t kIcmpParameterProblem = 12;

}  // namespace bridgehead
