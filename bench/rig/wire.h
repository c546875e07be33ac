// The rig's two ports towards the device under test: DPDK memif devices, or AF_XDP on two kernel
// interfaces.
#pragma once

#include <memory>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "absl/status/statusor.h"
#include "bench/rig/frame.h"
#include "bench/rig/options.h"

namespace bridgehead::rig {

// One port, one queue each way, run by one core.
struct Wire {
  uint16_t port = 0;
  rte_mempool* tx_pool = nullptr;
};

// A frame for this wire, or nullptr when there is no buffer. `build(bytes)` fills it and returns
// its size.
template <typename Build>
rte_mbuf* MakeFrame(const Wire& wire, Build build) {
  rte_mbuf* mbuf = rte_pktmbuf_alloc(wire.tx_pool);
  if (mbuf == nullptr) return nullptr;
  const size_t size = build(rte_pktmbuf_mtod(mbuf, uint8_t*));
  mbuf->data_len = static_cast<uint16_t>(size);
  mbuf->pkt_len = static_cast<uint32_t>(size);
  return mbuf;
}

// Starts EAL and both ports. One for the life of the process; the destructor closes the ports,
// which tells the device under test that we are gone while nothing is in flight.
class Wires {
 public:
  static absl::StatusOr<std::unique_ptr<Wires>> Open(const Options& options);
  ~Wires();
  Wires(const Wires&) = delete;
  Wires& operator=(const Wires&) = delete;

  // Waits until the device under test has connected both ports.
  absl::Status WaitForLink(const Options& options);

  Wire& client() { return client_; }
  Wire& bridge() { return bridge_; }

 private:
  Wires() = default;
  Wire client_;
  Wire bridge_;
  bool started_ = false;
};

}  // namespace bridgehead::rig
