// What the host says about an interface and about this process. Only reads, but for the two setters
// at the end, which change what AF_XDP can not live with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bridgehead::port {

struct InterfaceFacts {
  std::string name;
  unsigned ifindex = 0;
  bool up = false;
  uint32_t mtu = 0;
  std::string driver;  // "veth", "tun", "ixgbe"; empty when the driver does not say
  // Receive channels (ETHTOOL_GCHANNELS): combined ones serve both directions. A driver that does
  // not say has one queue.
  uint32_t combined = 0;
  uint32_t max_combined = 0;
  uint32_t rx_only = 0;
  bool strips_vlan = false;  // takes VLAN tags out of the frames it receives
  bool has_vlans = false;    // VLAN interfaces stand on it
};

// NotFound lists the interfaces that there are.
absl::StatusOr<InterfaceFacts> ReadInterface(const std::string& name);

bool LinkIsUp(const std::string& name);

struct ProcessFacts {
  std::vector<std::string> missing_capabilities;  // of those that AF_XDP and BPF need
  bool has_af_xdp = true;                         // the kernel knows AF_XDP sockets
};
ProcessFacts ReadProcess();

// Cores this process may run on, ascending.
std::vector<unsigned> AllowedCores();

absl::Status SetCombinedChannels(const std::string& interface, uint32_t count);
absl::Status StopVlanStripping(const std::string& interface);

}  // namespace bridgehead::port
