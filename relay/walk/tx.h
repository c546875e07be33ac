// The last step: packets leave, to a port, to another worker, or to the pool they came from. Every
// packet that the walk has judged is counted here, once.
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

class TxStage {
 public:
  TxStage(const std::vector<port::OpenPort>& ports, size_t worker, size_t workers,
          const Exchange& exchange, WorkerCounters& counters);

  // Queues packets by their verdicts (any but kOpen), at most kBurst. Flush sends.
  void Dispatch(std::span<const Packet> burst);
  // Sends everything queued. To be called at least once in kBurst packets.
  void Flush();
  // Sends on what other workers have finished for this worker's ports. Returns packets seen.
  size_t TransmitForOthers();
  // Counts and frees a packet without sending it.
  void Discard(rte_mbuf* mbuf, Drop drop);
  // The rings towards this worker, for emptying them at the end.
  const std::vector<rte_ring*>& incoming() const { return incoming_; }

 private:
  // Packets on their way to one place.
  struct Batch {
    std::array<rte_mbuf*, 2 * kBurst> mbufs;
    uint16_t count = 0;
    uint64_t bytes = 0;  // of them all; where something counts them
  };
  struct Out {
    TransmitWay way;
    bool own_queue = false;
    rte_ring* ring = nullptr;  // to the worker that has the queue, if not this one
    Batch batch;
  };

  void DispatchOther(const Packet& packet);
  void Transmit(Out& out);
  void Send(Out& out);
  void ToRing(rte_ring* ring, Batch& batch, Counter& sent, Drop full);

  std::vector<Out> outs_;            // by port
  std::vector<Batch> handoffs_;      // by worker
  std::vector<rte_ring*> rings_;     // by worker: handed-off packets
  std::vector<rte_ring*> incoming_;  // finished packets from other workers
  Batch discarded_;
  WorkerCounters& counters_;
};

}  // namespace bridgehead
