// New sessions beside the load, at a given rate: RFC 9693's phase 1 while the sessions of before go
// on.
//
// Each is a client tuple that was never seen: its STUN Binding Request, which the device has to
// make a session for, and the bridge's answer through it. One counts as opened when the answer has
// come back from the listener's address to the tuple that asked.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/rig/options.h"
#include "bench/rig/pace.h"
#include "bench/rig/sessions.h"
#include "bench/rig/wire.h"

namespace bridgehead::rig {

struct OpeningReport {
  uint64_t asked = 0;
  uint64_t reached = 0;  // requests at the bridge
  uint64_t opened = 0;
  uint64_t wrong = 0;     // came with a tuple or a checksum they should not have
  double per_second = 0;  // opened, while they were asked for
};

// Frames on their way out of one wire; what a full ring refuses is offered again.
class Outbox {
 public:
  explicit Outbox(const Wire& wire) : wire_(wire) { waiting_.reserve(kSize); }
  ~Outbox() { rte_pktmbuf_free_bulk(waiting_.data(), static_cast<unsigned>(waiting_.size())); }
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  bool full() const { return waiting_.size() >= kSize; }
  // As MakeFrame. False when there is no buffer.
  template <typename Build>
  bool Add(Build build) {
    rte_mbuf* mbuf = MakeFrame(wire_, build);
    if (mbuf != nullptr) waiting_.push_back(mbuf);
    return mbuf != nullptr;
  }
  void Flush();

 private:
  static constexpr size_t kSize = 256;
  const Wire& wire_;
  std::vector<rte_mbuf*> waiting_;
};

class Opening {
 public:
  // Those of `sessions` from `options.sessions` on, from tick `begin` on.
  Opening(const Options& options, Sessions& sessions, Wires& wires, uint64_t begin, double hz);

  // Asks for what is due; returns when all that could be sent is sent.
  void Step(uint64_t now);
  // A STUN frame came there.
  void AtBridge(const rte_mbuf* mbuf);
  void AtClient(const rte_mbuf* mbuf, uint64_t now);

  OpeningReport Report() const;

 private:
  Sessions& sessions_;
  Pace pace_;
  double hz_;
  uint64_t begin_;
  uint64_t last_opened_ = 0;
  uint32_t first_;
  uint32_t next_;
  Outbox requests_;
  Outbox answers_;
  OpeningReport report_;
};

}  // namespace bridgehead::rig
