// Stage 3, look up: the packet's flow, found for the whole burst at once.
//
// Two rounds, each of which lets the cache lines of the next one arrive: `Begin` hashes and asks
// for the bucket (or, for a reply to a NAT port, for the array slot), `Candidate` reads it and asks
// for the flow. `Confirm` then compares the flow's key. An established packet so touches two lines
// of the tables: one of the bucket or slot, one of the flow.
#pragma once

#include "relay/session/shard.h"
#include "relay/walk/packet.h"

namespace bridgehead {

inline void BeginLookup(Packet& packet, const SessionShard& shard) {
  if (packet.nat_reply) {
    shard.PrefetchNat(packet.nat_address, packet.Key().destination_port.ToHost());
  } else {
    packet.hash = shard.Hash(packet.Key());
    shard.PrefetchTable(packet.hash);
  }
}

inline void FindCandidate(Packet& packet, SessionShard& shard) {
  packet.flow = packet.nat_reply
                    ? shard.NatCandidate(packet.nat_address, packet.Key().destination_port.ToHost())
                    : shard.Candidate(packet.hash);
  __builtin_prefetch(packet.flow, 1);
}

// True: packet.flow is the packet's flow. False: it has none, and packet.flow is null, except for a
// reply from another peer than the one the port stands for.
inline bool ConfirmFlow(Packet& packet, SessionShard& shard) {
  if (packet.flow != nullptr && packet.flow->match == packet.Key()) [[likely]]
    return true;
  if (packet.nat_reply) return false;
  // A candidate with the same tag but another key, or a session made by an earlier packet of this
  // burst.
  packet.flow = shard.Find(packet.hash, packet.Key());
  return packet.flow != nullptr;
}

}  // namespace bridgehead
