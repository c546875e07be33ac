// The log of refusals, bounded: of each reason the first few in ten seconds are a line each, and
// the others one line together.
//
//   refused 203.0.113.5:4000 -> 198.51.100.10:4096 (listener octo-jvb1): denied
//   refused 203.0.113.9:4001 -> 198.51.100.10:4096 (listener octo-jvb1): denied; 1233 more in the
//   last 10 s
//
// Workers send samples (relay/session/refusals.h); how many there were is in the drop counters. No
// I/O but the sink. For the control thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "relay/session/refusals.h"

namespace bridgehead {

class RefusalLog {
 public:
  static constexpr unsigned kWindowSeconds = 10;
  using Sink = std::function<void(const std::string& line)>;
  using Totals = std::array<uint64_t, kDropCount>;  // by DropIndex, since the relay started

  explicit RefusalLog(Sink sink) : sink_(std::move(sink)) {}

  // Lines of each reason in a window, before those of the others together; 0: no line at all.
  void SetLines(uint32_t lines) { lines_ = lines; }
  // `listener`: its name; empty: none, a bridge sent it.
  void Note(const Refusal& refusal, const std::string& listener);
  // Ends a window: to be called every kWindowSeconds.
  void EndWindow(const Totals& totals);

 private:
  struct Reason {
    uint32_t lines = 0;              // in this window
    std::optional<std::string> who;  // the last one that got no line
    uint64_t told = 0;               // of the total: in lines so far
  };

  const Sink sink_;
  uint32_t lines_ = 0;
  std::array<Reason, kDropCount> reasons_;
};

}  // namespace bridgehead
