// Fragments of UDP packets, one by one: nothing is put together (RFC 4787 requirement 14).
//
// Only the first fragment of a packet has ports, and any worker may receive any fragment. So each
// packet in fragments belongs to one worker, by a hash of its addresses and identification, which
// keeps the others until the first is there and then sends all of them, in order, to the worker
// that owns the session. That one remembers which flow the first fragment has found.
//
// What strangers can send is bounded: a fixed number of packets in fragments, of waiting fragments,
// and of seconds that either is remembered. The newest displaces the oldest. Fragments open no
// session, and no two of a packet may bring the same byte (RFC 1858, RFC 5722): those that do end
// here, and what leaves can be put together in one way only.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "relay/net/family.h"
#include "relay/session/flow.h"
#include "relay/walk/packet.h"

namespace bridgehead {

// What all fragments of a packet have in common (RFC 791 section 3.2, RFC 8200 section 4.5).
struct FragmentKey {
  Ipv6Address source;  // either family
  Ipv6Address destination;
  uint32_t id = 0;

  bool operator==(const FragmentKey& other) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const FragmentKey& key) {
    return H::combine(std::move(h), key.source.High(), key.source.Low(), key.destination.High(),
                      key.destination.Low(), key.id);
  }
  size_t Hash() const { return absl::HashOf(*this); }  // the same on all workers
};

struct Fragment {
  FragmentKey key;
  uint8_t* payload = nullptr;  // behind the IP and fragment headers
  uint32_t offset = 0;         // of `payload` in that of the whole packet
  uint32_t bytes = 0;
  bool more = false;

  bool first() const { return offset == 0; }
  bool whole() const { return offset == 0 && !more; }
  uint32_t end() const { return offset + bytes; }
  // Of a first one.
  UdpHeader& udp() const { return *reinterpret_cast<UdpHeader*>(payload); }
};

// What the parser has found in order.
template <class Family>
Fragment FragmentOf(const Packet& packet);

// One worker's.
class FragmentTable {
 public:
  static constexpr size_t kDatagrams = 1024;
  static constexpr size_t kHeld = 512;
  static constexpr uint16_t kHeldOfOne = 64;
  static constexpr uint32_t kSeconds = 5;  // what a network takes to bring all of a packet, at most
  static constexpr uint32_t kLeastBytes = 256;  // of all fragments but the last

  // A packet in fragments. Of the worker that orders them: `pieces`, `end` and what is held. Of the
  // one that owns the session: `flow`.
  struct Datagram {
    enum class State : uint8_t { kWaits, kOpen, kRefused };
    struct Piece {
      uint32_t begin = 0, end = 0;
    };

    FragmentKey key;
    uint32_t until = 0;  // seconds of the worker's clock; 0: free
    State state = State::kWaits;
    Drop drop = Drop::kNone;  // of kRefused
    uint8_t owner = 0;        // the session's worker
    uint8_t piece_count = 0;
    uint16_t held = 0;
    uint16_t first_held = kEnd;
    uint16_t last_held = kEnd;
    uint32_t end = 0;             // of the whole packet; 0: not known
    std::array<Piece, 6> pieces;  // what has come, sorted, not touching each other
    uint32_t made = 0;            // rises from one to the next
    Flow* flow = nullptr;
    uint32_t sequence = 0;  // of the flow's session, which may end meanwhile
  };

  FragmentTable();

  Datagram* Find(const FragmentKey& key, uint32_t now);
  // Finds it, or makes it. `give_up(packet)` gets, with their drop, fragments that it displaces.
  template <class GiveUp>
  Datagram& FindOrMake(const FragmentKey& key, uint32_t now, GiveUp&& give_up) {
    if (Datagram* found = Find(key, now)) return *found;
    Datagram& place = PlaceFor(key, now);
    Refuse(place, Drop::kFragmentOverflow, give_up);
    place = Datagram{};
    place.key = key;
    place.until = now + kSeconds;
    place.made = ++made_;
    return place;
  }

  // Notes what the fragment brings. kFragmentOverlap, kFragmentMalformed, kFragmentOverflow: it
  // does not fit what was there; `whole_packet` says whether the others are not to be trusted
  // either.
  Drop Note(Datagram& datagram, const Fragment& fragment, bool& whole_packet);
  static bool IsWhole(const Datagram& datagram) {
    return datagram.end != 0 && datagram.piece_count == 1 && datagram.pieces[0].begin == 0 &&
           datagram.pieces[0].end == datagram.end;
  }
  void Forget(Datagram& datagram) { datagram.until = 0; }

  // Keeps a fragment until Release or Refuse.
  template <class GiveUp>
  Drop Hold(Datagram& datagram, const Packet& packet, GiveUp&& give_up) {
    if (datagram.held == kHeldOfOne) return Drop::kFragmentOverflow;
    Node& node = nodes_[next_node_];
    if (node.used) {
      Datagram& oldest = datagrams_[node.datagram];
      if (&oldest == &datagram) return Drop::kFragmentOverflow;
      Refuse(oldest, Drop::kFragmentOverflow, give_up);
    }
    Link(datagram, packet);
    return Drop::kNone;
  }
  // `let(packet)` gets what is held, in the order of its arrival.
  template <class Let>
  void Release(Datagram& datagram, Let&& let) {
    while (datagram.held > 0) let(Take(datagram));
  }
  // No fragment of it is to be forwarded any more.
  template <class GiveUp>
  void Refuse(Datagram& datagram, Drop drop, GiveUp&& give_up) {
    datagram.state = Datagram::State::kRefused;
    datagram.drop = drop;
    Release(datagram, [&](Packet packet) {
      packet.End(drop);
      give_up(packet);
    });
  }
  // Gives up what has waited for too long. Once a second.
  template <class GiveUp>
  void Expire(uint32_t now, GiveUp&& give_up) {
    if (held_ == 0) return;
    for (Node& node : nodes_) {
      if (!node.used || datagrams_[node.datagram].until > now) continue;
      Refuse(datagrams_[node.datagram], Drop::kFragmentTimeout, give_up);
    }
  }
  size_t held() const { return held_; }

 private:
  static constexpr uint16_t kEnd = 0xffff;
  static constexpr size_t kWays = 4;
  struct Node {
    Packet packet;
    uint16_t next = kEnd;
    uint16_t datagram = 0;
    bool used = false;
  };

  std::pair<Datagram*, Datagram*> SetOf(const FragmentKey& key) {
    Datagram* first = &datagrams_[key.Hash() % (kDatagrams / kWays) * kWays];
    return {first, first + kWays};
  }
  Datagram& PlaceFor(const FragmentKey& key, uint32_t now);
  void Link(Datagram& datagram, const Packet& packet);
  Packet Take(Datagram& datagram);

  std::vector<Datagram> datagrams_;
  std::vector<Node> nodes_;  // taken in turn: a used one in the way is the oldest
  uint16_t next_node_ = 0;
  uint32_t made_ = 0;
  size_t held_ = 0;
};

}  // namespace bridgehead
