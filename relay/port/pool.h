// The one packet pool: how large its buffers must be, and its creation.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

struct rte_mempool;

namespace bridgehead::port {

struct PoolLayout {
  uint32_t buffers = 0;
  uint16_t data_room = 0;     // bytes of a buffer, headroom included
  uint32_t object_bytes = 0;  // with the pool's and the mbuf's headers
  uint64_t total_bytes() const { return uint64_t{buffers} * object_bytes; }
};

// For IP packets of up to `mtu` bytes behind Ethernet and one VLAN tag. `af_xdp`: leaves room for
// XDP's own headroom.
PoolLayout LayOutPool(uint32_t buffers, uint32_t mtu, bool af_xdp);

absl::StatusOr<rte_mempool*> CreatePool(const PoolLayout& layout);

}  // namespace bridgehead::port
