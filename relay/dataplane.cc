#include "relay/dataplane.h"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "relay/api/fixed.h"
#include "relay/api/log.h"
#include "relay/guards.h"
#include "relay/port/spread.h"
#include "relay/walk/address_bytes.h"

namespace bridgehead {
namespace {

constexpr unsigned kRefreshSeconds =
    15;  // of used neighbours; the kernel's reachable time is ~30 s

absl::StatusOr<HashKey> RandomKey() {
  HashKey key;
  if (getrandom(&key, sizeof(key), 0) == sizeof(key)) return key;
  return absl::UnavailableError(fmt::format("no random numbers: {}", strerror(errno)));
}

// The key of the first choice of NAT ports: made once and kept in RUN_DIR, so that a client gets
// its port again from a relay that was restarted.
absl::StatusOr<HashKey> NatKey(const std::string& path) {
  HashKey key;
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0) {
    bool whole = read(fd, &key, sizeof(key)) == sizeof(key);
    close(fd);
    if (whole) return key;
    log::Warn("{} is damaged: clients get other NAT ports than before the restart", path);
  }
  auto random = RandomKey();
  if (!random.ok()) return random.status();
  key = *random;
  // A new file: a damaged one may have another owner or mode.
  unlink(path.c_str());
  fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  bool written = fd >= 0 && write(fd, &key, sizeof(key)) == sizeof(key);
  if (fd >= 0) close(fd);
  if (!written) {
    return absl::UnavailableError(fmt::format("cannot write {}: {}", path, strerror(errno)));
  }
  return key;
}

// The four endpoints of a session, whatever its families.
struct SessionEnds {
  Endpoint client, listener, nat, bridge;
};

SessionEnds EndsOf(const Session& session, const std::vector<Ipv6Address>& places) {
  const Flow& flow = session.to_bridge;
  if (flow.families == Families::k4To4) {
    const FlowKey<Ipv4>& in = flow.v4.match;
    const FlowKey<Ipv4>& out = flow.v4.rewritten;
    return {{Ipv6Address::Mapped(in.source), in.source_port},
            {Ipv6Address::Mapped(in.destination), in.destination_port},
            {Ipv6Address::Mapped(out.source), out.source_port},
            {Ipv6Address::Mapped(out.destination), out.destination_port}};
  }
  const Endpoints& ends = flow.endpoints;
  return {{ends.client, ends.client_port},
          {places.at(ends.listener), ends.listener_port},
          {ends.nat == kNoPlace ? ends.client : places.at(ends.nat), ends.nat_port},
          {places.at(ends.bridge), ends.bridge_port}};
}

void FillSession(const Session& from, const std::vector<Ipv6Address>& places, uint32_t now,
                 api::Session& to) {
  const SessionEnds ends = EndsOf(from, places);
  to.set_client_address(AddressBytes(ends.client.address));
  to.set_client_port(ends.client.port.ToHost());
  to.set_listener_address(AddressBytes(ends.listener.address));
  to.set_listener_port(ends.listener.port.ToHost());
  to.set_nat_address(AddressBytes(ends.nat.address));
  to.set_nat_port(ends.nat.port.ToHost());
  to.set_bridge_address(AddressBytes(ends.bridge.address));
  to.set_bridge_port(ends.bridge.port.ToHost());
  to.set_confirmed(from.confirmed());
  to.set_idle_seconds(now - std::max(from.to_bridge.last_seen, from.to_client.last_seen));
  to.set_packets_to_bridge(from.to_bridge.packets);
  to.set_bytes_to_bridge(from.to_bridge.bytes);
  to.set_packets_to_client(from.to_client.packets);
  to.set_bytes_to_client(from.to_client.bytes);
}

}  // namespace

DataPlane::DataPlane()
    : builder_(kMaxListeners, kMaxBridges),
      refusal_log_([](const std::string& line) { log::Info("{}", line); }) {}

