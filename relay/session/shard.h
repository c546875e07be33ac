// One worker's sessions: the records, the table that finds them, their NAT ports, limits and
// timers. Nothing in here is shared with another worker, and nothing allocates after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "relay/api/counters.h"
#include "relay/net/family.h"
#include "relay/session/flow.h"
#include "relay/session/flow_table.h"
#include "relay/session/nat_ports.h"
#include "relay/session/source_limits.h"
#include "relay/session/timer_wheel.h"

namespace bridgehead {

struct ShardConfig {
  size_t worker = 0;
  size_t workers = 1;
  size_t max_sessions = 65536;
  std::vector<be32> nat_addresses;
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
  uint32_t unconfirmed = 4096;
};

// What admission decided about a new session; the shard finds the rest.
struct NewSession {
  FlowKey<Ipv4> client;  // as the first packet came: client -> listener
  be32 bridge;
  uint16_t bridge_port = 0;  // host order
  bool source_nat = true;
  uint16_t listener = 0;  // numbers in the counter segment
  uint16_t bridge_number = 0;
  uint32_t route_generation = 0;
  uint16_t client_adjacency = kNoAdjacency;
  uint16_t bridge_adjacency = kNoAdjacency;
  uint8_t bridge_ingress = kAnyPort;
};

class SessionShard {
 public:
  SessionShard(const ShardConfig& config, WorkerCounters& counters);

  // The flow for this hash's first candidate, not yet compared; nullptr: none.
  Flow<Ipv4>* Candidate(uint64_t hash) {
    uint32_t value = table_.Candidate(hash);
    return value == FlowTable::kNone ? nullptr : &FlowAt(value);
  }
  Flow<Ipv4>* Find(uint64_t hash, const FlowKey<Ipv4>& key);
  // The flow of replies to a NAT port, not yet compared; nullptr: no session has the port.
  Flow<Ipv4>* NatCandidate(size_t address, uint16_t port) {
    uint32_t session = nat_ports_.Lookup(address, port);
    return session == NatPorts::kNone ? nullptr : &sessions_[session].to_client;
  }
  uint64_t Hash(const FlowKey<Ipv4>& key) const { return HashFlow(key, config_.hash_key); }
  void PrefetchTable(uint64_t hash) const { table_.Prefetch(hash); }
  void PrefetchNat(size_t address, uint16_t port) const { nat_ports_.Prefetch(address, port); }

  // Creates a session, or names the limit that forbids it; then nothing has changed.
  Drop Create(const NewSession& wanted, uint32_t now, const SessionTimeouts& timeouts,
              const SessionLimits& limits, Flow<Ipv4>*& to_bridge);

  // To be called for the first packet of a bridge's answer.
  void Confirm() { counters_.sessions_unconfirmed.Subtract(1); }

  // The clock's first value, in seconds; before any other call that takes `now`.
  void Start(uint32_t now) { timers_.Start(now); }
  // Ends sessions whose time has come and frees rested ports: a bounded piece of it.
  void Advance(uint32_t now, const SessionTimeouts& timeouts);

  // For readers in other threads: copies a session in a consistent state; false when the record is
  // free or changes meanwhile.
  bool Copy(size_t index, Session<Ipv4>& copy) const;
  size_t capacity() const { return sessions_.size(); }
  size_t worker() const { return config_.worker; }
  size_t bytes() const;

 private:
  static constexpr size_t kAdvanceBudget = 32;  // sessions and ports looked at in one poll

  Flow<Ipv4>& FlowAt(uint32_t value) {
    return sessions_[value / 2].flow(static_cast<Direction>(value % 2));
  }
  static uint32_t ValueOf(uint32_t session, Direction direction) {
    return session * 2 + static_cast<uint32_t>(direction);
  }
  void Fill(Session<Ipv4>& session, const NewSession& wanted, const FlowKey<Ipv4>& rewritten,
            uint32_t now);
  bool Publish(uint32_t index, const NewSession& wanted);
  uint32_t Due(uint32_t index, uint32_t now, const SessionTimeouts& timeouts);
  void Remove(uint32_t index, uint32_t now);
  std::optional<NatPorts::Binding> BindingOf(const Session<Ipv4>& session) const;
  void UpdateGauges();

  ShardConfig config_;
  WorkerCounters& counters_;
  HugeArray<Session<Ipv4>> sessions_;
  HugeArray<uint32_t> free_;  // stack of free records
  size_t free_count_ = 0;
  FlowTable table_;
  NatPorts nat_ports_;
  SourceLimits sources_;
  TimerWheel timers_;
};

}  // namespace bridgehead
