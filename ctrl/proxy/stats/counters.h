// What one worker counts. Each has one writer, the worker's thread; any thread reads.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "ctrl/proxy/stats/totals.h"
#include "relay/api/counters.h"

namespace bridgehead::proxy {

// Of bodies and tunnels: what is said within TLS and HTTP.
struct ByteCounters {
  Counter to_server, to_client;
};

class StatusCounters {
 public:
  // `status`: 0 without an answer, else 100..599.
  void Count(uint16_t status) {
    classes_[std::min<size_t>(status / 100, kStatusClasses - 1)].Add(1);
  }
  void AddTo(StatusTotals& totals) const {
    for (size_t i = 0; i < kStatusClasses; ++i) totals[i] += classes_[i].Get();
  }

 private:
  std::array<Counter, kStatusClasses> classes_;
};

// Of a listener, beside its AcceptCounters.
struct ListenerCounters {
  Counter tls_full, tls_resumed, tls_failed;
  ByteCounters bytes;
  StatusCounters unrouted;
};

struct RouteCounters {
  StatusCounters requests;
  Counter tunnels_begun;
  Counter tunnels;  // gauge
  ByteCounters bytes;
};

// Of a server of an upstream. Groups of an older configuration count here too while they last.
struct ServerCounters {
  Counter down, draining;  // gauges: 0 or 1
  // Gauge: until then the server is left alone, in nanoseconds of the steady clock; 0: it is not.
  Counter alone_until;
  Counter connections, kept;  // gauges
  Counter picked, failed, requests;
};

}  // namespace bridgehead::proxy
