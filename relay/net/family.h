// What differs between address families, as one traits type each. The walk's stages are templates
// over it.
#pragma once

#include <cstddef>
#include <cstdint>

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

  bool operator==(const FlowKey& other) const = default;
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
