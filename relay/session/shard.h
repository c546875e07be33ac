// One worker's sessions: the records, the table that finds them, their NAT ports, limits and
// timers. Nothing in here is shared with another worker, and nothing allocates after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "relay/api/counters.h"
#include "relay/net/family.h"
#include "relay/session/admission.h"
#include "relay/session/flow.h"
#include "relay/session/flow_table.h"
#include "relay/session/nat_ports.h"
#include "relay/session/refusals.h"
#include "relay/session/source_limits.h"
#include "relay/session/timer_wheel.h"

namespace bridgehead {

struct NatAddress {
  Ipv6Address address;  // either family
  Place place = kNoPlace;
  bool inside = true;    // seen by bridges, for clients
  bool outside = false;  // seen by others, for bridges
};

struct ShardConfig {
  size_t worker = 0;
  size_t workers = 1;
  size_t max_sessions = 65536;
  std::vector<NatAddress> nat_addresses;
  uint16_t nat_first_port = 20000;
  uint16_t nat_last_port = 59999;
  HashKey hash_key;  // of the flow table: any secret
  HashKey nat_key;   // of the first choice of a NAT port: the same over restarts
};

struct SessionTimeouts {
  uint32_t idle = 300;        // seconds
  uint32_t unconfirmed = 10;  // seconds until a bridge must have answered
  uint32_t quarantine = 120;  // seconds a freed NAT port rests
};

struct SessionLimits {
  uint32_t per_source = 1024;
  uint32_t unconfirmed = 4096;  // at most kMaxUnconfirmed; beyond it the oldest one goes
  AdmissionLimits admission;
};

// The most unconfirmed sessions of a worker.
inline constexpr uint32_t kMaxUnconfirmed = 65536;

// One end of a flow.
struct Endpoint {
  Ipv6Address address;  // either family
  be16 port;
  Place place = kNoPlace;  // of `address`, where the configuration has it
};

// What admission decided about a new session; the shard finds the rest.
struct NewSession {
  Endpoint client;
  Endpoint listener;
  Endpoint bridge;
  bool source_nat = true;
  // What the bridge sees where that is neither the client nor a NAT port: a bridge's own public
  // address, for another bridge behind this relay.
  std::optional<Endpoint> seen_as;
  bool outbound =
      false;             // opened by the bridge: `listener` is a NAT port outside, yet to be chosen
  bool trusted = false;  // confirmed from the start
  bool media = false;    // through a media listener
  uint32_t ufrag_tag = 0;
  uint16_t listener_number = 0;  // in the counter segment
  uint16_t bridge_number = 0;
  uint16_t route_generation = 0;
  uint16_t client_adjacency = kNoAdjacency;
  uint16_t bridge_adjacency = kNoAdjacency;
  uint8_t client_ingress = kAnyPort;  // the only ports their packets may come in on
  uint8_t bridge_ingress = kAnyPort;
};

class SessionShard {
 public:
  SessionShard(const ShardConfig& config, WorkerCounters& counters);

  // The flow for this hash's first candidate, not yet compared; nullptr: none.
  Flow* Candidate(uint64_t hash) {
    uint32_t value = table_.Candidate(hash);
    return value == FlowTable::kNone ? nullptr : &FlowAt(value);
  }
  // The flow with this hash for which `is_it(flow)` holds; nullptr: none.
  template <class IsIt>
  Flow* Find(uint64_t hash, IsIt&& is_it) {
    uint32_t value = table_.Find(hash, [&](uint32_t v) { return is_it(FlowAt(v)); });
    return value == FlowTable::kNone ? nullptr : &FlowAt(value);
  }
  // The flow of packets to a NAT port, not yet compared; nullptr: no session has the port.
  Flow* NatCandidate(size_t slot) {
    uint32_t value = nat_ports_.At(slot);
    return value == NatPorts::kNone ? nullptr : &FlowAt(value);
  }
  size_t NatSlot(size_t address, uint16_t port) const { return nat_ports_.Slot(address, port); }
  const HashKey& hash_key() const { return config_.hash_key; }
  void PrefetchTable(uint64_t hash) const { table_.Prefetch(hash); }
  void PrefetchNat(size_t slot) const { nat_ports_.Prefetch(slot); }
  // What a session is found by when another session of the same client and listener has the plain
  // hash: see Create.
  uint64_t SiblingHash(uint64_t hash, uint32_t ufrag_tag) const {
    return HashWords(hash, ufrag_tag, config_.hash_key);
  }

