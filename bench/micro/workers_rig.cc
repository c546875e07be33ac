#include "bench/micro/workers_rig.h"

#include <cstring>
#include <stdexcept>
#include <string>

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>

#include "tests/support/walk_harness.h"

namespace bridgehead::bench {
namespace {

constexpr unsigned kRingSize = 1024;
constexpr unsigned kMbufs = 8191;
constexpr uint16_t kFirstPort = 20000, kLastPort = 59999;  // of the NAT address
constexpr uint32_t kClient = 0xcb007107;                   // 203.0.113.7, and those after it
constexpr uint32_t kPortsEach = 4096;                      // of each client address
constexpr uint16_t kFirstClientPort = 1024;
constexpr size_t kMediaFrame = 64;

uint32_t AddressOf(const char* text) {
  return test::AnyAddress(text).Unmapped().ToHost();
}

void StartEal() {
  // No hugepages and no devices: it runs anywhere, and beside a relay.
  std::array<std::string, 6> arguments = {"workers",        "--no-huge",   "--no-pci",
                                          "--no-telemetry", "--no-shconf", "--log-level=*:error"};
  std::vector<char*> argv;
  argv.reserve(arguments.size());
  for (std::string& argument : arguments) argv.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    throw std::runtime_error(fmt::format("EAL does not start: {}", rte_strerror(rte_errno)));
  }
}

}  // namespace

WorkersRig::WorkersRig(size_t workers, size_t sessions)
    : in_(workers), out_(workers), workers_(workers), flows_(workers), next_(workers) {
  StartEal();
  StartPorts();
  StartWorkers(sessions);
  Establish(sessions);
}

WorkersRig::~WorkersRig() {
  workers_.clear();
  exchange_.reset();
  rte_eal_cleanup();
}

