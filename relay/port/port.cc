#include "relay/port/port.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <rte_mempool.h>

#include "relay/api/log.h"
#include "relay/port/af_xdp.h"
#include "relay/port/dpdk_log.h"
#include "relay/port/eal.h"
#include "relay/port/ethdev.h"
#include "relay/port/host.h"
#include "relay/port/limits.h"
#include "relay/port/pool.h"
#include "relay/port/steer_rules.h"

namespace bridgehead::port {
namespace {

// PMDs whose packets may come straight from a kernel's or a guest's socket.
constexpr std::array<std::string_view, 4> kPartialChecksumDrivers = {"net_tap", "net_virtio_user",
                                                                     "net_virtio", "net_vhost"};

std::string PortKey(const api::Port& port, std::string_view field) {
  return fmt::format("dataplane.ports[{}].{}", port.name(), field);
}

absl::Status WithKey(const std::string& key, const absl::Status& status) {
  return absl::Status(status.code(), fmt::format("{}: {}", key, std::string(status.message())));
}

}  // namespace

struct PortSet::State {
  struct Entry {
    const api::Port* config = nullptr;
    std::optional<AfXdpPort> af_xdp;  // of a device: port
    std::string vdev;                 // DPDK's device name; empty before it exists
    EthdevRequest request;
    bool has_id = false;
  };

  ~State() { Close(); }
  absl::Status Claim();
  absl::Status Prepare();
  absl::Status StartDpdk();
  absl::Status CreateDevice(size_t index);
  absl::Status CheckBuffers() const;
  absl::Status StartDevice(size_t index);
  uint32_t LargestMtu() const;
  bool AnyAfXdp() const;
  void Close();

