#include "bench/rig/wire.h"

#include <string>
#include <vector>

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sys/prctl.h>

namespace bridgehead::rig {
namespace {

constexpr unsigned kPoolMbufs = 16383;  // both rings of 2^13 and what is in hand
constexpr unsigned kPoolCache = 512;

std::string MacText(const Mac& mac) {
  return fmt::format("{:02x}", fmt::join(mac, ":"));
}

// "name,arguments" of the DPDK device that is port `id`.
std::string Vdev(const Options& options, unsigned id) {
  if (!options.interfaces.empty()) {
    return fmt::format("net_af_xdp{},iface={},start_queue=0,queue_count=1,busy_budget=0", id,
                       options.interfaces[id]);
  }
  return fmt::format(
      "net_memif{0},role={1},id={0},socket={2},socket-abstract=no,bsize=2048,"
      "rsize={3},mac={4}{5}",
      id, options.role, options.socket, options.ring_log2,
      MacText(id == 0 ? kRigClientMac : kRigBridgeMac), options.zero_copy ? ",zero-copy=yes" : "");
}

absl::Status StartEal(const Options& options) {
  std::vector<std::string> arguments = {
      "bridgehead-rig", "-l", std::to_string(options.core), "--no-pci", "--no-telemetry",
      "--log-level=*:error",
      // Both are needed for memif to pass its memory to the peer: see bench/README.md.
      options.hugepages ? "--in-memory" : "--no-huge"};
  if (options.hugepages) {
    arguments.emplace_back("--single-file-segments");
  } else {
    arguments.emplace_back("-m512");
    arguments.emplace_back("--file-prefix=bridgehead-rig");
  }
  for (const unsigned id : {0U, 1U}) arguments.push_back("--vdev=" + Vdev(options, id));
  std::vector<char*> argv;
  argv.reserve(arguments.size());
  for (std::string& argument : arguments) argv.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    return absl::FailedPreconditionError(fmt::format(
        "EAL does not start: {}; are there free hugepages (or use --no-huge), and {} there?",
        rte_strerror(rte_errno),
        options.interfaces.empty() ? "is the directory of " + options.socket
                                   : fmt::format("are {}", fmt::join(options.interfaces, ", "))));
  }
  return absl::OkStatus();
}

absl::StatusOr<Wire> StartPort(const std::string& name) {
  Wire wire;
  if (rte_eth_dev_get_port_by_name(name.c_str(), &wire.port) != 0) {
    return absl::NotFoundError(fmt::format("no device {} after EAL start", name));
  }
  const auto pool = [&name](const char* suffix) {
    return rte_pktmbuf_pool_create(fmt::format("{}_{}", name, suffix).c_str(), kPoolMbufs,
                                   kPoolCache, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  };
  rte_mempool* rx_pool = pool("rx");
  wire.tx_pool = pool("tx");
  if (rx_pool == nullptr || wire.tx_pool == nullptr) {
    return absl::ResourceExhaustedError("not enough memory for packet buffers; more hugepages");
  }
  rte_eth_dev_info info{};
  rte_eth_conf conf{};
  if (rte_eth_dev_info_get(wire.port, &info) != 0 ||
      rte_eth_dev_configure(wire.port, 1, 1, &conf) != 0 ||
      rte_eth_rx_queue_setup(wire.port, 0, 512, SOCKET_ID_ANY, nullptr, rx_pool) != 0 ||
      rte_eth_tx_queue_setup(wire.port, 0, 512, SOCKET_ID_ANY, nullptr) != 0 ||
      rte_eth_dev_start(wire.port) != 0) {
    return absl::InternalError(fmt::format("device {} does not start", name));
  }
  return wire;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Wires>> Wires::Open(const Options& options) {
  if (absl::Status status = StartEal(options); !status.ok()) return status;
  // Pauses (see load.cc) end when asked, not a default slack of 50 us later.
  prctl(PR_SET_TIMERSLACK, 1);
  std::unique_ptr<Wires> wires(new Wires);
  const std::string driver = options.interfaces.empty() ? "net_memif" : "net_af_xdp";
  auto client = StartPort(driver + "0");
  if (!client.ok()) return client.status();
  auto bridge = StartPort(driver + "1");
  if (!bridge.ok()) return bridge.status();
  wires->client_ = *client;
  wires->bridge_ = *bridge;
  wires->started_ = true;
  return wires;
}

Wires::~Wires() {
  if (started_) {
    for (const uint16_t port : {client_.port, bridge_.port}) {
      rte_eth_dev_stop(port);
      rte_eth_dev_close(port);
    }
  }
  rte_eal_cleanup();
}

absl::Status Wires::WaitForLink(const Options& options) {
  const uint64_t deadline =
      rte_get_tsc_cycles() +
      static_cast<uint64_t>(options.link_wait_seconds * static_cast<double>(rte_get_tsc_hz()));
  for (const uint16_t port : {client_.port, bridge_.port}) {
    rte_eth_link link{};
    while (rte_eth_link_get_nowait(port, &link) != 0 || link.link_status != RTE_ETH_LINK_UP) {
      if (rte_get_tsc_cycles() > deadline) {
        return absl::DeadlineExceededError(
            fmt::format("the device under test did not connect port {}; is it running {}?", port,
                        options.interfaces.empty() ? "with the same memif socket and the other role"
                                                   : "and is its end of the veth up"));
      }
      rte_delay_us_sleep(10'000);
    }
  }
  return absl::OkStatus();
}

}  // namespace bridgehead::rig