absl::StatusOr<std::unique_ptr<DataPlane>> DataPlane::Start(const api::Snapshot& first,
                                                            const DataPlaneOptions& options) {
  auto plane = std::unique_ptr<DataPlane>(new DataPlane());
  plane->message_ = first;
  if (first.dataplane().workers().empty() || first.dataplane().ports().empty()) {
    return absl::InvalidArgumentError("dataplane: needs at least one worker and one port");
  }
  if (first.dataplane().workers_size() > static_cast<int>(kMaxWorkers) ||
      first.dataplane().ports_size() > static_cast<int>(kMaxPorts)) {
    return absl::InvalidArgumentError(
        fmt::format("dataplane: at most {} workers and {} ports", kMaxWorkers, kMaxPorts));
  }
  auto ports = port::PortSet::Open(first.dataplane(), {options.run_dir, options.steer_program});
  if (!ports.ok()) return ports.status();
  plane->ports_ = *std::move(ports);
  for (const port::OpenPort& port : plane->ports_->ports()) plane->port_macs_.push_back(port.mac);
  auto asker = port::NeighbourAsker::Create();
  if (!asker.ok()) return asker.status();
  plane->asker_ = *std::move(asker);
  if (absl::Status status = plane->MakeWorkers(options); !status.ok()) return status;
  if (absl::Status status = plane->Install(first, {}); !status.ok()) return status;
  plane->SpreadPorts();
  // A worker must not wait for a page that the kernel has taken back from an idle machine.
  if (mlockall(MCL_CURRENT) != 0) {
    log::Warn("cannot lock the relay's memory: {}; a page fault may delay packets",
              strerror(errno));
  }
  // The first status asked for must not call links down that nobody has looked at.
  plane->UpdatePortState();
  if (absl::Status status = plane->Launch(); !status.ok()) return status;
  return plane;
}

absl::StatusOr<ShardConfig> DataPlane::MakeShardConfig(const DataPlaneOptions& options) {
  ShardConfig shard;
  shard.workers = static_cast<size_t>(message_.dataplane().workers_size());
  shard.max_sessions = message_.dataplane().max_sessions();
  auto nat_addresses = builder_.NatAddresses(message_);
  if (!nat_addresses.ok()) return nat_addresses.status();
  shard.nat_addresses = *std::move(nat_addresses);
  const api::PortRange& range = message_.nat().ports();
  if (range.first() == 0 || range.last() > 0xffff || range.first() > range.last()) {
    return absl::InvalidArgumentError("dataplane.nat_ports: not a port range");
  }
  shard.nat_first_port = static_cast<uint16_t>(range.first());
  shard.nat_last_port = static_cast<uint16_t>(range.last());
  auto hash_key = RandomKey();
  if (!hash_key.ok()) return hash_key.status();
  shard.hash_key = *hash_key;
  auto nat_key = NatKey(options.run_dir + "/nat.key");
  if (!nat_key.ok()) return nat_key.status();
  shard.nat_key = *nat_key;
  return shard;
}

absl::Status DataPlane::MakeWorkers(const DataPlaneOptions& options) {
  auto shard = MakeShardConfig(options);
  if (!shard.ok()) return shard.status();
  auto exchange = Exchange::Create(shard->workers);
  if (!exchange.ok()) return exchange.status();
  exchange_ = *std::move(exchange);
  auto segment = CounterSegment::Create(options.run_dir + "/" + kCountersFileName, shard->workers);
  if (!segment.ok()) return segment.status();
  segment_ = *std::move(segment);
  steering_ =
      std::make_unique<Steering>(shard->workers, shard->nat_first_port, shard->nat_last_port);
  size_t bytes = 0;
  try {
    for (size_t w = 0; w < shard->workers; ++w) {
      WorkerConfig config{w, ports_->pool(),
                          message_.dataplane().idle() == api::Dataplane::IDLE_ADAPTIVE, *shard};
      config.shard.worker = w;
      workers_.push_back(std::make_unique<Worker>(config, ports_->ports(), *steering_, *exchange_,
                                                  segment_->worker(w)));
      bytes += workers_.back()->shard().bytes();
    }
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(
        fmt::format("dataplane.max_sessions: no memory for {} sessions on each of {} workers",
                    shard->max_sessions, shard->workers));
  }
  SegmentHeader& header = segment_->header();
  header.session_capacity.Set(shard->max_sessions * shard->workers);
  header.session_memory_bytes.Set(bytes);
  for (size_t p = 0; p < ports_->ports().size(); ++p) {
    CopyName(header.port_names[p], ports_->ports()[p].name);
  }
  header.port_count.Set(ports_->ports().size());
  log::Info("{} sessions in {:.1f} MiB, {:.0f} bytes each, ports and timers included",
            shard->max_sessions * shard->workers, static_cast<double>(bytes) / (1 << 20),
            static_cast<double>(bytes) / static_cast<double>(shard->max_sessions * shard->workers));
  return absl::OkStatus();
}

