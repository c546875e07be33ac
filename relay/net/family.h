// What differs between address families, as one traits type each. The walk's stages are templates
// over it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "relay/net/address.h"
#include "relay/net/endian.h"
#include "relay/net/headers.h"

namespace bridgehead {

// A packet's addresses and ports, in the order and byte order in which they lie in the packet: IP's
// source and destination, then UDP's. Extension headers and options are refused by the parser.
template <class Family>
struct [[gnu::packed]] FlowKey {
  typename Family::Address source;
  typename Family::Address destination;
  be16 source_port;
  be16 destination_port;

  // Word by word, however it lies.
  bool operator==(const FlowKey& other) const {
    static_assert(sizeof(FlowKey) % 8 == 4);
    const auto* a = reinterpret_cast<const uint8_t*>(this);
    const auto* b = reinterpret_cast<const uint8_t*>(&other);
    uint64_t difference = 0;
    for (size_t at = 0; at < sizeof(FlowKey) - 4; at += 8) {
      uint64_t words[2];
      memcpy(&words[0], a + at, 8);
      memcpy(&words[1], b + at, 8);
      difference |= words[0] ^ words[1];
    }
    uint32_t last[2];
    memcpy(&last[0], a + sizeof(FlowKey) - 4, 4);
    memcpy(&last[1], b + sizeof(FlowKey) - 4, 4);
    return (difference | (last[0] ^ last[1])) == 0;
  }
};

struct Ipv4 {
  using Address = be32;
  using Header = Ipv4Header;
  static constexpr size_t kHeaderBytes = sizeof(Ipv4Header);
  static constexpr size_t kKeyOffset = offsetof(Ipv4Header, source);
  static constexpr uint16_t kEtherType = kEtherTypeIpv4;
  static uint8_t& HopLimit(Header& header) { return header.ttl; }
  static Ipv6Address Any(be32 address) { return Ipv6Address::Mapped(address); }
  static be32 From(const Ipv6Address& any) { return any.Unmapped(); }
};
static_assert(sizeof(FlowKey<Ipv4>) == 12 && alignof(FlowKey<Ipv4>) == 1);

struct Ipv6 {
  using Address = Ipv6Address;
  using Header = Ipv6Header;
  static constexpr size_t kHeaderBytes = sizeof(Ipv6Header);
  static constexpr size_t kKeyOffset = offsetof(Ipv6Header, source);
  static constexpr uint16_t kEtherType = kEtherTypeIpv6;
  static uint8_t& HopLimit(Header& header) { return header.hop_limit; }
  static const Ipv6Address& Any(const Ipv6Address& address) { return address; }
  static const Ipv6Address& From(const Ipv6Address& any) { return any; }
};
static_assert(sizeof(FlowKey<Ipv6>) == 36 && alignof(FlowKey<Ipv6>) == 1);

template <class Family>
FlowKey<Family> Reversed(const FlowKey<Family>& key) {
  return {key.destination, key.source, key.destination_port, key.source_port};
}

}  // namespace bridgehead
