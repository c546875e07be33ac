#include "relay/session/shard.h"

#include <algorithm>
#include <cstring>

#include "relay/net/checksum.h"

namespace bridgehead {
namespace {

// One TTL step as a checksum delta: the raw word of TTL and protocol goes down by one in its low
// byte, which is the TTL (RFC 1624 equation 3: ~m + m' = 0xffff - 1).
constexpr uint16_t kTtlDelta = 0xfffe;

void SetDeltas(Flow<Ipv4>& flow) {
  auto addresses = [](const FlowKey<Ipv4>& key) {
    return static_cast<uint64_t>(key.source.Raw()) + key.destination.Raw();
  };
  auto tuple = [&](const FlowKey<Ipv4>& key) {
    return addresses(key) + key.source_port.Raw() + key.destination_port.Raw();
  };
  uint16_t ip = ChecksumDelta(addresses(flow.match), addresses(flow.rewritten));
  flow.address_delta = FoldChecksum(static_cast<uint64_t>(ip) + kTtlDelta);
  flow.transport_delta = ChecksumDelta(tuple(flow.match), tuple(flow.rewritten));
}

}  // namespace

SessionShard::SessionShard(const ShardConfig& config, WorkerCounters& counters)
    : config_(config),
      counters_(counters),
      sessions_(config.max_sessions),
      free_(config.max_sessions),
      free_count_(config.max_sessions),
      // Two entries each: in destination NAT the way back is found by hash as well.
      table_(config.max_sessions * 2),
      nat_ports_(
          config.nat_addresses.size(),
          PartitionOf(config.nat_first_port, config.nat_last_port, config.worker, config.workers)),
      sources_(config.max_sessions, config.hash_key),
      timers_(config.max_sessions) {
  for (size_t i = 0; i < free_.size(); ++i) {
    free_[i] = static_cast<uint32_t>(free_.size() - 1 - i);
    sessions_[i].to_bridge.generation.store(1, std::memory_order_relaxed);
  }
}

Flow<Ipv4>* SessionShard::Find(uint64_t hash, const FlowKey<Ipv4>& key) {
  uint32_t value = table_.Find(hash, [&](uint32_t v) { return FlowAt(v).match == key; });
  return value == FlowTable::kNone ? nullptr : &FlowAt(value);
}

Drop SessionShard::Create(const NewSession& wanted, uint32_t now, const SessionTimeouts& timeouts,
                          const SessionLimits& limits, Flow<Ipv4>*& to_bridge) {
  if (free_count_ == 0) return Drop::kTableFull;
  if (counters_.sessions_unconfirmed.Get() >= limits.unconfirmed) return Drop::kUnconfirmedFull;
  if (!sources_.Take(wanted.client.source, limits.per_source)) return Drop::kSourceLimit;

  uint32_t index = free_[free_count_ - 1];
  FlowKey<Ipv4> rewritten{wanted.client.source, wanted.bridge, wanted.client.source_port,
                          be16::FromHost(wanted.bridge_port)};
  if (wanted.source_nat) {
    FlowKey<Ipv4> choice = rewritten;
    auto binding = nat_ports_.Allocate(
        static_cast<uint32_t>(HashWords(wanted.client.source.Raw(), 0, config_.nat_key) >> 32),
        HashFlow(choice, config_.nat_key), index);
    if (!binding) {
      sources_.Return(wanted.client.source);
      return Drop::kNatPortsExhausted;
    }
    rewritten.source = config_.nat_addresses[binding->address];
    rewritten.source_port = be16::FromHost(binding->port);
  }

  Session<Ipv4>& session = sessions_[index];
  Fill(session, wanted, rewritten, now);
  if (!Publish(index, wanted)) {
    sources_.Return(wanted.client.source);
    if (auto binding = BindingOf(session)) nat_ports_.Release(*binding);
    return Drop::kTableFull;
  }
  --free_count_;
  timers_.Schedule(index, now + timeouts.unconfirmed);
  counters_.sessions_created.Add(1);
  counters_.sessions_unconfirmed.Add(1);
  for (TrafficCounters* traffic :
       {&counters_.listeners[wanted.listener], &counters_.bridges[wanted.bridge_number]}) {
    traffic->sessions_created.Add(1);
    traffic->sessions_active.Add(1);
  }
  UpdateGauges();
  to_bridge = &session.to_bridge;
  return Drop::kNone;
}

void SessionShard::Fill(Session<Ipv4>& session, const NewSession& wanted,
                        const FlowKey<Ipv4>& rewritten, uint32_t now) {
  session.to_bridge.match = wanted.client;
  session.to_bridge.rewritten = rewritten;
  session.to_client.match = Reversed(rewritten);
  session.to_client.rewritten = Reversed(wanted.client);
  session.to_bridge.direction = Direction::kToBridge;
  session.to_client.direction = Direction::kToClient;
  session.to_bridge.adjacency = wanted.bridge_adjacency;
  session.to_client.adjacency = wanted.client_adjacency;
  session.to_bridge.ingress_port = kAnyPort;
  session.to_client.ingress_port = wanted.bridge_ingress;
  for (Flow<Ipv4>* flow : {&session.to_bridge, &session.to_client}) {
    SetDeltas(*flow);
    flow->route_generation = wanted.route_generation;
    flow->packets = 0;
    flow->bytes = 0;
    flow->last_seen = now;
    flow->listener = wanted.listener;
    flow->bridge = wanted.bridge_number;
  }
}

bool SessionShard::Publish(uint32_t index, const NewSession& wanted) {
  Session<Ipv4>& session = sessions_[index];
  uint64_t forward = Hash(session.to_bridge.match);
  if (!table_.Insert(forward, ValueOf(index, Direction::kToBridge))) return false;
  if (!wanted.source_nat) {
    uint64_t back = Hash(session.to_client.match);
    // A removed listener's session may lead to the same bridge port from the same client: the
    // bridge can not tell them apart, and its answers belong to the newer one.
    uint32_t older =
        table_.Find(back, [&](uint32_t v) { return FlowAt(v).match == session.to_client.match; });
    if (older != FlowTable::kNone) table_.Erase(back, older);
    if (!table_.Insert(back, ValueOf(index, Direction::kToClient))) {
      table_.Erase(forward, ValueOf(index, Direction::kToBridge));
      return false;
    }
  }
  auto& generation = session.to_bridge.generation;
  generation.store(generation.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  return true;
}

std::optional<NatPorts::Binding> SessionShard::BindingOf(const Session<Ipv4>& session) const {
  const FlowKey<Ipv4>& outside = session.to_bridge.rewritten;
  // In destination NAT the client's own address goes on, unchanged.
  if (outside.source == session.to_bridge.match.source &&
      outside.source_port == session.to_bridge.match.source_port) {
    return std::nullopt;
  }
  for (size_t i = 0; i < config_.nat_addresses.size(); ++i) {
    if (config_.nat_addresses[i] == outside.source) {
      return NatPorts::Binding{static_cast<uint16_t>(i), outside.source_port.ToHost()};
    }
  }
  return std::nullopt;
}

uint32_t SessionShard::Due(uint32_t index, uint32_t now, const SessionTimeouts& timeouts) {
  const Session<Ipv4>& session = sessions_[index];
  uint32_t deadline =
      session.confirmed()
          ? std::max(session.to_bridge.last_seen, session.to_client.last_seen) + timeouts.idle
          : session.to_client.last_seen + timeouts.unconfirmed;
  if (deadline > now) return deadline;
  Remove(index, now);
  return TimerWheel::kGone;
}

void SessionShard::Remove(uint32_t index, uint32_t now) {
  Session<Ipv4>& session = sessions_[index];
  auto& generation = session.to_bridge.generation;
  generation.store(generation.load(std::memory_order_relaxed) + 1, std::memory_order_release);

  table_.Erase(Hash(session.to_bridge.match), ValueOf(index, Direction::kToBridge));
  if (auto binding = BindingOf(session)) {
    if (session.confirmed()) {
      nat_ports_.Retire(*binding, now);
    } else {
      nat_ports_.Release(*binding);
    }
  } else {
    table_.Erase(Hash(session.to_client.match), ValueOf(index, Direction::kToClient));
  }
  sources_.Return(session.to_bridge.match.source);
  if (!session.confirmed()) counters_.sessions_unconfirmed.Subtract(1);
  counters_.sessions_expired.Add(1);
  counters_.listeners[session.to_bridge.listener].sessions_active.Subtract(1);
  counters_.bridges[session.to_bridge.bridge].sessions_active.Subtract(1);
  free_[free_count_++] = index;
}

void SessionShard::Advance(uint32_t now, const SessionTimeouts& timeouts) {
  timers_.Advance(now, kAdvanceBudget, [&](uint32_t index) { return Due(index, now, timeouts); });
  nat_ports_.Advance(now, timeouts.quarantine, kAdvanceBudget);
  UpdateGauges();
}

void SessionShard::UpdateGauges() {
  counters_.sessions_active.Set(sessions_.size() - free_count_);
  counters_.nat_ports_in_use.Set(nat_ports_.in_use());
  counters_.nat_ports_quarantined.Set(nat_ports_.quarantined());
}

bool SessionShard::Copy(size_t index, Session<Ipv4>& copy) const {
  const Session<Ipv4>& session = sessions_[index];
  uint32_t before = session.to_bridge.generation.load(std::memory_order_acquire);
  if (before % 2 != 0) return false;
  // Word by word and relaxed: the owner goes on writing counts meanwhile.
  constexpr size_t kWords = sizeof(Session<Ipv4>) / sizeof(uint64_t);
  const auto* from = reinterpret_cast<const uint64_t*>(&session);
  uint64_t words[kWords];
  for (size_t i = 0; i < kWords; ++i) words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
  memcpy(static_cast<void*>(&copy), words, sizeof(words));
  std::atomic_thread_fence(std::memory_order_acquire);
  return session.to_bridge.generation.load(std::memory_order_relaxed) == before;
}

size_t SessionShard::bytes() const {
  return sessions_.bytes() + free_.bytes() + table_.bytes() + nat_ports_.bytes() +
         sources_.bytes() + timers_.bytes();
}

}  // namespace bridgehead
