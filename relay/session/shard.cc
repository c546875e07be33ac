#include "relay/session/shard.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "relay/net/checksum.h"

namespace bridgehead {
namespace {

// One TTL step as a checksum delta: the raw word of TTL and protocol goes down by one in its low
// byte, which is the TTL (RFC 1624 equation 3: ~m + m' = 0xffff - 1).
constexpr uint16_t kTtlDelta = 0xfffe;

// The sum of an address's words as a checksum has them.
uint64_t AddressSum(const Ipv6Address& any) {
  return any.IsMapped() ? SumAddress(any.Unmapped()) : SumAddress(any);
}

// What both checksums have to be changed by when `before` becomes `after`. The UDP pseudo headers
// of the two families differ in nothing but the addresses (RFC 8200 section 8.1).
struct Tuple {
  const Endpoint& source;
  const Endpoint& destination;

  uint64_t AddressesSum() const {
    return AddressSum(source.address) + AddressSum(destination.address);
  }
  uint64_t Sum() const { return AddressesSum() + source.port.Raw() + destination.port.Raw(); }
  FlowKey<Ipv4> Ipv4Key() const {
    return {source.address.Unmapped(), destination.address.Unmapped(), source.port,
            destination.port};
  }
};

void SetTuples(Flow& flow, const Tuple& before, const Tuple& after) {
  flow.transport_delta = ChecksumDelta(before.Sum(), after.Sum());
  if (flow.families != Families::k4To4) return;
  flow.v4.match = before.Ipv4Key();
  flow.v4.rewritten = after.Ipv4Key();
  uint16_t ip = ChecksumDelta(before.AddressesSum(), after.AddressesSum());
  flow.v4.address_delta = FoldChecksum(static_cast<uint64_t>(ip) + kTtlDelta);
}

}  // namespace

SessionShard::SessionShard(const ShardConfig& config, WorkerCounters& counters)
    : config_(config),
      counters_(counters),
      sessions_(config.max_sessions),
      free_count_(config.max_sessions),
      // Two entries each: in destination NAT the way back is found by hash as well.
      table_(config.max_sessions * 2),
      nat_ports_(
          config.nat_addresses.size(),
          PartitionOf(config.nat_first_port, config.nat_last_port, config.worker, config.workers)),
      sources_(config.max_sessions, config.hash_key),
      timers_(config.max_sessions),
      admission_(config.hash_key),
      waiting_(std::min<size_t>(config.max_sessions, kMaxUnconfirmed)) {
  for (size_t i = 0; i < sessions_.size(); ++i) {
    sessions_[i].set_next_free(static_cast<uint32_t>(i + 1));
    sessions_[i].sequence().store(1, std::memory_order_relaxed);
  }
  for (size_t i = 0; i < config.nat_addresses.size(); ++i) {
    const NatAddress& nat = config.nat_addresses[i];
    const auto number = static_cast<uint16_t>(i);
    if (nat.inside) (nat.address.IsMapped() ? inside_v4_ : inside_v6_).push_back(number);
    if (nat.outside) (nat.address.IsMapped() ? outside_v4_ : outside_v6_).push_back(number);
  }
}

uint64_t SessionShard::HashOf(const Flow& flow) const {
  if (flow.families == Families::k4To4) return HashFlow(flow.v4.match, config_.hash_key);
  const Endpoints& ends = flow.endpoints;
  bool to_bridge = flow.direction == Direction::kToBridge;
  return HashEndpoints(ends.client, ends.client_port, to_bridge ? ends.listener : ends.bridge,
                       to_bridge ? ends.listener_port : ends.bridge_port, config_.hash_key);
}

// The first choice depends on the client and the bridge alone, and on nothing that a restart or a
// reload changes.
std::optional<NatPorts::Binding> SessionShard::AllocatePort(const NewSession& wanted,
                                                            uint32_t index) {
  const HashKey& key = config_.nat_key;
  uint64_t bridge = HashWords(wanted.bridge.address.High(), wanted.bridge.address.Low(), key);
  const bool v4 = wanted.bridge.address.IsMapped();
  if (wanted.outbound) {
    return nat_ports_.Allocate(v4 ? outside_v4_ : outside_v6_, static_cast<uint32_t>(bridge >> 32),
                               HashWords(bridge, wanted.bridge.port.Raw(), key),
                               ValueOf(index, Direction::kToBridge));
  }
  uint64_t client = HashWords(wanted.client.address.High(), wanted.client.address.Low(), key);
  uint64_t ports = static_cast<uint64_t>(wanted.client.port.Raw()) << 16 | wanted.bridge.port.Raw();
  return nat_ports_.Allocate(v4 ? inside_v4_ : inside_v6_, static_cast<uint32_t>(client >> 32),
                             HashWords(client ^ std::rotl(bridge, 32), ports, key),
                             ValueOf(index, Direction::kToClient));
}

// A keeper is found by the bridge's end of its flow.
uint64_t SessionShard::MappingHash(const Endpoint& bridge) const {
  const uint64_t address = bridge.address.IsMapped() ? bridge.address.Low() : bridge.place;
  return HashWords(HashWords(address, bridge.port.Raw(), config_.hash_key), 1, config_.hash_key);
}

Endpoint SessionShard::BridgeOf(const Session& session) {
  const Flow& flow = session.to_client;
  if (flow.families == Families::k4To4) {
    return {Ipv4::Any(flow.v4.match.source), flow.v4.match.source_port, kNoPlace};
  }
  return {Ipv6Address(), flow.endpoints.bridge_port, flow.endpoints.bridge};
}

// The session whose NAT port other flows of this bridge port share, or kNone.
uint32_t SessionShard::FindKeeper(const Endpoint& bridge) {
  const uint32_t value = table_.Find(MappingHash(bridge), [&](uint32_t v) {
    const Session& session = sessions_[v / 2];
    if ((session.to_bridge.state & kKeeper) == 0) return false;
    const Endpoint other = BridgeOf(session);
    return other.port == bridge.port && (bridge.address.IsMapped() ? other.address == bridge.address
                                                                   : other.place == bridge.place);
  });
  return value == FlowTable::kNone ? kNone : value / 2;
}

Drop SessionShard::Create(const NewSession& wanted, bool sibling, uint32_t now,
                          const SessionTimeouts& timeouts, const SessionLimits& limits,
                          Flow*& to_bridge) {
  // First of all: who has its share already must not push others out.
  const uint32_t source = sources_.SourceOf(wanted.client.address);
  if (!sources_.Take(source, limits.per_source)) return Drop::kSourceLimit;
  MakeRoom(wanted.trusted,
           std::clamp<uint32_t>(limits.unconfirmed, 1, static_cast<uint32_t>(waiting_.size())),
           now);
  if (free_count_ == 0) {
    sources_.Return(source);
    return Drop::kTableFull;
  }

  const uint32_t index = first_free_;
  Endpoint towards_bridge = wanted.seen_as.value_or(wanted.client);  // what the bridge sees
  Endpoint listener = wanted.listener;
  std::optional<NatPorts::Binding> binding;
  const uint32_t keeper = wanted.outbound ? FindKeeper(wanted.bridge) : kNone;
  if (wanted.source_nat || wanted.outbound) {
    binding = keeper != kNone ? BindingOf(sessions_[keeper]) : AllocatePort(wanted, index);
    if (!binding) {
      sources_.Return(source);
      return Drop::kNatPortsExhausted;
    }
    const NatAddress& nat = config_.nat_addresses[binding->address];
    Endpoint& chosen = wanted.outbound ? listener : towards_bridge;
    chosen = Endpoint{nat.address, be16::FromHost(binding->port), nat.place};
  }

  Session& session = sessions_[index];
  const uint32_t next_free = session.next_free();
  Fill(session, wanted, listener, towards_bridge, now);
  if (binding) session.to_bridge.state |= wanted.outbound ? kOutbound : kNatPort;
  if (wanted.outbound && keeper == kNone) session.to_bridge.state |= kKeeper;
  if (wanted.media) session.to_bridge.state |= kMedia;
  if (!Publish(index, wanted, sibling)) {
    sources_.Return(source);
    if (binding && keeper == kNone) nat_ports_.Release(*binding);
    session.set_next_free(next_free);
    return Drop::kTableFull;
  }
  if (keeper != kNone) sessions_[keeper].set_sharers(sessions_[keeper].sharers() + 1);
  first_free_ = next_free;
  --free_count_;
  timers_.Schedule(index, now + (wanted.trusted ? timeouts.idle : timeouts.unconfirmed));
  if (wanted.trusted) {
    session.to_bridge.state |= kAnswered | kConfirmed;
    session.to_client.state |= kAnswered | kConfirmed;
  } else {
    waiting_[(waiting_first_ + waiting_count_++) % waiting_.size()] = {
        index, session.sequence().load(std::memory_order_relaxed)};
    counters_.sessions_unconfirmed.Add(1);
  }
  counters_.sessions_created.Add(1);
  for (TrafficCounters* traffic :
       {&counters_.listeners[wanted.listener_number], &counters_.bridges[wanted.bridge_number]}) {
    traffic->sessions_created.Add(1);
    traffic->sessions_active.Add(1);
  }
  UpdateGauges();
  to_bridge = &session.to_bridge;
  return Drop::kNone;
}

// Takes out of the ring what is confirmed or gone, and ends the oldest unconfirmed sessions until
// there is room for one more. A flood so only ever pushes itself out: a newcomer's bridge answers
// long before as many requests have come as the pool has room for.
//
// A trusted one needs no place among the unconfirmed.
void SessionShard::MakeRoom(bool trusted, uint32_t most_unconfirmed, uint32_t now) {
  while (waiting_count_ > 0) {
    const Waiting oldest = waiting_[waiting_first_];
    const Session& session = sessions_[oldest.session];
    const bool waits = session.sequence().load(std::memory_order_relaxed) == oldest.sequence &&
                       !session.confirmed();
    const bool pool_full = waiting_count_ == waiting_.size() ||
                           counters_.sessions_unconfirmed.Get() >= most_unconfirmed;
    const bool full = free_count_ == 0 || (pool_full && !trusted);
    if (waits && !full) return;
    if (waits) {
      timers_.Cancel(oldest.session);
      Remove(oldest.session, now);
      counters_.sessions_displaced.Add(1);
    }
    waiting_first_ = (waiting_first_ + 1) % waiting_.size();
    --waiting_count_;
  }
}

void SessionShard::Fill(Session& session, const NewSession& wanted, const Endpoint& listener,
                        const Endpoint& towards_bridge, uint32_t now) {
  const Families families =
      FamiliesOf(wanted.client.address.IsMapped(), wanted.bridge.address.IsMapped());
  for (Direction direction : {Direction::kToBridge, Direction::kToClient}) {
    Flow& flow = session.flow(direction);
    flow.direction = direction;
    flow.families = families;
    flow.state = 0;
    flow.route_generation = wanted.route_generation;
    flow.packets = 0;
    flow.bytes = 0;
    flow.last_seen = now;
    flow.listener = wanted.listener_number;
    flow.bridge = wanted.bridge_number;
    if (families != Families::k4To4) {
      flow.endpoints = {.client = wanted.client.address,
                        .client_port = wanted.client.port,
                        .listener_port = listener.port,
                        .nat_port = towards_bridge.port,
                        .bridge_port = wanted.bridge.port,
                        .listener = listener.place,
                        .bridge = wanted.bridge.place,
                        .nat = towards_bridge.place};
    }
  }
  SetTuples(session.to_bridge, {wanted.client, listener}, {towards_bridge, wanted.bridge});
  SetTuples(session.to_client, {wanted.bridge, towards_bridge}, {listener, wanted.client});
  session.to_bridge.adjacency = wanted.bridge_adjacency;
  session.to_client.adjacency = wanted.client_adjacency;
  session.to_bridge.ingress_port = wanted.client_ingress;
  session.to_client.ingress_port = wanted.bridge_ingress;
  session.set_ufrag_tag(wanted.ufrag_tag);
}

// What a NAT port leads to needs no entry of its own; a keeper's is the one by which those find it
// that share its port, and theirs is by who they talk to.
bool SessionShard::Publish(uint32_t index, const NewSession& wanted, bool sibling) {
  Session& session = sessions_[index];
  uint64_t forward = HashOf(session.to_bridge);
  if (sibling) forward = SiblingHash(forward, session.ufrag_tag());
  if ((session.to_bridge.state & kKeeper) != 0) forward = MappingHash(wanted.bridge);
  if (!table_.Insert(forward, ValueOf(index, Direction::kToBridge))) return false;
  if (!wanted.source_nat) {
    uint64_t back = HashOf(session.to_client);
    // A removed listener's session may lead to the same bridge port from the same client: the
    // bridge can not tell them apart, and its answers belong to the newer one.
    uint32_t older =
        table_.Find(back, [&](uint32_t v) { return SameMatch(FlowAt(v), session.to_client); });
    if (older != FlowTable::kNone) table_.Erase(back, older);
    if (!table_.Insert(back, ValueOf(index, Direction::kToClient))) {
      table_.Erase(forward, ValueOf(index, Direction::kToBridge));
      return false;
    }
  }
  auto& sequence = session.sequence();
  sequence.store(sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  return true;
}

void SessionShard::Answered(Flow& flow) {
  Session& session = Session::Of(flow);
  session.to_bridge.state |= kAnswered;
  session.to_client.state |= kAnswered;
  MakeCurrent(session.to_bridge);
}

void SessionShard::Confirm(Flow& flow) {
  Session& session = Session::Of(flow);
  session.to_bridge.state |= kConfirmed;
  session.to_client.state |= kConfirmed;
  counters_.sessions_unconfirmed.Subtract(1);
}

void SessionShard::MakeCurrent(Flow& to_bridge) {
  Session& session = Session::Of(to_bridge);
  const uint32_t own = ValueOf(IndexOf(session), Direction::kToBridge);
  const uint64_t hash = HashOf(to_bridge);
  const uint32_t current =
      table_.Find(hash, [&](uint32_t v) { return SameMatch(FlowAt(v), to_bridge); });
  if (current == own) return;
  table_.Erase(SiblingHash(hash, session.ufrag_tag()), own);
  if (current != FlowTable::kNone) {
    table_.Erase(hash, current);
    // Should there be no room for this, the old session only carries what still comes from its
    // bridge.
    table_.Insert(SiblingHash(hash, sessions_[current / 2].ufrag_tag()), current);
  }
  if (!table_.Insert(hash, own)) table_.Insert(SiblingHash(hash, session.ufrag_tag()), own);
}

std::optional<NatPorts::Binding> SessionShard::BindingOf(const Session& session) const {
  const Flow& flow = session.to_bridge;
  if ((flow.state & (kNatPort | kOutbound)) == 0) return std::nullopt;
  const bool outbound = (flow.state & kOutbound) != 0;
  const bool v4 = flow.families == Families::k4To4;
  const Ipv4Tuples& tuples = flow.v4;
  const Endpoints& ends = flow.endpoints;
  be16 port = outbound ? ends.listener_port : ends.nat_port;
  if (v4) port = outbound ? tuples.match.destination_port : tuples.rewritten.source_port;
  for (size_t i = 0; i < config_.nat_addresses.size(); ++i) {
    const NatAddress& nat = config_.nat_addresses[i];
    const bool is_it = v4 ? nat.address == Ipv6Address::Mapped(outbound ? tuples.match.destination
                                                                        : tuples.rewritten.source)
                          : nat.place == (outbound ? ends.listener : ends.nat);
    if (is_it) return NatPorts::Binding{static_cast<uint16_t>(i), port.ToHost()};
  }
  return std::nullopt;
}

uint32_t SessionShard::Due(uint32_t index, uint32_t now, const SessionTimeouts& timeouts) {
  const Session& session = sessions_[index];
  // An unconfirmed one is asked about once, when its time is over: more of the same request does
  // not make it live on.
  if (session.confirmed()) {
    uint32_t last = std::max(session.to_bridge.last_seen, session.to_client.last_seen);
    if (last + timeouts.idle > now) return last + timeouts.idle;
  }
  // The others' port stays as it is as long as there is one of them.
  if ((session.to_bridge.state & kKeeper) != 0 && session.sharers() > 0) {
    return now + timeouts.idle;
  }
  Remove(index, now);
  return TimerWheel::kGone;
}

void SessionShard::Remove(uint32_t index, uint32_t now) {
  Session& session = sessions_[index];
  auto& sequence = session.sequence();
  sequence.store(sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release);

  const bool keeper = (session.to_bridge.state & kKeeper) != 0;
  const uint64_t hash = keeper ? MappingHash(BridgeOf(session)) : HashOf(session.to_bridge);
  const uint32_t value = ValueOf(index, Direction::kToBridge);
  if (!table_.Erase(hash, value)) table_.Erase(SiblingHash(hash, session.ufrag_tag()), value);
  const bool by_port_only = (session.to_bridge.state & kNatPort) != 0;
  if (!by_port_only) table_.Erase(HashOf(session.to_client), ValueOf(index, Direction::kToClient));
  ReleasePort(session, now);
  sources_.Return(sources_.SourceOf(session.client_address()));
  if (!session.confirmed()) counters_.sessions_unconfirmed.Subtract(1);
  counters_.sessions_expired.Add(1);
  counters_.listeners[session.to_bridge.listener].sessions_active.Subtract(1);
  counters_.bridges[session.to_bridge.bridge].sessions_active.Subtract(1);
  // A packet of the same burst may have been led here already: it must find that this is not its
  // flow. No packet has a port of zero.
  session.to_bridge.endpoints = Endpoints();
  session.to_client.endpoints = Endpoints();
  session.set_next_free(first_free_);
  first_free_ = index;
  ++free_count_;
}

void SessionShard::ReleasePort(const Session& session, uint32_t now) {
  auto binding = BindingOf(session);
  if (!binding) return;
  if ((session.to_bridge.state & (kOutbound | kKeeper)) == kOutbound) {
    Session& keeper = sessions_[nat_ports_.Lookup(binding->address, binding->port) / 2];
    keeper.set_sharers(keeper.sharers() - 1);
  } else if (session.confirmed()) {
    nat_ports_.Retire(*binding, now);
  } else {
    nat_ports_.Release(*binding);
  }
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

bool SessionShard::Copy(size_t index, Session& copy) const {
  const Session& session = sessions_[index];
  uint32_t before = session.sequence().load(std::memory_order_acquire);
  if (before % 2 != 0) return false;
  // Word by word and relaxed: the owner goes on writing counts meanwhile.
  constexpr size_t kWords = sizeof(Session) / sizeof(uint64_t);
  const auto* from = reinterpret_cast<const uint64_t*>(&session);
  uint64_t words[kWords];
  for (size_t i = 0; i < kWords; ++i) words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
  memcpy(static_cast<void*>(&copy), words, sizeof(words));
  std::atomic_thread_fence(std::memory_order_acquire);
  return session.sequence().load(std::memory_order_relaxed) == before;
}

size_t SessionShard::bytes() const {
  return sessions_.bytes() + table_.bytes() + nat_ports_.bytes() + sources_.bytes() +
         timers_.bytes() + admission_.bytes() + waiting_.bytes();
}

}  // namespace bridgehead
