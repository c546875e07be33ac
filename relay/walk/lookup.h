// Stage 3, look up: the packet's flow, found for several packets at once (Walk::RunBurst).
//
// Two rounds, each of which lets the cache lines of the next one arrive: `Begin` hashes and asks
// for the bucket (or, for a reply to a NAT port, for the array slot), `Candidate` reads it and asks
// for the flow. `Confirm` then compares the flow's key. An established packet so touches two lines
// of the tables: one of the bucket or slot, one of the flow.
#pragma once

#include <type_traits>

#include "relay/session/shard.h"
#include "relay/walk/packet.h"
#include "relay/walk/snapshot.h"

namespace bridgehead {

// Whether `flow` takes packets with this key. After Classify with the same.
template <class Family>
inline bool Takes(const Flow& flow, const Packet& packet, const FlowKey<Family>& key,
                  const Snapshot& snapshot) {
  if constexpr (std::is_same_v<Family, Ipv4>) {
    if (flow.families == Families::k4To4) [[likely]]
      return flow.v4.match == key;
  } else {
    if (flow.families == Families::k4To4) return false;
  }
  const Endpoints& ends = flow.endpoints;
  if (packet.nat_reply) {
    // The NAT port has led here, or the hash of all that differs between those that share one; what
    // is left to compare is who sent it.
    return flow.direction == Direction::kToClient
               ? ends.bridge_port == key.source_port &&
                     snapshot.AddressAt(ends.bridge) == Family::Any(key.source)
               : ends.client_port == key.source_port && ends.client == Family::Any(key.source) &&
                     ends.listener_port == key.destination_port;
  }
  if constexpr (std::is_same_v<Family, Ipv6>) {
    if (packet.from_place) {
      return flow.direction == Direction::kToClient && ends.client == key.destination &&
             ends.client_port == key.destination_port && ends.bridge == packet.place &&
             ends.bridge_port == key.source_port;
    }
    return flow.direction == Direction::kToBridge && ends.client == key.source &&
           ends.client_port == key.source_port && ends.listener == packet.place &&
           ends.listener_port == key.destination_port;
  } else {
    return false;
  }
}

template <class Family>
inline uint64_t HashPacket(const Packet& packet, const FlowKey<Family>& tuple, const HashKey& key) {
  if constexpr (std::is_same_v<Family, Ipv4>) {
    return HashFlow(tuple, key);
  } else {
    return packet.from_place ? HashEndpoints(tuple.destination, tuple.destination_port,
                                             packet.place, tuple.source_port, key)
                             : HashEndpoints(tuple.source, tuple.source_port, packet.place,
                                             tuple.destination_port, key);
  }
}

// Whether others may have the NAT port, too, that has led to this flow.
inline bool SharesItsPort(const Flow& flow) {
  return (flow.state & kKeeper) != 0;
}

// The flow of packets with this key, or nullptr: all of a look-up at once. After Classify with the
// same key.
template <class Family>
inline Flow* FindFlow(const Packet& packet, const FlowKey<Family>& key, SessionShard& shard,
                      const Snapshot& snapshot) {
  auto takes = [&](const Flow& flow) { return Takes(flow, packet, key, snapshot); };
  if (packet.nat_reply) {
    Flow* flow =
        shard.NatCandidate(shard.NatSlot(packet.nat_address, key.destination_port.ToHost()));
    if (flow == nullptr || takes(*flow)) return flow;
    if (!SharesItsPort(*flow)) return nullptr;
  }
  return shard.Find(HashPacket(packet, key, shard.hash_key()), takes);
}

template <class Family>
inline void BeginLookup(Packet& packet, const SessionShard& shard) {
  if (packet.nat_reply) {
    packet.slot = shard.NatSlot(packet.nat_address, packet.Key<Family>().destination_port.ToHost());
    shard.PrefetchNat(packet.slot);
  } else {
    packet.hash = HashPacket(packet, packet.Key<Family>(), shard.hash_key());
    shard.PrefetchTable(packet.hash);
  }
}

inline void FindCandidate(Packet& packet, SessionShard& shard) {
  if (packet.nat_reply) {
    packet.flow = shard.NatCandidate(packet.slot);
  } else {
    packet.flow = shard.Candidate(packet.hash);
  }
  __builtin_prefetch(packet.flow, 1);
}

// True: packet.flow is the packet's flow. False: it has none, and packet.flow is null, except for a
// reply from another peer than the one the port stands for.
template <class Family>
inline bool ConfirmFlow(Packet& packet, SessionShard& shard, const Snapshot& snapshot) {
  if (packet.flow != nullptr && Takes(*packet.flow, packet, packet.Key<Family>(), snapshot))
      [[likely]]
    return true;
  if (packet.nat_reply) {
    if (packet.flow == nullptr || !SharesItsPort(*packet.flow)) return false;
    Flow* other = FindFlow(packet, packet.Key<Family>(), shard, snapshot);
    if (other != nullptr) packet.flow = other;
    return other != nullptr;
  }
  // A candidate with the same tag but another key, or a session made by an earlier packet of this
  // burst.
  packet.flow = shard.Find(packet.hash, [&](const Flow& flow) {
    return Takes(flow, packet, packet.Key<Family>(), snapshot);
  });
  return packet.flow != nullptr;
}

}  // namespace bridgehead
