// A session: one client's flow through one listener to one bridge, and back.
//
// It is two cache lines, one for each direction, and a packet touches only the line of its own
// direction: what it must match, what it becomes, the checksum deltas, the way out, and its counts.
// Every field has one writer, the worker that owns the session. A reader in another thread (the
// control thread's session list) uses `generation` of the first line as a sequence lock: it is odd
// while the session is free or being filled in.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "relay/net/family.h"

namespace bridgehead {

enum class Direction : uint8_t { kToBridge = 0, kToClient = 1 };

inline constexpr uint16_t kNoAdjacency = 0xffff;
inline constexpr uint8_t kAnyPort = 0xff;

template <class Family>
struct alignas(64) Flow {
  FlowKey<Family> match;      // the packet as it arrives
  FlowKey<Family> rewritten;  // and as it leaves
  uint16_t address_delta;     // for the IP header checksum, one TTL step included
  uint16_t transport_delta;   // for the UDP checksum: addresses and ports
  uint32_t route_generation;  // of Forwarding; another one means: look the route up again
  uint64_t packets;
  uint64_t bytes;      // IP bytes
  uint32_t last_seen;  // seconds of the worker's clock
  uint16_t adjacency;  // index into Forwarding, or kNoAdjacency
  uint16_t listener;   // number in the counter segment
  uint16_t bridge;     // likewise
  Direction direction;
  uint8_t ingress_port;  // the only port this direction may come in on, or kAnyPort
  std::atomic<uint32_t> generation;
};

template <class Family>
struct Session {
  Flow<Family> to_bridge;
  Flow<Family> to_client;

  Flow<Family>& flow(Direction direction) {
    return direction == Direction::kToBridge ? to_bridge : to_client;
  }
  const Flow<Family>& flow(Direction direction) const {
    return direction == Direction::kToBridge ? to_bridge : to_client;
  }
  // A bridge answered: the client is real as far as the bridge can tell.
  bool confirmed() const { return to_client.packets != 0; }
};

static_assert(sizeof(Flow<Ipv4>) == 64);
static_assert(offsetof(Flow<Ipv4>, match) == 0 && offsetof(Flow<Ipv4>, generation) == 60);
static_assert(sizeof(Session<Ipv4>) == 128);

}  // namespace bridgehead