rte_ring* WorkersRig::MakeRing(const char* what, size_t port, size_t worker) {
  rte_ring* ring = rte_ring_create(fmt::format("{}_{}_{}", what, port, worker).c_str(), kRingSize,
                                   SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (ring == nullptr) throw std::runtime_error("no memory for a ring");
  return ring;
}

void WorkersRig::StartPorts() {
  const auto count = static_cast<uint16_t>(workers());
  pool_ = rte_pktmbuf_pool_create("mbufs", kMbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (pool_ == nullptr) throw std::runtime_error("no memory for packet buffers");
  for (size_t p = 0; p < kPorts; ++p) {
    std::vector<rte_ring*> receive, transmit;
    for (size_t w = 0; w < workers(); ++w) {
      receive.push_back(in_[w][p] = MakeRing("in", p, w));
      transmit.push_back(out_[w][p] = MakeRing("out", p, w));
    }
    const int id = rte_eth_from_rings(fmt::format("port{}", p).c_str(), receive.data(), count,
                                      transmit.data(), count, 0);
    const rte_eth_conf conf{};
    const auto port = static_cast<uint16_t>(id);
    if (id < 0 || rte_eth_dev_configure(port, count, count, &conf) != 0) {
      throw std::runtime_error("a ring device does not start");
    }
    for (uint16_t q = 0; q < count; ++q) {
      if (rte_eth_rx_queue_setup(port, q, kRingSize, SOCKET_ID_ANY, nullptr, pool_) != 0 ||
          rte_eth_tx_queue_setup(port, q, kRingSize, SOCKET_ID_ANY, nullptr) != 0) {
        throw std::runtime_error("a ring device's queue does not start");
      }
    }
    if (rte_eth_dev_start(port) != 0) throw std::runtime_error("a ring device does not start");
    port::OpenPort open;
    open.id = port;
    open.rx_queues = open.tx_queues = count;
    open.verify_udp_checksum = false;
    ports_.push_back(open);
  }
}

void WorkersRig::StartWorkers(size_t sessions) {
  api::Snapshot message = test::BasicSnapshot(/*source_nat=*/true);
  message.mutable_limits()->set_sessions_per_source(1U << 31);
  SnapshotBuilder builder(kMaxListeners, kMaxBridges);
  auto addresses = builder.NatAddresses(message);
  auto snapshot = builder.Build(message, {test::kRelayWan, test::kRelayLan}, nullptr, {});
  auto exchange = Exchange::Create(workers());
  if (!addresses.ok() || !snapshot.ok() || !exchange.ok()) {
    throw std::runtime_error(fmt::format("{} {} {}", addresses.status().ToString(),
                                         snapshot.status().ToString(),
                                         exchange.status().ToString()));
  }
  exchange_ = *std::move(exchange);
  exchange_->Switch(*std::move(snapshot));
  steering_ = std::make_unique<Steering>(workers(), kFirstPort, kLastPort);
  segment_ = CounterSegment::CreatePrivate(workers());
  for (size_t w = 0; w < workers(); ++w) {
    WorkerConfig config;
    config.index = w;
    config.pool = pool_;
    config.shard.worker = w;
    config.shard.workers = workers();
    config.shard.max_sessions = sessions * 2;  // they do not come in turn
    config.shard.nat_addresses = *addresses;
    config.shard.nat_first_port = kFirstPort;
    config.shard.nat_last_port = kLastPort;
    workers_[w] =
        std::make_unique<Worker>(config, ports_, *steering_, *exchange_, segment_->worker(w));
  }
}

void WorkersRig::Establish(size_t sessions) {
  const rig::Endpoint listener{AddressOf(test::kNet4.listener), 10000};
  const rig::Endpoint bridge{AddressOf(test::kNet4.bridge), 10000};
  std::array<uint8_t, rig::kMaxStunFrame> frame;
  const auto full = [&] {
    for (const auto& flows : flows_) {
      if (flows.size() < sessions) return false;
    }
    return true;
  };
  for (uint32_t i = 0; !full(); ++i) {
    const rig::Endpoint client{kClient + i / kPortsEach,
                               static_cast<uint16_t>(kFirstClientPort + i % kPortsEach)};
    const rig::Flow to_listener{.from = client, .to = listener};
    size_t got = 0;
    auto sent = Pass(0, frame.data(), rig::BuildStunRequest(to_listener, i, frame.data()), got);
    const auto request = rig::ReadFrame(sent.data(), got);
    if (!request || !(request->to == bridge))
      throw std::runtime_error("a request has not reached the bridge");
    const rig::Flow from_bridge{.from = bridge, .to = request->from};
    sent = Pass(1, frame.data(), rig::BuildStunResponse(from_bridge, i, frame.data()), got);
    const auto answer = rig::ReadFrame(sent.data(), got);
    if (!answer || !(answer->to == client))
      throw std::runtime_error("an answer has not reached the client");
    Pass(0, frame.data(), rig::BuildStunRequest(to_listener, i, frame.data()), got);
    const size_t owner = steering_->OwnerOfNatPort(request->from.port);
    flows_[owner].push_back({to_listener, from_bridge});
  }
  for (auto& flows : flows_) flows.resize(sessions);
}

std::array<uint8_t, rig::kMaxStunFrame> WorkersRig::Pass(size_t port, const uint8_t* frame,
                                                         size_t size, size_t& got) {
  Put(port, 0, frame, size);
  while (true) {
    size_t taken = 0;
    for (size_t w = 0; w < workers(); ++w) taken += Poll(w);
    if (taken == 0) break;
  }
  std::array<uint8_t, rig::kMaxStunFrame> out{};
  size_t frames = 0;
  for (size_t w = 0; w < workers(); ++w) {
    for (rte_ring* ring : out_[w]) {
      void* object = nullptr;
      while (rte_ring_sc_dequeue(ring, &object) == 0) {
        auto* mbuf = static_cast<rte_mbuf*>(object);
        got = std::min<size_t>(mbuf->data_len, out.size());
        memcpy(out.data(), rte_pktmbuf_mtod(mbuf, uint8_t*), got);
        rte_pktmbuf_free(mbuf);
        ++frames;
      }
    }
  }
  if (frames != 1) throw std::runtime_error(fmt::format("{} frames have come of one", frames));
  return out;
}

void WorkersRig::Put(size_t port, size_t worker, const uint8_t* frame, size_t size) {
  rte_mbuf* mbuf = rte_pktmbuf_alloc(pool_);
  if (mbuf == nullptr) throw std::runtime_error("no packet buffer is left");
  memcpy(rte_pktmbuf_append(mbuf, static_cast<uint16_t>(size)), frame, size);
  if (rte_ring_sp_enqueue(in_[worker][port], mbuf) != 0)
    throw std::runtime_error("a queue is full");
}

void WorkersRig::Feed(size_t owner, size_t at) {
  std::array<uint8_t, rig::kMaxTemplateBytes> frame;
  for (size_t i = 0; i < kBurst; ++i) {
    const Flows& flows = flows_[owner][next_[owner]];
    next_[owner] = (next_[owner] + 1) % flows_[owner].size();
    const size_t port = i % kPorts;
    rig::BuildMedia(port == 0 ? flows.to_listener : flows.from_bridge, 0, kMediaFrame,
                    frame.data());
    Put(port, at, frame.data(), kMediaFrame);
  }
}

size_t WorkersRig::Collect(size_t worker) {
  size_t total = 0;
  for (rte_ring* ring : out_[worker]) {
    void* mbufs[kBurst];
    while (const unsigned count = rte_ring_sc_dequeue_burst(ring, mbufs, kBurst, nullptr)) {
      rte_pktmbuf_free_bulk(reinterpret_cast<rte_mbuf**>(mbufs), count);
      total += count;
    }
  }
  return total;
}

void WorkersRig::TurnOfDevices(size_t worker) {
  const auto queue = static_cast<uint16_t>(worker);
  for (const port::OpenPort& port : ports_) {
    rte_mbuf* mbufs[kBurst];
    const uint16_t count = rte_eth_rx_burst(port.id, queue, mbufs, kBurst);
    if (rte_eth_tx_burst(port.id, queue, mbufs, count) != count)
      throw std::runtime_error("a queue is full");
  }
}

}  // namespace bridgehead::bench