  api::Dataplane dataplane;
  PortOptions options;
  MemoryPlan memory;
  PoolLayout layout;
  std::vector<Entry> entries;
  std::vector<OpenPort> ports;
  SteerLists steer_lists;
  rte_mempool* pool = nullptr;
  bool eal_started = false;
};

bool PortSet::State::AnyAfXdp() const {
  return std::any_of(entries.begin(), entries.end(),
                     [](const Entry& entry) { return entry.af_xdp.has_value(); });
}

uint32_t PortSet::State::LargestMtu() const {
  uint32_t mtu = 1500;
  for (const OpenPort& port : ports) {
    mtu = std::max<uint32_t>(mtu, port.mtu);
  }
  return mtu;
}

// Everything that can be refused without having changed anything.
absl::Status PortSet::State::Claim() {
  for (const api::Port& config : dataplane.ports()) {
    Entry& entry = entries.emplace_back();
    OpenPort& port = ports.emplace_back();
    entry.config = &config;
    entry.request.rx_descriptors = static_cast<uint16_t>(config.rx_descriptors());
    entry.request.tx_descriptors = static_cast<uint16_t>(config.tx_descriptors());
    port.name = config.name();
    port.verify_udp_checksum = config.verify_udp_checksum();
    port.mtu = static_cast<uint16_t>(config.mtu() != 0 ? config.mtu() : 1500);
    switch (config.kind_case()) {
      case api::Port::kDevice: {
        absl::StatusOr<AfXdpPort> claimed =
            AfXdpPort::Claim(config.device(), static_cast<unsigned>(dataplane.workers_size()));
        if (!claimed.ok()) {
          return WithKey(PortKey(config, "device"), claimed.status());
        }
        entry.af_xdp = *std::move(claimed);
        port.device = config.device();
        port.ifindex = entry.af_xdp->facts().ifindex;
        port.mtu = static_cast<uint16_t>(entry.af_xdp->facts().mtu);
        break;
      }
      case api::Port::kVdev:
        break;
      default:
        return absl::UnimplementedError(
            fmt::format("{}: not supported yet; use device: or vdev:", PortKey(config, "pci")));
    }
  }
  if (AnyAfXdp()) {
    const std::string& program = options.steer_program;
    if (!std::filesystem::exists(program)) {
      return absl::NotFoundError(fmt::format(
          "--steer-program: no file {}; install it or name the steer.bpf.o of this build",
          program));
    }
    if (program.find(',') != std::string::npos || program.find('=') != std::string::npos) {
      return absl::InvalidArgumentError(fmt::format(
          "--steer-program: DPDK can not take a path with ',' or '=' in it: {}", program));
    }
    for (size_t i = 0; i < ports.size(); ++i) {
      if (ports[i].mtu > kMaxAfXdpMtu) {
        return absl::InvalidArgumentError(
            fmt::format("{}: {} is more than the {} that fit one buffer when another port is a "
                        "device:; lower it",
                        PortKey(*entries[i].config, "mtu"), ports[i].mtu, kMaxAfXdpMtu));
      }
    }
  }
  return CheckBuffers();
}

// What the drivers hold in their receive rings must leave some for the packets on their way.
absl::Status PortSet::State::CheckBuffers() const {
  constexpr uint32_t kPerWorker = 1024;  // the pool's cache, bursts, packets held
  const uint32_t workers = static_cast<uint32_t>(dataplane.workers_size());
  uint32_t needed = workers * kPerWorker;
  for (const Entry& entry : entries) {
    needed += entry.af_xdp ? kAfXdpBuffersPerQueue * workers
                           : uint32_t{entry.request.rx_descriptors} * workers;
  }
  if (dataplane.packet_buffers() < needed) {
    return absl::InvalidArgumentError(
        fmt::format("dataplane.packet_buffers: {} are too few for {} port(s) and {} worker(s); set "
                    "it to {} or more",
                    dataplane.packet_buffers(), entries.size(), workers, needed));
  }
  return absl::OkStatus();
}

absl::Status PortSet::State::StartDpdk() {
  const std::vector<uint32_t> workers(dataplane.workers().begin(), dataplane.workers().end());
  const absl::StatusOr<std::string> lcores = LcoresArgument(workers, AllowedCores());
  if (!lcores.ok()) {
    return lcores.status();
  }
  layout = LayOutPool(dataplane.packet_buffers(), LargestMtu(), AnyAfXdp());
  absl::StatusOr<MemoryPlan> plan =
      PlanMemory(dataplane.hugepages(), layout.total_bytes() + kOtherDpdkMemory, ReadHugepages());
  if (!plan.ok()) {
    return plan.status();
  }
  memory = *std::move(plan);
  if (!memory.notice.empty()) {
    log::Warn("{}", memory.notice);
  }
  absl::Status started = StartEal(*lcores, memory, options.run_dir);
  eal_started = started.ok();
  return started;
}

absl::Status PortSet::State::CreateDevice(size_t index) {
  Entry& entry = entries[index];
  OpenPort& port = ports[index];
  const unsigned workers = static_cast<unsigned>(dataplane.workers_size());
  const std::string key = PortKey(*entry.config, entry.af_xdp ? "device" : "vdev");
  VdevSpec spec = SplitVdev(entry.config->vdev());
  if (entry.af_xdp) {
    if (absl::Status status = entry.af_xdp->Adjust(workers, memory.hugepages); !status.ok()) {
      return WithKey(key, status);
    }
    spec = {fmt::format("net_af_xdp_{}", index),
            AfXdpArguments(entry.af_xdp->facts(), entry.af_xdp->plan(), options.steer_program)};
  }
  const absl::StatusOr<uint16_t> id = CreateVdev(spec);
  if (!id.ok()) {
    return absl::InvalidArgumentError(
        entry.af_xdp ? fmt::format("{}: net_af_xdp does not take \"{}\": {}", key, port.device,
                                   std::string(id.status().message()))
                     : fmt::format("{}: DPDK can not make \"{}\": {}; `dpdk-testpmd --vdev=...` "
                                   "tries the same",
                                   key, entry.config->vdev(), std::string(id.status().message())));
  }
  entry.vdev = spec.name;
  entry.has_id = true;
  port.id = *id;

  const absl::StatusOr<EthdevLimits> limits = ReadLimits(port.id);
  if (!limits.ok()) {
    return WithKey(key, limits.status());
  }
  port.driver = limits->driver;
  entry.request.queues = static_cast<uint16_t>(
      std::min({workers, unsigned{limits->rx_queues}, unsigned{limits->tx_queues}}));
  if (port.mtu > limits->max_mtu) {
    return absl::InvalidArgumentError(
        fmt::format("{}: {} is more than the {} that {} can carry; "
                    "lower it",
                    PortKey(*entry.config, "mtu"), port.mtu, limits->max_mtu, port.driver));
  }
  const bool may_be_partial =
      entry.af_xdp ? entry.af_xdp->plan().partial_checksums
                   : std::find(kPartialChecksumDrivers.begin(), kPartialChecksumDrivers.end(),
                               port.driver) != kPartialChecksumDrivers.end();
  port.partial_checksums =
      entry.config->partial_checksums() == api::Port::PARTIAL_ACCEPT ||
      (entry.config->partial_checksums() == api::Port::PARTIAL_AUTO && may_be_partial);
  return absl::OkStatus();
}

absl::Status PortSet::State::StartDevice(size_t index) {
  Entry& entry = entries[index];
  const std::string key = PortKey(*entry.config, entry.af_xdp ? "device" : "vdev");
  if (entry.af_xdp) {
    entry.af_xdp->BeforeSockets();
  }
  absl::Status status = StartEthdev(entry.request, pool, ports[index]);
  if (status.ok() && entry.af_xdp) {
    status = entry.af_xdp->AfterSockets();
  }
  return status.ok() ? status : WithKey(key, status);
}

void PortSet::State::Close() {
  for (size_t i = entries.size(); i > 0; --i) {
    Entry& entry = entries[i - 1];
    if (entry.has_id) {
      CloseEthdev(ports[i - 1].id);
      DestroyVdev(entry.vdev);
    }
  }
  entries.clear();
  if (pool != nullptr) {
    rte_mempool_free(pool);
    pool = nullptr;
  }
  if (eal_started) {
    StopEal(options.run_dir);
    eal_started = false;
  }
}

PortSet::PortSet(std::unique_ptr<State> state) : state_(std::move(state)) {}
PortSet::~PortSet() = default;

absl::StatusOr<std::unique_ptr<PortSet>> PortSet::Open(const api::Dataplane& dataplane,
                                                       const PortOptions& options) {
  auto state = std::make_unique<State>();
  state->dataplane = dataplane;
  state->options = options;
  if (absl::Status status = state->Claim(); !status.ok()) {
    return status;
  }
  RemoveLeftovers();
  if (absl::Status status = state->StartDpdk(); !status.ok()) {
    return status;
  }
  for (size_t i = 0; i < state->entries.size(); ++i) {
    if (absl::Status status = state->CreateDevice(i); !status.ok()) {
      return status;
    }
  }
  const absl::StatusOr<rte_mempool*> pool = CreatePool(state->layout);
  if (!pool.ok()) {
    return WithKey("dataplane.packet_buffers", pool.status());
  }
  state->pool = *pool;
  for (size_t i = 0; i < state->entries.size(); ++i) {
    if (absl::Status status = state->StartDevice(i); !status.ok()) {
      return status;
    }
  }
  return std::unique_ptr<PortSet>(new PortSet(std::move(state)));
}

const std::vector<OpenPort>& PortSet::ports() const {
  return state_->ports;
}
rte_mempool* PortSet::pool() const {
  return state_->pool;
}
bool PortSet::hugepages() const {
  return state_->memory.hugepages;
}

absl::Status PortSet::SetSteerRules(std::span<const SteerRule> rules) {
  const absl::StatusOr<SteerTable> table = BuildSteerTable(rules, state_->steer_lists);
  if (!table.ok()) {
    return table.status();
  }
  absl::Status status;
  for (State::Entry& entry : state_->entries) {
    if (entry.af_xdp) {
      const absl::Status applied = entry.af_xdp->Apply(*table);
      status.Update(applied.ok() ? applied : WithKey(PortKey(*entry.config, "device"), applied));
    }
  }
  return status;
}

PortLosses PortSet::ReadLosses(size_t port) const {
  PortLosses out = ReadEthdevLosses(state_->ports.at(port).id);
  const State::Entry& entry = state_->entries.at(port);
  if (entry.af_xdp) {
    // The driver counts neither full receive rings nor the interface's link.
    const AfXdpLosses losses = entry.af_xdp->ReadLosses();
    out.missed = losses.missed;
    out.no_buffer = losses.no_buffer;
    out.link_up = entry.af_xdp->LinkUp();
  }
  return out;
}

std::optional<SteerCounts> PortSet::ReadSteerCounts(size_t port) const {
  const State::Entry& entry = state_->entries.at(port);
  if (!entry.af_xdp) {
    return std::nullopt;
  }
  return entry.af_xdp->ReadSteerCounts();
}

std::vector<bh_refused> PortSet::TakeRefused() {
  std::vector<bh_refused> all;
  for (State::Entry& entry : state_->entries) {
    if (!entry.af_xdp) continue;
    const std::vector<bh_refused> some = entry.af_xdp->TakeRefused();
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

absl::Status PortSet::StillOpen() const {
  for (const State::Entry& entry : state_->entries) {
    if (!entry.af_xdp) continue;
    if (absl::Status status = entry.af_xdp->StillOpen(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace bridgehead::port
