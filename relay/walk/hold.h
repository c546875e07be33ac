// Packets that wait for their next hop: rewritten, but for the Ethernet header.
//
// The kernel resolves neighbours. A worker that meets an unresolved one asks for it (ResolveQueue,
// read by the control thread), keeps a bounded number of packets, and tries again with every new
// snapshot. Both the number of next hops and the packets of each have a limit, and a time.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "relay/api/counters.h"
#include "relay/session/spsc_queue.h"
#include "relay/walk/packet.h"
#include "relay/walk/snapshot.h"

namespace bridgehead {

struct ResolveRequest {
  uint32_t ifindex = 0;
  Ipv6Address address;  // either family
};

// A full queue loses the request: it is repeated.
using ResolveQueue = SpscQueue<ResolveRequest, 256>;

class HoldList {
 public:
  static constexpr size_t kNextHops = 64;
  static constexpr size_t kPackets = 2048;     // in all
  static constexpr uint32_t kWaitSeconds = 4;  // the kernel gives up after three probes, 1 s apart

  explicit HoldList(ResolveQueue& resolve);

  // Takes the packet, or says why not (kHoldFull, kNoRoute, kNeighbourFailed).
  Drop Add(const Packet& packet, const Snapshot& snapshot, uint32_t now);

  // Looks at every waiting next hop again. Calls `release(packet)` for each packet whose wait is
  // over: with verdict kTransmit and its Ethernet header written, or kDrop. To be called with every
  // new snapshot and once a second.
  template <class Release>
  void Retry(const Snapshot& snapshot, uint32_t now, Release&& release) {
    for (Waiting& waiting : waiting_) {
      if (waiting.count == 0) continue;
      Adjacency adjacency;
      Drop drop = Judge(waiting, snapshot, now, adjacency);
      if (drop == Drop::kNone && adjacency.state != Adjacency::State::kResolved) continue;
      while (waiting.count > 0) {
        Packet packet = Take(waiting);
        auto hop = snapshot.forwarding->Route(packet.Destination());
        if (drop == Drop::kNone && hop != waiting.next_hop) {
          packet.End(Drop::kNoRoute);  // its route has moved away from the one it waited for
        } else if (drop == Drop::kNone) {
          WriteHeader(packet, adjacency);
        } else {
          packet.End(drop);
        }
        release(packet);
      }
    }
  }

  size_t held() const { return held_; }

 private:
  static constexpr uint16_t kEnd = 0xffff;

  struct Waiting {
    NextHop next_hop;
    uint32_t deadline = 0;
    uint32_t asked = 0;  // when, in seconds
    uint16_t first = kEnd;
    uint16_t last = kEnd;
    uint32_t count = 0;  // 0: the entry is free
  };
  struct Node {
    Packet packet;
    uint16_t next = kEnd;
  };

  Waiting* FindOrMake(const NextHop& next_hop, uint32_t now);
  Packet Take(Waiting& waiting);
  // kNone with a resolved adjacency: send. kNone otherwise: wait on. A drop: give up.
  Drop Judge(Waiting& waiting, const Snapshot& snapshot, uint32_t now, Adjacency& adjacency);
  void Ask(Waiting& waiting, const Snapshot& snapshot, uint32_t now);
  static void WriteHeader(Packet& packet, const Adjacency& adjacency);

  ResolveQueue& resolve_;
  std::array<Waiting, kNextHops> waiting_{};
  std::vector<Node> nodes_;
  uint16_t free_ = 0;
  size_t held_ = 0;
};

}  // namespace bridgehead
