// How long frames were under way, from the call that sent them to the one that found them.
//
// Frames carry no time: the device under test must not see a difference. The time is kept by the
// session that a frame belongs to, so a session must not have two frames of one direction under
// way; more sessions than a ring has descriptors are enough for that.
#pragma once

#include <cstdint>
#include <vector>

namespace bridgehead::rig {

struct LatencyReport {
  uint64_t samples = 0;
  uint64_t excluded = 0;  // while they were under way the rig itself was paused by its machine
  double median_us = 0;
  double p99_us = 0;
  double p999_us = 0;
  double worst_us = 0;
  uint64_t pauses = 0;  // of the rig
  // When frames first took longer than kSpikeUs, in seconds from the start, and how long at worst.
  struct Spike {
    double at_seconds = 0;
    double worst_us = 0;
  };
  std::vector<Spike> spikes;
};

inline constexpr double kSpikeUs = 100;
inline constexpr double kPauseUs = 20;  // a turn of the rig's loop that takes longer is a pause

class Latency {
 public:
  enum Direction { kToBridge, kToClient };

  Latency(uint32_t sessions, uint64_t begin, double hz);

  // A turn of the rig's loop begins.
  void Turn(uint64_t now);
  void Sent(Direction direction, uint32_t session, uint64_t now) {
    sent_at_[direction][session] = now;
  }
  // A frame of `session` has come; nothing that was sent earlier than Begin's time counts.
  void Came(Direction direction, uint32_t session, uint64_t now);
  // Samples count from here on.
  void Begin(uint64_t now) { measured_from_ = now; }

  LatencyReport Report();

 private:
  double Microseconds(uint64_t ticks) const;
  void Spike(uint64_t sent, double us);

  uint64_t begin_;
  double ticks_per_us_;
  uint64_t measured_from_ = UINT64_MAX;
  uint64_t last_turn_;
  uint64_t pause_end_ = 0;  // frames sent before it were under way during the last pause
  std::vector<uint64_t> sent_at_[2];
  std::vector<uint32_t> samples_;  // ticks
  LatencyReport report_;
};

}  // namespace bridgehead::rig
