// Which worker polls which queue of which port.
//
// A port with a queue for every worker gives each its own. A port with fewer (a veth has one) gives
// its queues to some workers, different ones for different ports so that the work spreads; the
// others reach it through the rings of Exchange.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "relay/port/port.h"

namespace bridgehead {

struct PortQueue {
  uint8_t port = 0;  // index of the port
  uint16_t ethdev = 0;
  uint16_t queue = 0;
};

inline size_t QueueOwner(size_t port, size_t queue, size_t queues, size_t workers) {
  return (queue + (queues < workers ? port : 0)) % workers;
}

// The receive queues that `worker` polls.
inline std::vector<PortQueue> ReceiveQueues(const std::vector<port::OpenPort>& ports, size_t worker,
                                            size_t workers) {
  std::vector<PortQueue> mine;
  for (size_t p = 0; p < ports.size(); ++p) {
    for (uint16_t q = 0; q < ports[p].rx_queues; ++q) {
      if (QueueOwner(p, q, ports[p].rx_queues, workers) == worker) {
        mine.push_back({static_cast<uint8_t>(p), ports[p].id, q});
      }
    }
  }
  return mine;
}

// How a worker's packets leave by a port: by a queue of its own, or through the worker that has
// one.
struct TransmitWay {
  PortQueue queue;
  size_t owner = 0;
};

inline TransmitWay FindTransmitWay(const std::vector<port::OpenPort>& ports, size_t port,
                                   size_t worker, size_t workers) {
  const port::OpenPort& out = ports[port];
  assert(out.tx_queues > 0);
  TransmitWay way{{static_cast<uint8_t>(port), out.id, 0}, 0};
  for (uint16_t q = 0; q < out.tx_queues; ++q) {
    if (QueueOwner(port, q, out.tx_queues, workers) == worker) {
      way.queue.queue = q;
      way.owner = worker;
      return way;
    }
  }
  // No queue of its own: workers without one spread over those that have.
  way.queue.queue = static_cast<uint16_t>(worker % out.tx_queues);
  way.owner = QueueOwner(port, way.queue.queue, out.tx_queues, workers);
  return way;
}

}  // namespace bridgehead
