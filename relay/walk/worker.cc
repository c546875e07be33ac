#include "relay/walk/worker.h"

#include <rte_cycles.h>
#include <sys/prctl.h>
#include <time.h>

namespace bridgehead {
namespace {

std::vector<PortTraits> TraitsOf(const std::vector<port::OpenPort>& ports) {
  std::vector<PortTraits> traits;
  traits.reserve(ports.size());
  for (const port::OpenPort& port : ports) {
    const bool has_xdp = !port.device.empty();
    traits.push_back({port.mac, has_xdp, port.verify_udp_checksum, port.partial_checksums,
                      port.tx_checksum_offload, !has_xdp});
  }
  return traits;
}

static_assert(RTE_PKTMBUF_HEADROOM >= kUsedHeadroom);

// The clock starts here, so that a session's time of zero is never "now".
constexpr uint32_t kClockStart = 1'000'000;

}  // namespace

Worker::Worker(const WorkerConfig& config, const std::vector<port::OpenPort>& ports,
               const Steering& steering, Exchange& exchange, WorkerCounters& counters)
    : config_(config),
      exchange_(exchange),
      counters_(counters),
      start_cycles_(rte_rdtsc()),
      shard_(config.shard, counters),
      buffers_(config.pool),
      walk_(shard_, steering, TraitsOf(ports), counters, resolve_, buffers_),
      rx_(ports, config.index, steering.workers(), exchange, counters),
      tx_(ports, config.index, steering.workers(), exchange, counters) {
  shard_.Start(Now());
}

bool MbufSource::Take(Packet& packet, size_t bytes) {
  rte_mbuf* mbuf = rte_pktmbuf_alloc(pool_);
  if (mbuf == nullptr) return false;
  packet.buffer = mbuf;
  packet.frame = rte_pktmbuf_mtod(mbuf, uint8_t*);
  if (bytes <= rte_pktmbuf_tailroom(mbuf)) return true;
  rte_pktmbuf_free(mbuf);
  return false;
}

void MbufSource::GiveBack(const Packet& packet) {
  rte_pktmbuf_free(static_cast<rte_mbuf*>(packet.buffer));
}

uint32_t Worker::Now() const {
  return kClockStart + static_cast<uint32_t>((rte_rdtsc() - start_cycles_) / rte_get_tsc_hz());
}

int Worker::Main(void* worker) {
  static_cast<Worker*>(worker)->Loop();
  return 0;
}

void Worker::Loop() {
  // Sleeps of `idle: adaptive` end when asked, not a default slack of 50 us later.
  prctl(PR_SET_TIMERSLACK, 1000);
  auto thread = static_cast<unsigned>(config_.index);
  rte_rcu_qsbr_thread_register(exchange_.rcu(), thread);
  rte_rcu_qsbr_thread_online(exchange_.rcu(), thread);
  const uint64_t second = rte_get_tsc_hz();
  uint64_t next_second = start_cycles_;
  uint32_t now = Now();
  uint64_t snapshot_id = 0;
  unsigned idle_loops = 0;
  while (!exchange_.stopping()) {
    const Snapshot& snapshot = *exchange_.current();
    bool tick = rte_rdtsc() >= next_second;
    if (tick) [[unlikely]] {
      now = Now();
      next_second = start_cycles_ + (now - kClockStart + 1) * second;
    }
    if (tick || snapshot.id != snapshot_id) [[unlikely]] {
      snapshot_id = snapshot.id;
      counters_.snapshot_id.Set(snapshot_id);
      walk_.RetryHeld(snapshot, now, [this](const Packet& packet) { Release(packet); });
      tx_.Flush();
    }
    size_t packets = Poll(snapshot, now);
    shard_.Advance(now, snapshot.timeouts);
    rte_rcu_qsbr_quiescent(exchange_.rcu(), thread);
    counters_.loops.Add(1);
    if (packets > 0) {
      counters_.busy_loops.Add(1);
      idle_loops = 0;
    } else if (config_.adaptive_idle) {
      Rest(++idle_loops);
    }
  }
  rte_rcu_qsbr_thread_offline(exchange_.rcu(), thread);
  rte_rcu_qsbr_thread_unregister(exchange_.rcu(), thread);
}

size_t Worker::Poll(const Snapshot& snapshot, uint32_t now) {
  size_t packets = 0;
  for (size_t i = 0; i < rx_.queue_count(); ++i) {
    size_t count = rx_.Receive(i, burst_);
    if (count > 0) Process(count, snapshot, now);
    packets += count;
  }
  for (size_t i = 0; i < rx_.handoff_count(); ++i) {
    size_t count = rx_.ReceiveHandoff(i, burst_);
    if (count > 0) Process(count, snapshot, now);
    packets += count;
  }
  return packets + tx_.TransmitForOthers();
}

void Worker::Process(size_t count, const Snapshot& snapshot, uint32_t now) {
  std::span<Packet> burst(burst_.data(), count);
  walk_.Run(burst, snapshot, now);
  tx_.Dispatch(burst);
  size_t queued = count;
  walk_.TakeMore([&](const Packet& packet) {
    if (queued++ % kBurst == 0) tx_.Flush();
    tx_.Dispatch({&packet, 1});
  });
  tx_.Flush();
}

void Worker::Release(const Packet& packet) {
  tx_.Dispatch({&packet, 1});
  tx_.Flush();
}

// First spin, then yield the core's other hyper-thread, then sleep. 50 us at the rates that end in
// an empty poll are a handful of packets, which every receive ring holds.
void Worker::Rest(unsigned idle_loops) {
  constexpr unsigned kSpin = 64;
  constexpr unsigned kPause = 512;
  if (idle_loops < kSpin) return;
  if (idle_loops < kPause) {
    rte_pause();
    return;
  }
  struct timespec time {
    0, 50'000
  };
  nanosleep(&time, nullptr);
}

void Worker::Drain() {
  // Whatever waits for a next hop or a fragment gets a verdict far in the future: given up.
  Snapshot nowhere;
  nowhere.forwarding = std::make_shared<Forwarding>();
  walk_.RetryHeld(nowhere, Now() + FragmentTable::kSeconds, [this](const Packet& packet) {
    tx_.Discard(static_cast<rte_mbuf*>(packet.buffer), Drop::kShutdown);
  });
  for (size_t i = 0; i < rx_.handoff_count(); ++i) {
    for (size_t count = rx_.ReceiveHandoff(i, burst_); count > 0;
         count = rx_.ReceiveHandoff(i, burst_)) {
      for (size_t p = 0; p < count; ++p) {
        tx_.Discard(static_cast<rte_mbuf*>(burst_[p].buffer), Drop::kShutdown);
      }
    }
  }
  for (rte_ring* ring : tx_.incoming()) {
    void* mbuf;
    while (rte_ring_sc_dequeue(ring, &mbuf) == 0) {
      tx_.Discard(static_cast<rte_mbuf*>(mbuf), Drop::kShutdown);
    }
  }
  tx_.Flush();
}

}  // namespace bridgehead
