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
#include "relay/walk/forward.h"
#include "relay/walk/fragment.h"
#include "relay/walk/hold.h"
#include "relay/walk/icmp_error.h"
#include "relay/walk/packet.h"
#include "relay/walk/snapshot.h"
#include "relay/walk/split.h"
#include "relay/walk/steer.h"
#include "relay/walk/tally.h"

namespace bridgehead {

inline constexpr size_t kBurst = 64;

class Walk {
 public:
  // All references outlive the walk. `ports[i]` describes ingress port i.
  Walk(SessionShard& shard, const Steering& steering, std::vector<PortTraits> ports,
       WorkerCounters& counters, ResolveQueue& resolve, BufferSource& buffers);

  // Takes a burst of at most kBurst packets from verdict kOpen to any other. Packets of verdict
  // kHold are kept inside. `now` in seconds of the worker's clock. Counts flows, listeners and
  // bridges; the caller counts verdicts (it may still fail to send).
  void Run(std::span<Packet> burst, const Snapshot& snapshot, uint32_t now);

  // Packets beside the burst's own, judged like those, for the caller to act on after each Run:
  // fragments that have waited, and the pieces of what was too large.
  template <class Act>
  void TakeMore(Act&& act) {
    for (const Packet& packet : more_) act(packet);
    more_.clear();
  }

  // Gives waiting packets back as they become ready or are given up. With every new snapshot, and
  // once a second.
  template <class Release>
  void RetryHeld(const Snapshot& snapshot, uint32_t now, Release&& release) {
    hold_.Retry(snapshot, now, [&](Packet& packet) {
      if (packet.verdict == Verdict::kDrop) Unreachable(packet, snapshot, now);
      release(packet);
    });
    fragments_.Expire(now, release);
    CountHeld();
  }

 private:
  template <bool kSteer>
  void RunBurst(std::span<Packet> burst, const Snapshot& snapshot, uint32_t now);
  template <bool kSteer>
  void ParseAndBegin(Packet& packet, const Snapshot& snapshot);
  void Forward(Packet& packet, const Snapshot& snapshot, const WaysOut& ways, uint32_t now);
  template <bool kSteer, class Family>
  bool Steer(Packet& packet, const FlowKey<Family>& key, const Snapshot& snapshot);
  template <class Family>
  void Error(Packet& packet, const Snapshot& snapshot, uint32_t now);
  template <bool kSteer, class Family>
  void Begin(Packet& packet, const Snapshot& snapshot);
  template <class Family>
  bool ForwardPlain(Packet& packet, const Snapshot& snapshot, const WaysOut& ways, uint32_t now);
  template <class Family>
  void Finish(Packet& packet, const Snapshot& snapshot, uint32_t now);
  template <class Family>
  void Established(Packet& packet, const Snapshot& snapshot, uint32_t now);
  void Account(Flow& flow, uint16_t bytes, uint32_t now) {
    flow.last_seen = now;
    flow.CountPacket();
    flow.bytes += bytes;
    tally_.Add(flow, bytes);
  }
  template <class Family>
  void Cut(Packet& packet, const Adjacency* adjacency, uint16_t mtu, const Snapshot& snapshot,
           uint32_t now);
  void SendInPieces(Packet& packet, uint16_t mtu, uint32_t id, const Adjacency* adjacency,
                    const Snapshot& snapshot, uint32_t now);

  // Fragments (forward_fragment.cc).
  template <class Family>
  void OrderFragment(Packet& packet, const Snapshot& snapshot, uint32_t now);
  template <class Family>
  void ToOwner(Packet& packet, uint8_t owner, const Snapshot& snapshot, uint32_t now);
  template <class Family>
  Drop FindFragmentFlow(Packet& packet, const Fragment& fragment, const Snapshot& snapshot,
                        uint32_t now);
  template <class Family>
  void ForwardFragment(Packet& packet, const Snapshot& snapshot, uint32_t now);

  // ICMP errors of the relay's own (complain.cc).
  template <class Family>
  void Complain(Packet& packet, Drop drop, Complaint complaint, uint16_t mtu,
                const Snapshot& snapshot, uint32_t now);
  void Unreachable(Packet& packet, const Snapshot& snapshot, uint32_t now);
  template <class Family>
  void Unreachable(Packet& packet, Complaint complaint, const Snapshot& snapshot, uint32_t now);

  const Adjacency* WayOut(Flow& flow, const Snapshot& snapshot);
  uint16_t MtuOfRoute(Flow& flow, const Snapshot& snapshot) const;
  void Reroute(Flow& flow, const Snapshot& snapshot);
  void Hold(Packet& packet, const Snapshot& snapshot, uint32_t now);
  void CountHeld() { counters_.held.Set(hold_.held() + fragments_.held()); }

  // At most for one burst: all waiting fragments, and the pieces of some large packets.
  static constexpr size_t kMostMore = FragmentTable::kHeld + kBurst + 1024;

  SessionShard& shard_;
  const Steering& steering_;
  std::vector<PortTraits> ports_;
  WorkerCounters& counters_;
  Tally tally_;
  HoldList hold_;
  FragmentTable fragments_;
  BufferSource& buffers_;
  std::vector<Packet> more_;
  IcmpAllowance icmp_allowance_;
};

}  // namespace bridgehead
