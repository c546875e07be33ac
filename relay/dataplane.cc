#include "relay/dataplane.h"

#include <algorithm>
#include <cstring>

#include <rte_launch.h>
#include <sys/mman.h>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "relay/api/fixed.h"
#include "relay/api/log.h"
#include "relay/guards.h"
#include "relay/nat_key.h"
#include "relay/port/spread.h"
#include "relay/session_list.h"
#include "relay/walk/address_bytes.h"

namespace bridgehead {

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

absl::StatusOr<api::SessionsPage> DataPlane::Sessions(const api::SessionsQuery& query) const {
  return ListSessions(
      {workers_, exchange_->current()->places, builder_.listener_names(), builder_.bridge_names()},
      query);
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
