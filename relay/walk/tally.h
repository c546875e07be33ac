// Traffic counters of listeners and bridges, added up before they are written: packets that follow
// each other are mostly of few of them, and four counters for each packet are four cache lines'
// worth of loads and stores.
//
// A tally holds one pair of a listener and a bridge. Another pair, or the end of the burst, writes
// it out.
#pragma once

#include <array>
#include <cstdint>

#include "relay/api/counters.h"
#include "relay/session/flow.h"

namespace bridgehead {

class Tally {
 public:
  explicit Tally(WorkerCounters& counters) : counters_(counters) {}

  void Add(const Flow& flow, uint16_t bytes) {
    if (flow.listener != listener_ || flow.bridge != bridge_) [[unlikely]] {
      Flush();
      listener_ = flow.listener;
      bridge_ = flow.bridge;
    }
    Sum& sum = sums_[static_cast<size_t>(flow.direction)];
    ++sum.packets;
    sum.bytes += bytes;
  }

  void Flush() {
    const auto& [to_bridge, to_client] = sums_;
    for (TrafficCounters* traffic :
         {&counters_.listeners[listener_], &counters_.bridges[bridge_]}) {
      traffic->packets_to_bridge.Add(to_bridge.packets);
      traffic->bytes_to_bridge.Add(to_bridge.bytes);
      traffic->packets_to_client.Add(to_client.packets);
      traffic->bytes_to_client.Add(to_client.bytes);
    }
    sums_ = {};
  }

 private:
  struct Sum {
    uint64_t packets = 0, bytes = 0;
  };

  WorkerCounters& counters_;
  uint16_t listener_ = 0, bridge_ = 0;
  std::array<Sum, 2> sums_;  // by Direction
};

}  // namespace bridgehead
