// A worker: one core's loop of receive, walk, hand off and transmit. The only part of the walk that
// knows DPDK; everything it does per packet is in rx.h, walk.h and tx.h.
//
// The loop allocates nothing, takes no lock, writes no log and makes no system call of its own.
// (With `idle: adaptive`, a worker that has found nothing for a while sleeps for a bounded time.)
#pragma once

#include <cstdint>
#include <vector>

#include "relay/api/counters.h"
#include "relay/port/port.h"
#include "relay/session/shard.h"
#include "relay/walk/exchange.h"
#include "relay/walk/hold.h"
#include "relay/walk/rx.h"
#include "relay/walk/tx.h"
#include "relay/walk/walk.h"

namespace bridgehead {

struct WorkerConfig {
  size_t index = 0;
  rte_mempool* pool = nullptr;
  bool adaptive_idle = false;
  ShardConfig shard;
};

// Packet buffers of the pool that the ports receive into.
class MbufSource : public BufferSource {
 public:
  explicit MbufSource(rte_mempool* pool) : pool_(pool) {}
  bool Take(Packet& packet, size_t bytes) override;
  void GiveBack(const Packet& packet) override;

 private:
  rte_mempool* pool_;
};

class Worker {
 public:
  Worker(const WorkerConfig& config, const std::vector<port::OpenPort>& ports,
         const Steering& steering, Exchange& exchange, WorkerCounters& counters);

  // Runs until Exchange::Stop. Argument for rte_eal_remote_launch.
  static int Main(void* worker);

  // One turn over the worker's queues and hand-offs. Returns how many packets it has taken. Only
  // for who stands in for the worker's own loop.
  size_t Poll(const Snapshot& snapshot, uint32_t now);

  // After all workers have stopped: what is still queued for this worker, or held, is dropped.
  void Drain();

  SessionShard& shard() { return shard_; }
  const SessionShard& shard() const { return shard_; }
  ResolveQueue& resolve() { return resolve_; }
  // The worker's clock, in seconds: what sessions' last_seen counts.
  uint32_t Now() const;

 private:
  void Loop();
  void Process(size_t count, const Snapshot& snapshot, uint32_t now);
  void Release(const Packet& packet);
  void Rest(unsigned idle_loops);

  const WorkerConfig config_;
  Exchange& exchange_;
  WorkerCounters& counters_;
  uint64_t start_cycles_;
  ResolveQueue resolve_;
  SessionShard shard_;
  MbufSource buffers_;
  Walk walk_;
  RxStage rx_;
  TxStage tx_;
  std::array<Packet, kBurst> burst_;
};

}  // namespace bridgehead