void DataPlane::SpreadPorts() {
  const Snapshot& snapshot = *exchange_->current();
  for (size_t p = 0; p < ports_->ports().size(); ++p) {
    const port::OpenPort& port = ports_->ports()[p];
    if (workers_.size() == 1 || port.rx_queues == 1) {
      port_steering_.push_back(workers_.size() == 1 ? "one worker" : "one queue, hand-off");
      continue;
    }
    // Clients arrive where a listener's address is.
    auto fields = port::ClientFields::kDestination;
    for (const api::Interface& interface : message_.routing().interfaces()) {
      for (const std::string& bytes : interface.addresses()) {
        auto is_it = [&](const Listener& l) { return AddressBytes(l.address) == bytes; };
        bool listens = std::any_of(snapshot.listeners.begin(), snapshot.listeners.end(), is_it);
        if (interface.port() == p && listens) fields = port::ClientFields::kSource;
      }
    }
    std::vector<port::NatPortRule> rules;
    auto nat_addresses = builder_.NatAddresses(message_);
    for (const NatAddress& nat : nat_addresses.ok() ? *nat_addresses : std::vector<NatAddress>()) {
      for (uint16_t queue = 0; queue < port.rx_queues; ++queue) {
        PortPartition part =
            PartitionOf(snapshot.nat_first_port, snapshot.nat_last_port, queue, workers_.size());
        rules.push_back(
            {nat.address, part.first, static_cast<uint16_t>(part.first + part.count - 1), queue});
      }
    }
    // Only where each worker has its own queue does a queue stand for a worker.
    port::SpreadResult result;
    if (port.rx_queues == workers_.size()) {
      result = port::SpreadOverQueues(port.id, port.rx_queues, fields, rules);
    }
    port_steering_.push_back(result.Text());
    log::Info("port {}: {} queues, steering by {}", port.name, port.rx_queues,
              port_steering_.back());
  }
}

absl::Status DataPlane::Launch() {
  for (size_t w = 0; w < workers_.size(); ++w) {
    unsigned lcore = port::LcoreOfWorker(static_cast<unsigned>(w));
    int error = rte_eal_remote_launch(Worker::Main, workers_[w].get(), lcore);
    if (error != 0) {
      return absl::InternalError(
          fmt::format("dataplane.workers: cannot start worker {}: {}", w, strerror(-error)));
    }
    launched_ = true;
  }
  return absl::OkStatus();
}

DataPlane::~DataPlane() {
  if (launched_) {
    exchange_->Stop();
    rte_eal_mp_wait_lcore();
    for (auto& worker : workers_) worker->Drain();
  }
  workers_.clear();
  exchange_.reset();
  ports_.reset();
}

absl::Status DataPlane::Apply(const api::Snapshot& message) {
  // A listener that the message does not name stays for one round at least: until the switch a
  // worker may still make sessions on it.
  const std::vector<Listener>& all = exchange_->current()->listeners;
  const std::vector<std::string> fixed = FixedKeysThatDiffer(message, message_);
  if (fixed.empty()) return Install(message, all);
  // The kernel's routes and neighbours hold for the old configuration too.
  api::Snapshot rerouted = message_;
  *rerouted.mutable_routing() = message.routing();
  if (absl::Status status = Install(rerouted, all); !status.ok()) return status;
  return absl::FailedPreconditionError(
      fmt::format("{}: fixed while the relay runs", fmt::join(fixed, ", ")));
}

absl::Status DataPlane::Install(const api::Snapshot& message, std::span<const Listener> kept) {
  auto built = builder_.Build(message, port_macs_, exchange_->current(), kept);
  if (!built.ok()) return built.status();
  // Names before packets can be counted under them; rules before listeners would miss packets.
  PublishNames();
  if (absl::Status status = SetSteerRules(**built); !status.ok()) return status;
  exchange_->Switch(*std::move(built));
  message_ = message;
  refusal_log_.SetLines(message.limits().logged_refusals());
  return absl::OkStatus();
}

