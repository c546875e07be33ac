// Sizes that the relay's ports bring with them, for the relay and for who checks a configuration
// before there is one. No DPDK here.
#pragma once

#include <cstdint>

namespace bridgehead::port {

// IP bytes. One object of the pool fits a page: 4096 less its headers and headroom (320), XDP's
// headroom (256), Ethernet and one VLAN tag (18) leaves 3502. veth's own limit is 3506; a native
// driver with a lower one refuses the program and says so.
inline constexpr uint32_t kMaxAfXdpMtu = 3500;

// Rings and tables of DPDK, its drivers and the relay, beside the packet pool, in DPDK's memory.
inline constexpr uint64_t kOtherDpdkMemory = 64 << 20;

}  // namespace bridgehead::port
