// What the workers share: the snapshot pointer, the stop flag, and the rings between them.
//
// There are two rings from each worker to each other one, single producer and single consumer:
// packets whose session another worker owns (steer), and finished packets for a port whose queue
// another worker owns (tx). A full ring is a named drop; nobody waits for anybody.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "absl/status/statusor.h"
#include "relay/port/port.h"
#include "relay/walk/packet.h"
#include "relay/walk/snapshot.h"
#include "relay/walk/steer.h"

namespace bridgehead {

// What goes with a packet to another worker, in the mbuf's own field: the port it came in on, and
// whether it is a fragment in its order already.
inline constexpr uint16_t kOrderedBit = 0x8000;
inline uint16_t MbufPort(const Packet& packet) {
  return static_cast<uint16_t>(packet.port | (packet.ordered ? kOrderedBit : 0));
}
inline uint8_t PortOfMbuf(const rte_mbuf& mbuf) {
  return static_cast<uint8_t>(mbuf.port);
}
inline bool OrderedByOther(const rte_mbuf& mbuf) {
  return (mbuf.port & kOrderedBit) != 0;
}

class Exchange {
 public:
  static constexpr unsigned kRingSize = 4096;  // packets

  // The EAL must be up. Error: no memory for the rings.
  static absl::StatusOr<std::unique_ptr<Exchange>> Create(size_t workers);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  rte_ring* handoff(size_t from, size_t to) const { return handoff_[from * workers_ + to]; }
  rte_ring* transmit(size_t from, size_t to) const { return transmit_[from * workers_ + to]; }

  // Control thread: puts `next` in place, waits until no worker uses the old one, and frees that.
  void Switch(std::unique_ptr<const Snapshot> next);
  const Snapshot* current() const { return snapshot_.load(std::memory_order_acquire); }

  rte_rcu_qsbr* rcu() const { return rcu_.get(); }
  void Stop() { stop_.store(true, std::memory_order_relaxed); }
  bool stopping() const { return stop_.load(std::memory_order_relaxed); }

 private:
  struct FreeDeleter {
    void operator()(void* memory) const;
  };

  explicit Exchange(size_t workers) : workers_(workers) {}

  size_t workers_;
  std::vector<rte_ring*> handoff_;
  std::vector<rte_ring*> transmit_;
  std::unique_ptr<rte_rcu_qsbr, FreeDeleter> rcu_;
  std::atomic<const Snapshot*> snapshot_{nullptr};
  std::atomic<bool> stop_{false};
};

}  // namespace bridgehead