absl::Status DataPlane::SetSteerRules(const Snapshot& snapshot) {
  auto nat_addresses = builder_.NatAddresses(message_);
  if (!nat_addresses.ok()) return nat_addresses.status();
  return ports_->SetSteerRules(SteerRulesOf(snapshot, *nat_addresses));
}

void DataPlane::PublishNames() {
  SegmentHeader& header = segment_->header();
  const auto& listeners = builder_.listener_names();
  const auto& bridges = builder_.bridge_names();
  for (size_t i = header.listener_count.Get(); i < listeners.size(); ++i) {
    CopyName(header.listener_names[i], listeners[i]);
  }
  for (size_t i = header.bridge_count.Get(); i < bridges.size(); ++i) {
    CopyName(header.bridge_names[i], bridges[i]);
  }
  header.listener_count.Set(listeners.size());
  header.bridge_count.Set(bridges.size());
}

// Which of the snapshot's retired listeners still have sessions, by looking at all sessions: only
// while there are retired listeners, once a second.
std::vector<bool> DataPlane::RetiredInUse() const {
  const auto& listeners = exchange_->current()->listeners;
  std::vector<bool> in_use(listeners.size(), false);
  for (const auto& worker : workers_) {
    for (size_t i = 0; i < worker->shard().capacity(); ++i) {
      Session session;
      if (!worker->shard().Copy(i, session)) continue;
      const SessionEnds ends = EndsOf(session, exchange_->current()->places);
      for (size_t l = 0; l < listeners.size(); ++l) {
        if (listeners[l].retired && listeners[l].address == ends.listener.address &&
            listeners[l].Takes(ends.listener.port.ToHost()) &&
            listeners[l].BridgeAt(ends.bridge.address) != nullptr) {
          in_use[l] = true;
        }
      }
    }
  }
  return in_use;
}

absl::Status DataPlane::Tick() {
  AskForNeighbours();
  LogRefusals();
  uint64_t now = rte_rdtsc();
  if (now < next_second_) return absl::OkStatus();
  next_second_ = now + rte_get_tsc_hz();
  UpdatePortState();
  ForgetRetired();
  if (++seconds_ % kRefreshSeconds == 0) RefreshNeighbours();
  if (seconds_ % RefusalLog::kWindowSeconds == 0) refusal_log_.EndWindow(Drops());
  return ports_->StillOpen();
}

void DataPlane::AskForNeighbours() {
  for (auto& worker : workers_) {
    ResolveRequest request;
    while (worker->resolve().Pop(request)) asker_->Ask(request.ifindex, request.address);
  }
}

void DataPlane::RefreshNeighbours() {
  for (const Adjacency& adjacency : exchange_->current()->forwarding->adjacencies()) {
    if (adjacency.used.exchange(false, std::memory_order_relaxed)) {
      asker_->Ask(adjacency.ifindex, adjacency.next_hop.address);
    }
  }
}

void DataPlane::UpdatePortState() {
  for (size_t p = 0; p < ports_->ports().size(); ++p) {
    port::PortLosses losses = ports_->ReadLosses(p);
    PortState& state = segment_->header().port_state[p];
    state.missed.Set(losses.missed);
    state.no_buffer.Set(losses.no_buffer);
    state.link_up.Set(losses.link_up ? 1 : 0);
    if (auto counts = ports_->ReadSteerCounts(p)) {
      state.has_xdp.Set(1);
      state.xdp_redirected.Set(counts->redirected);
      state.xdp_passed.Set(counts->passed);
      for (size_t d = 0; d < kEarlyDropCount; ++d) state.xdp_dropped[d].Set(counts->dropped[d]);
    }
  }
}

void DataPlane::LogRefusals() {
  const auto& names = builder_.listener_names();
  for (auto& worker : workers_) {
    Refusal refusal;
    while (worker->shard().refusals().Pop(refusal)) {
      refusal_log_.Note(refusal, refusal.listener == kNoListener ? "" : names.at(refusal.listener));
    }
  }
  for (const bh_refused& denied : ports_->TakeRefused()) {
    Refusal refusal;
    std::copy_n(denied.source, sizeof(denied.source), refusal.source.bytes.data());
    std::copy_n(denied.destination, sizeof(denied.destination), refusal.destination.bytes.data());
    refusal.source_port = be16::FromRaw(denied.source_port);
    refusal.destination_port = be16::FromRaw(denied.destination_port);
    refusal.drop = Drop::kDenied;
    const Listener* listener = exchange_->current()->FindListenerAt(
        refusal.destination, refusal.destination_port.ToHost());
    if (listener != nullptr) refusal_log_.Note(refusal, names.at(listener->number));
  }
}

