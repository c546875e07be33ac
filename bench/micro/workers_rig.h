// Workers as the relay has them, with rings where it has NICs: what two of them cost each other.
//
// Each worker has a queue of its own on two ports, which are DPDK ring devices. Sessions are
// established through them as a client and a bridge do it; then packets of one worker's sessions
// can be fed to that worker, or to another, which has to hand them off.
//
// One for the life of the process: DPDK can not start its EAL twice.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "bench/rig/frame.h"
#include "relay/walk/worker.h"

namespace bridgehead::bench {

class WorkersRig {
 public:
  static constexpr size_t kPorts = 2;  // towards clients, and towards the bridge

  // `sessions` of each worker, source NAT, IPv4. Throws std::runtime_error.
  WorkersRig(size_t workers, size_t sessions);
  ~WorkersRig();
  WorkersRig(const WorkersRig&) = delete;
  WorkersRig& operator=(const WorkersRig&) = delete;

  size_t workers() const { return workers_.size(); }
  // Puts kBurst packets of the sessions of worker `owner` into the queues of worker `at`, half of
  // them from clients.
  void Feed(size_t owner, size_t at);
  // One turn of the worker over its queues and hand-offs, as in its loop.
  void Turn(size_t worker) { Poll(worker); }
  // Takes what the worker has sent and frees it. Returns how many that were.
  size_t Collect(size_t worker);

  const WorkerCounters& counters(size_t worker) const { return segment_->worker(worker); }
  // What of a turn is the devices': takes the worker's packets and sends them, as they are.
  void TurnOfDevices(size_t worker);

 private:
  struct Flows {
    rig::Flow to_listener;
    rig::Flow from_bridge;
  };

  size_t Poll(size_t worker) { return workers_[worker]->Poll(*exchange_->current(), now_); }
  void StartPorts();
  void StartWorkers(size_t sessions);
  void Establish(size_t sessions);
  // Through whichever worker; returns the only frame that comes of it.
  std::array<uint8_t, rig::kMaxStunFrame> Pass(size_t port, const uint8_t* frame, size_t size,
                                               size_t& got);
  void Put(size_t port, size_t worker, const uint8_t* frame, size_t size);
  rte_ring* MakeRing(const char* what, size_t port, size_t worker);

  static constexpr uint32_t now_ = 1'000'000;
  rte_mempool* pool_ = nullptr;
  std::vector<std::array<rte_ring*, kPorts>> in_, out_;  // of each worker
  std::vector<port::OpenPort> ports_;
  std::unique_ptr<Steering> steering_;
  std::unique_ptr<CounterSegment> segment_;
  std::unique_ptr<Exchange> exchange_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::vector<Flows>> flows_;  // of each worker's sessions
  std::vector<size_t> next_;               // which of them is fed next
};

}  // namespace bridgehead::bench
