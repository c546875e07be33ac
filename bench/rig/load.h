// The load itself: small frames over all sessions in both directions, as fast as the device takes
// them or at a given rate, counted in windows of 100 ms as they come back.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/rig/cpu_time.h"
#include "bench/rig/latency.h"
#include "bench/rig/opening.h"
#include "bench/rig/options.h"
#include "bench/rig/sessions.h"
#include "bench/rig/wire.h"

namespace bridgehead::rig {

inline constexpr double kWindowSeconds = 0.1;

struct Direction {
  uint64_t sent = 0;
  uint64_t received = 0;
  uint64_t wrong = 0;  // of the frames looked at closely: wrong tuple or checksum
  uint64_t send_calls = 0;
  uint64_t ring_full_calls = 0;   // the device had not yet taken enough of the earlier frames
  std::vector<uint64_t> windows;  // received in each full window of the measurement
  int64_t lost() const { return static_cast<int64_t>(sent) - static_cast<int64_t>(received); }
};

struct LoadReport {
  Direction to_bridge;
  Direction to_client;
  uint64_t checked = 0;        // frames looked at closely, a sample of those received
  std::vector<CoreUse> cores;  // of the whole machine, during the measurement
  LatencyReport latency;
  OpeningReport opening;
};

// Sends for warm-up and measurement, then waits until nothing comes back any more. `sent`,
// `received` and `wrong` include the warm-up; the windows do not.
LoadReport RunLoad(const Options& options, Sessions& sessions, Wires& wires);

}  // namespace bridgehead::rig
