// What admission refuses, for the log: a few samples a second on their way from a worker to the
// control thread (relay/refusal_log.h). The counters have them all; this says who it was.
#pragma once

#include <array>
#include <cstdint>

#include "relay/net/address.h"
#include "relay/net/endian.h"
#include "relay/session/spsc_queue.h"
#include "relay/walk/drop.h"

namespace bridgehead {

// Decisions about who may have a session: access, bridges that take none, and limits. Not broken
// packets, of which every public address gets some all the time, nor ask_again, which is no refusal
// yet.
inline constexpr std::array kLoggedRefusals = {
    Drop::kStunUnknownUfrag, Drop::kDenied,           Drop::kOctoMalformed, Drop::kBridgeDraining,
    Drop::kBridgeDown,       Drop::kTableFull,        Drop::kPrefixRate,    Drop::kListenerRate,
    Drop::kSourceLimit,      Drop::kNatPortsExhausted};

inline constexpr uint16_t kNoListener = 0xffff;

struct Refusal {
  Ipv6Address source;  // either family
  Ipv6Address destination;
  be16 source_port;
  be16 destination_port;
  uint16_t listener = kNoListener;  // its number in the counter segment
  Drop drop = Drop::kNone;
};

// One worker's. In a flood all but the first of a second cost it one comparison.
class RefusalSampler {
 public:
  static constexpr uint8_t kPerSecond = 16;  // of each reason

  RefusalSampler() {
    for (Drop drop : kLoggedRefusals) most_[DropIndex(drop)] = kPerSecond;
  }

  // Whether this second has room for one more of its kind; it then has to be pushed.
  bool Takes(Drop drop, uint32_t now) {
    if (now != second_) {
      second_ = now;
      taken_.fill(0);
    }
    uint8_t& taken = taken_[DropIndex(drop)];
    if (taken >= most_[DropIndex(drop)]) return false;
    ++taken;
    return true;
  }
  void Push(const Refusal& refusal) { queue_.Push(refusal); }
  // For the control thread.
  bool Pop(Refusal& refusal) { return queue_.Pop(refusal); }

 private:
  std::array<uint8_t, kDropCount> most_{};
  std::array<uint8_t, kDropCount> taken_{};
  uint32_t second_ = 0;
  SpscQueue<Refusal, 256> queue_;  // a second's samples of every reason
};
static_assert(kLoggedRefusals.size() * RefusalSampler::kPerSecond <= 256);

}  // namespace bridgehead