// What workers have refused, and what XDP programs have denied before them.
RefusalLog::Totals DataPlane::Drops() const {
  RefusalLog::Totals totals{};
  for (size_t p = 0; p < ports_->ports().size(); ++p) {
    if (auto counts = ports_->ReadSteerCounts(p)) {
      totals[DropIndex(Drop::kDenied)] += counts->dropped[BH_STEER_DENIED - (BH_STEER_PASSED + 1)];
    }
  }
  for (size_t w = 0; w < workers_.size(); ++w) {
    for (size_t d = 0; d < kDropCount; ++d) totals[d] += segment_->worker(w).drops[d].Get();
  }
  return totals;
}

void DataPlane::ForgetRetired() {
  const auto& listeners = exchange_->current()->listeners;
  auto retired = [](const Listener& listener) { return listener.retired; };
  if (std::none_of(listeners.begin(), listeners.end(), retired)) return;
  const std::vector<bool> in_use = RetiredInUse();
  std::vector<Listener> kept;
  for (size_t l = 0; l < listeners.size(); ++l) {
    if (!listeners[l].retired || in_use[l]) kept.push_back(listeners[l]);
  }
  if (kept.size() == listeners.size()) return;
  absl::Status status = Install(api::Snapshot(message_), kept);
  if (!status.ok()) {
    log::Error("cannot forget removed listeners: {}", std::string(status.message()));
  }
}

absl::StatusOr<api::SessionsPage> DataPlane::Sessions(const api::SessionsQuery& query) const {
  constexpr uint32_t kMaxPage = 10'000;
  constexpr size_t kMaxScan = 1 << 20;
  if (query.limit() == 0 || query.limit() > kMaxPage) {
    return absl::InvalidArgumentError(fmt::format("limit must be 1..{}", kMaxPage));
  }
  api::SessionsPage page;
  const size_t capacity = message_.dataplane().max_sessions();
  const size_t all = capacity * workers_.size();
  const auto& listeners = builder_.listener_names();
  const auto& bridges = builder_.bridge_names();
  // A filter may match nothing for long: bounded, so that the caller's other work is not held up.
  const size_t end = std::min<size_t>(all, query.cursor() + kMaxScan);
  for (size_t at = query.cursor(); at < end; ++at) {
    const Worker& worker = *workers_[at / capacity];
    Session session;
    if (!worker.shard().Copy(at % capacity, session)) continue;
    const std::string& bridge = bridges.at(session.to_bridge.bridge);
    if (!query.bridge().empty() && query.bridge() != bridge) continue;
    if (!query.client().empty() && query.client() != AddressBytes(session.client_address()))
      continue;
    if (page.sessions_size() == static_cast<int>(query.limit())) {
      page.set_next_cursor(at);
      return page;
    }
    api::Session& out = *page.add_sessions();
    FillSession(session, exchange_->current()->places, worker.Now(), out);
    out.set_worker(static_cast<uint32_t>(at / capacity));
    out.set_listener(listeners.at(session.to_bridge.listener));
    out.set_bridge(bridge);
  }
  if (end < all) page.set_next_cursor(end);
  return page;
}

void DataPlane::FillStatus(api::RelayStatus& status) const {
  status.set_forwarding(true);
  status.set_snapshot_id(message_.id());
  for (uint32_t core : message_.dataplane().workers()) status.add_worker_cores(core);
  status.set_hugepages(ports_->hugepages());
  status.set_session_memory_bytes(segment_->header().session_memory_bytes.Get());
  status.set_max_sessions(static_cast<uint32_t>(segment_->header().session_capacity.Get()));
  for (size_t p = 0; p < ports_->ports().size(); ++p) {
    const port::OpenPort& port = ports_->ports()[p];
    api::PortStatus& out = *status.add_ports();
    out.set_name(port.name);
    out.set_driver(port.driver);
    out.set_rx_queues(port.rx_queues);
    out.set_tx_queues(port.tx_queues);
    out.set_steering(port_steering_[p]);
    out.set_link_up(segment_->header().port_state[p].link_up.Get() != 0);
  }
}

}  // namespace bridgehead
