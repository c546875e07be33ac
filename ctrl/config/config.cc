#include "ctrl/config/config.h"

namespace bridgehead::config {

MemoryEstimate EstimateMemory(const Config& config) {
  // Record of two cache lines, its places in the flow table and the timer wheel, the free list and
  // the count of its source.
  constexpr uint64_t kBytesPerSession = 176;
  // Session number, taken bit and place in the quarantine queue.
  constexpr uint64_t kBytesPerNatPort = 13;
  // Data room of 2 KiB, headroom and the buffer's own header.
  constexpr uint64_t kBytesPerPacket = 2048 + 128 + 192;
  const Dataplane& dataplane = config.dataplane;
  MemoryEstimate estimate;
  estimate.sessions =
      uint64_t{dataplane.max_sessions} * dataplane.workers.size() * kBytesPerSession;
  estimate.nat_ports =
      dataplane.nat_addresses.size() * uint64_t{dataplane.nat_ports.count()} * kBytesPerNatPort;
  estimate.packet_buffers = uint64_t{dataplane.packet_buffers} * kBytesPerPacket;
  return estimate;
}

}  // namespace bridgehead::config
