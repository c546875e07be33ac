// A session: one client's flow through one listener to one bridge, and back.
//
// It is two cache lines, one for each direction, and a packet touches only the line of its own
// direction: what it must match, what it becomes, the checksum deltas, the way out, and its counts.
// Every field has one writer, the worker that owns the session. A reader in another thread (the
// control thread's session list) uses the first line's `tail` as a sequence lock: it is odd while
// the session is free or being filled in.
//
// One record serves every pair of families. IPv4 on both sides, the common case, keeps its tuples
// as they lie in the packet. With IPv6 on a side they would not fit: there only the client's
// address is written out, and the others, all from the configuration, are numbers of places
// (place.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "relay/net/family.h"
#include "relay/session/place.h"

namespace bridgehead {

enum class Direction : uint8_t { kToBridge = 0, kToClient = 1 };

// The client's family, then the bridge's. IPv4 clients of IPv6 bridges there are none.
enum class Families : uint8_t { k4To4, k6To6, k6To4 };

constexpr Families FamiliesOf(bool client_v4, bool bridge_v4) {
  if (client_v4) return Families::k4To4;
  return bridge_v4 ? Families::k6To4 : Families::k6To6;
}

inline constexpr uint16_t kNoAdjacency = 0xffff;
inline constexpr uint8_t kAnyPort = 0xff;

// IPv4 on both sides.
struct [[gnu::packed]] Ipv4Tuples {
  FlowKey<Ipv4> match;      // the packet as it arrives
  FlowKey<Ipv4> rewritten;  // and as it leaves
  uint16_t address_delta;   // for the IP header checksum, one TTL step included
};

// The same four endpoints in both directions.
struct [[gnu::packed]] Endpoints {
  Ipv6Address client;
  be16 client_port;
  be16 listener_port;  // what the client sends to, at `listener`
  be16 nat_port;       // what the bridge sends to, at `nat`; destination NAT: the client's
  be16 bridge_port;
  Place listener;
  Place bridge;
  Place nat;  // kNoPlace: destination NAT
};

// `state`, bit by bit; in both directions' lines.
enum FlowState : uint8_t {
  kAnswered = 1,   // the bridge has answered, other than with a STUN error
  kConfirmed = 2,  // and after that the client has sent again: it is where it says
  // Of the line towards the bridge:
  kNatPort = 4,   // the bridge sees a NAT address and one of its ports
  kOutbound = 8,  // the bridge has opened it; the listener's side is a NAT port
  kKeeper = 16,   // with kOutbound: others of the same bridge port may share the NAT port
  kMedia = 32,    // its client came to a media listener
};

struct alignas(64) Flow {
  union {
    Endpoints endpoints;  // families other than k4To4
    Ipv4Tuples v4;        // k4To4
  };
  uint16_t transport_delta = 0;          // for the UDP checksum: addresses and ports
  uint64_t bytes = 0;                    // IP bytes as they arrived
  uint64_t ingress_port : 8 = kAnyPort;  // the only port this direction may come in on, or kAnyPort
  Direction direction : 1 = Direction::kToBridge;
  Families families : 2 = Families::k4To4;
  uint64_t state : 6 = 0;             // FlowState
  uint64_t packets : 47 = 0;          // only grows: CountPacket
  uint32_t last_seen = 0;             // seconds of the worker's clock
  uint16_t adjacency = kNoAdjacency;  // index into Forwarding, or kNoAdjacency
  uint16_t route_generation = 0;      // of Forwarding; another one: look the route up again
  uint16_t listener = 0;              // number in the counter segment
  uint16_t bridge = 0;                // likewise
  // To the bridge: the session's sequence lock. To the client: the tag of the bridge's ufrag, or
  // how many others share a keeper's NAT port.
  std::atomic<uint32_t> tail{0};

  Flow() : endpoints() {}

  // One more in `packets`: as the upper end of its word it needs no mask.
  void CountPacket() {
    auto* at = reinterpret_cast<uint8_t*>(&bytes) + sizeof(bytes);
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    word += uint64_t{1} << (64 - 47);
    memcpy(at, &word, sizeof(word));
  }
};

// Whether both are matched by the same packets.
inline bool SameMatch(const Flow& a, const Flow& b) {
  if (a.direction != b.direction) return false;
  const bool v4 = a.families == Families::k4To4;
  if (v4 != (b.families == Families::k4To4)) return false;
  if (v4) return a.v4.match == b.v4.match;
  const Endpoints& x = a.endpoints;
  const Endpoints& y = b.endpoints;
  if (!(x.client == y.client && x.client_port == y.client_port)) return false;
  return a.direction == Direction::kToBridge
             ? x.listener == y.listener && x.listener_port == y.listener_port
             : x.bridge == y.bridge && x.bridge_port == y.bridge_port;
}

struct Session {
  Flow to_bridge;
  Flow to_client;

  Flow& flow(Direction direction) {
    return direction == Direction::kToBridge ? to_bridge : to_client;
  }
  const Flow& flow(Direction direction) const {
    return direction == Direction::kToBridge ? to_bridge : to_client;
  }
  // The session that `flow` is half of.
  static Session& Of(Flow& flow) {
    return *reinterpret_cast<Session*>(flow.direction == Direction::kToBridge ? &flow : &flow - 1);
  }
  std::atomic<uint32_t>& sequence() { return to_bridge.tail; }
  const std::atomic<uint32_t>& sequence() const { return to_bridge.tail; }
  // A hash of the bridge's ufrag, the first half of the USERNAME that made the session.
  uint32_t ufrag_tag() const { return to_client.tail.load(std::memory_order_relaxed); }
  void set_ufrag_tag(uint32_t tag) { to_client.tail.store(tag, std::memory_order_relaxed); }
  uint32_t sharers() const { return to_client.tail.load(std::memory_order_relaxed); }
  void set_sharers(uint32_t count) { to_client.tail.store(count, std::memory_order_relaxed); }
  Ipv6Address client_address() const {
    return to_bridge.families == Families::k4To4 ? Ipv6Address::Mapped(to_bridge.v4.match.source)
                                                 : to_bridge.endpoints.client;
  }
  // `places`: the addresses by number.
  template <class Places>
  Ipv6Address bridge_address(const Places& places) const {
    return to_bridge.families == Families::k4To4
               ? Ipv6Address::Mapped(to_bridge.v4.rewritten.destination)
               : places[to_bridge.endpoints.bridge];
  }
  // Of a free record: the next one.
  uint32_t next_free() const { return to_bridge.last_seen; }
  void set_next_free(uint32_t index) { to_bridge.last_seen = index; }
  bool confirmed() const { return (to_client.state & kConfirmed) != 0; }
};

static_assert(sizeof(Ipv4Tuples) == 26 && sizeof(Endpoints) == 30);
static_assert(sizeof(Flow) == 64);
static_assert(offsetof(Flow, bytes) == 32 && offsetof(Flow, tail) == 60);
static_assert(sizeof(Session) == 128);

}  // namespace bridgehead