  Admission& admission() { return admission_; }

  // Creates a session, or names the limit that forbids it; then nothing has changed, but that an
  // unconfirmed session may have made room in vain.
  //
  // `sibling`: the client already has a session on the listener, with another ufrag (RFC 8445
  // section 9: an ICE restart). Both live side by side: the new one is found by hash and ufrag
  // together, until its bridge answers and it takes the plain hash over.
  Drop Create(const NewSession& wanted, bool sibling, uint32_t now, const SessionTimeouts& timeouts,
              const SessionLimits& limits, Flow*& to_bridge);

  // The bridge has answered, other than with a STUN error: it knows the ufrag, and from now on its
  // client's packets belong to this session.
  void Answered(Flow& flow);
  // The client has sent after the bridge's answer: it is where it says.
  void Confirm(Flow& flow);
  // Makes the session the one that its client's packets belong to, whatever their ufrag.
  void MakeCurrent(Flow& to_bridge);

  // A packet for this listener that made no session.
  void CountRefused(uint16_t listener, Drop drop) {
    counters_.listeners[listener].refused.Add(1);
    if (drop == Drop::kStunUnknownUfrag) counters_.listeners[listener].refused_ufrag.Add(1);
  }

  RefusalSampler& refusals() { return refusals_; }

  // The clock's first value, in seconds; before any other call that takes `now`.
  void Start(uint32_t now) { timers_.Start(now); }
  // Ends sessions whose time has come and frees rested ports: a bounded piece of it.
  void Advance(uint32_t now, const SessionTimeouts& timeouts);

  // For readers in other threads: copies a session in a consistent state; false when the record is
  // free or changes meanwhile.
  bool Copy(size_t index, Session& copy) const;
  size_t capacity() const { return sessions_.size(); }
  // The number of a flow's session.
  size_t IndexOf(Flow& flow) const { return IndexOf(Session::Of(flow)); }
  size_t worker() const { return config_.worker; }
  size_t bytes() const;

 private:
  static constexpr uint32_t kNone = 0xffff'ffff;
  static constexpr size_t kAdvanceBudget = 32;  // sessions and ports looked at in one poll

  Flow& FlowAt(uint32_t value) { return *(reinterpret_cast<Flow*>(&sessions_[0]) + value); }
  static uint32_t ValueOf(uint32_t session, Direction direction) {
    return session * 2 + static_cast<uint32_t>(direction);
  }
  uint32_t IndexOf(const Session& session) const {
    return static_cast<uint32_t>(&session - &sessions_[0]);
  }
  uint64_t HashOf(const Flow& flow) const;
  std::optional<NatPorts::Binding> AllocatePort(const NewSession& wanted, uint32_t index);
  uint64_t MappingHash(const Endpoint& bridge) const;
  static Endpoint BridgeOf(const Session& session);
  uint32_t FindKeeper(const Endpoint& bridge);
  void ReleasePort(const Session& session, uint32_t now);
  void Fill(Session& session, const NewSession& wanted, const Endpoint& listener,
            const Endpoint& towards_bridge, uint32_t now);
  bool Publish(uint32_t index, const NewSession& wanted, bool sibling);
  void MakeRoom(bool trusted, uint32_t most_unconfirmed, uint32_t now);
  uint32_t Due(uint32_t index, uint32_t now, const SessionTimeouts& timeouts);
  void Remove(uint32_t index, uint32_t now);  // not in the timer wheel any more
  std::optional<NatPorts::Binding> BindingOf(const Session& session) const;
  void UpdateGauges();

  ShardConfig config_;
  WorkerCounters& counters_;
  HugeArray<Session> sessions_;
  uint32_t first_free_ = 0;  // of a list through the free records
  size_t free_count_ = 0;
  FlowTable table_;
  // Numbers of NAT addresses: towards bridges and towards the outside, of each family.
  std::vector<uint16_t> inside_v4_, inside_v6_, outside_v4_, outside_v6_;
  NatPorts nat_ports_;
  SourceLimits sources_;
  TimerWheel timers_;
  Admission admission_;
  RefusalSampler refusals_;
  // Unconfirmed sessions in the order in which they came, and some that are no more: a ring.
  struct Waiting {
    uint32_t session = 0;
    uint32_t sequence = 0;  // of the session when it was put in
  };
  HugeArray<Waiting> waiting_;
  size_t waiting_first_ = 0;
  size_t waiting_count_ = 0;
};

}  // namespace bridgehead
