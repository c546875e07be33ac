// The walk: one worker's stages, joined, for one burst of packets. No I/O: the caller brings the
// packets and acts on their verdicts.
//
//   parse -> steer -> look up -> [admit] -> rewrite
//
// Cache lines an established packet touches beside its own headers: the bucket or NAT slot, its
// direction's flow, the adjacency, and the counters, of which only the first two depend on the
// packet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "relay/api/counters.h"
#include "relay/session/shard.h"
#include "relay/walk/hold.h"
#include "relay/walk/packet.h"
#include "relay/walk/snapshot.h"
#include "relay/walk/steer.h"

namespace bridgehead {

inline constexpr size_t kBurst = 64;

class Walk {
 public:
  // All references outlive the walk. `ports[i]` describes ingress port i.
  Walk(SessionShard& shard, const Steering& steering, std::vector<PortTraits> ports,
       WorkerCounters& counters, ResolveQueue& resolve);

  // Takes a burst of at most kBurst packets from verdict kOpen to any other. Packets of verdict
  // kHold are kept inside. `now` in seconds of the worker's clock. Counts flows, listeners and
  // bridges; the caller counts verdicts (it may still fail to send).
  void Run(std::span<Packet> burst, const Snapshot& snapshot, uint32_t now);

  // Gives waiting packets back as they become ready or are given up.
  template <class Release>
  void RetryHeld(const Snapshot& snapshot, uint32_t now, Release&& release) {
    hold_.Retry(snapshot, now, std::forward<Release>(release));
    counters_.held.Set(hold_.held());
  }

 private:
  template <bool kSteer>
  void RunBurst(std::span<Packet> burst, const Snapshot& snapshot, uint32_t now);
  template <bool kSteer, class Family>
  bool Steer(Packet& packet, const FlowKey<Family>& key, const Snapshot& snapshot);
  template <class Family>
  void Error(Packet& packet, const Snapshot& snapshot, uint32_t now);
  template <bool kSteer, class Family>
  void Begin(Packet& packet, const Snapshot& snapshot);
  template <class Family>
  void Finish(Packet& packet, const Snapshot& snapshot, uint32_t now);
  template <class Family>
  void Established(Packet& packet, const Snapshot& snapshot, uint32_t now);
  const Adjacency* WayOut(Flow& flow, const Snapshot& snapshot);
  void Reroute(Flow& flow, const Snapshot& snapshot);
  void Hold(Packet& packet, const Snapshot& snapshot, uint32_t now);

  SessionShard& shard_;
  const Steering& steering_;
  std::vector<PortTraits> ports_;
  WorkerCounters& counters_;
  HoldList hold_;
};

}  // namespace bridgehead
