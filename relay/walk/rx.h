// The first step: take a burst from a queue, or from another worker, and make packets of it.
#pragma once

#include <array>
#include <span>
#include <vector>

#include <rte_ethdev.h>

#include "relay/api/counters.h"
#include "relay/walk/exchange.h"
#include "relay/walk/packet.h"
#include "relay/walk/queues.h"
#include "relay/walk/walk.h"

namespace bridgehead {

class RxStage {
 public:
  RxStage(const std::vector<port::OpenPort>& ports, size_t worker, size_t workers,
          const Exchange& exchange, WorkerCounters& counters);

  size_t queue_count() const { return queues_.size(); }
  size_t handoff_count() const { return handoffs_.size(); }

  // A burst from receive queue `index` into `burst`; returns its size.
  size_t Receive(size_t index, std::span<Packet, kBurst> burst);
  // A burst of what worker number `index` (without this one) handed over.
  size_t ReceiveHandoff(size_t index, std::span<Packet, kBurst> burst);

 private:
  std::vector<PortQueue> queues_;
  std::vector<rte_ring*> handoffs_;
  std::vector<bool> checksum_offload_;  // by port
  WorkerCounters& counters_;
};

}  // namespace bridgehead
