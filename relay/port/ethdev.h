// One ethdev: made from device arguments, configured, started, closed.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "relay/port/port.h"

struct rte_mempool;

namespace bridgehead::port {

// "net_memif0,role=client" -> {"net_memif0", "role=client"}
struct VdevSpec {
  std::string name;
  std::string arguments;
};
VdevSpec SplitVdev(const std::string& text);

// The new device's port number. The error is DPDK's reason, without a key.
absl::StatusOr<uint16_t> CreateVdev(const VdevSpec& spec);
void DestroyVdev(const std::string& name);

struct EthdevLimits {
  uint16_t rx_queues = 1;
  uint16_t tx_queues = 1;
  uint32_t max_mtu = 0;
  std::string driver;
};
absl::StatusOr<EthdevLimits> ReadLimits(uint16_t id);

struct EthdevRequest {
  uint16_t queues = 1;  // of each direction
  uint16_t rx_descriptors = 0;
  uint16_t tx_descriptors = 0;
};

// Configures and starts port.id with port.mtu; fills in queues, offloads and MAC.
absl::Status StartEthdev(const EthdevRequest& request, rte_mempool* pool, OpenPort& port);
void CloseEthdev(uint16_t id);

PortLosses ReadEthdevLosses(uint16_t id);

}  // namespace bridgehead::port
