// What differs between address families, as one traits type each. Everything else in the walk and
// in the session tables is a template over it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "relay/net/endian.h"
#include "relay/net/headers.h"

namespace bridgehead {

// A packet's addresses and ports, in the order and byte order in which they lie in the packet:
// IPv4's source and destination, then UDP's.
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
  static constexpr size_t kHeaderBytes = sizeof(Ipv4Header);  // options are refused by the parser
  static constexpr uint16_t kEtherType = kEtherTypeIpv4;
};
static_assert(sizeof(FlowKey<Ipv4>) == 12 && alignof(FlowKey<Ipv4>) == 1);

template <class Family>
FlowKey<Family> Reversed(const FlowKey<Family>& key) {
  return {key.destination, key.source, key.destination_port, key.source_port};
}

// An address that a host can send from or receive on (RFC 1122 section 3.2.1.3): not in 0/8, 127/8,
// multicast, reserved or broadcast.
constexpr bool IsHostAddress(be32 address) {
  uint32_t first = address.ToHost() >> 24;
  return first != 0 && first != 127 && first < 224;
}

}  // namespace bridgehead
