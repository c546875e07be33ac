#include "relay/port/ethdev.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "relay/api/log.h"
#include "relay/port/dpdk_log.h"

namespace bridgehead::port {
namespace {

constexpr uint64_t kRxChecksums = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
constexpr uint64_t kTxChecksums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;

absl::Status Failed(std::string_view step, int error) {
  return absl::InternalError(
      fmt::format("{} failed: {}", step, LibraryErrors(rte_strerror(std::abs(error)))));
}

rte_eth_conf MakeConf(const rte_eth_dev_info& info, const EthdevRequest& request,
                      const OpenPort& port) {
  rte_eth_conf conf{};
  conf.rxmode.mtu = port.mtu;
  if ((info.rx_offload_capa & kRxChecksums) == kRxChecksums) {
    conf.rxmode.offloads |= kRxChecksums;
  }
  if ((info.tx_offload_capa & kTxChecksums) == kTxChecksums) {
    conf.txmode.offloads |= kTxChecksums;
  }
  // Every buffer is of the one pool and has one owner.
  conf.txmode.offloads |= info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
  const uint64_t hashes = info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
  if (request.queues > 1 && hashes != 0) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = hashes;
  }
  return conf;
}

}  // namespace

VdevSpec SplitVdev(const std::string& text) {
  const size_t comma = text.find(',');
  if (comma == std::string::npos) {
    return {text, ""};
  }
  return {text.substr(0, comma), text.substr(comma + 1)};
}

absl::StatusOr<uint16_t> CreateVdev(const VdevSpec& spec) {
  ClearLibraryErrors();
  if (const int error = rte_eal_hotplug_add("vdev", spec.name.c_str(), spec.arguments.c_str());
      error != 0) {
    const std::string reason =
        error == -EEXIST ? "a device of that name exists; give each vdev a name of its own"
                         : rte_strerror(std::abs(error));
    return absl::InvalidArgumentError(LibraryErrors(reason));
  }
  uint16_t id = 0;
  if (rte_eth_dev_get_port_by_name(spec.name.c_str(), &id) != 0) {
    rte_eal_hotplug_remove("vdev", spec.name.c_str());
    return absl::InvalidArgumentError(fmt::format("{} is not a network device", spec.name));
  }
  return id;
}

void DestroyVdev(const std::string& name) {
  rte_eal_hotplug_remove("vdev", name.c_str());
}

absl::StatusOr<EthdevLimits> ReadLimits(uint16_t id) {
  rte_eth_dev_info info{};
  if (const int error = rte_eth_dev_info_get(id, &info); error != 0) {
    return Failed("asking the driver for its limits", error);
  }
  EthdevLimits limits;
  limits.rx_queues = info.max_rx_queues;
  limits.tx_queues = info.max_tx_queues;
  limits.max_mtu = info.max_mtu;
  limits.driver = info.driver_name;
  return limits;
}

absl::Status StartEthdev(const EthdevRequest& request, rte_mempool* pool, OpenPort& port) {
  ClearLibraryErrors();
  rte_eth_dev_info info{};
  if (const int error = rte_eth_dev_info_get(port.id, &info); error != 0) {
    return Failed("asking the driver for its limits", error);
  }
  const rte_eth_conf conf = MakeConf(info, request, port);
  if (const int error = rte_eth_dev_configure(port.id, request.queues, request.queues, &conf);
      error != 0) {
    return Failed("configuring it", error);
  }
  uint16_t rx_descriptors = request.rx_descriptors;
  uint16_t tx_descriptors = request.tx_descriptors;
  if (const int error = rte_eth_dev_adjust_nb_rx_tx_desc(port.id, &rx_descriptors, &tx_descriptors);
      error != 0) {
    return Failed("choosing its ring sizes", error);
  }
  if (rx_descriptors != request.rx_descriptors || tx_descriptors != request.tx_descriptors) {
    log::Warn(
        "port {}: the driver takes {} receive and {} transmit descriptors instead of {} and {}",
        port.name, rx_descriptors, tx_descriptors, request.rx_descriptors, request.tx_descriptors);
  }
  for (uint16_t queue = 0; queue < request.queues; ++queue) {
    rte_eth_rxconf rx = info.default_rxconf;
    rx.offloads = conf.rxmode.offloads;
    if (const int error =
            rte_eth_rx_queue_setup(port.id, queue, rx_descriptors, SOCKET_ID_ANY, &rx, pool);
        error != 0) {
      return Failed("setting up its receive queue", error);
    }
    rte_eth_txconf tx = info.default_txconf;
    tx.offloads = conf.txmode.offloads;
    if (const int error =
            rte_eth_tx_queue_setup(port.id, queue, tx_descriptors, SOCKET_ID_ANY, &tx);
        error != 0) {
      return Failed("setting up its transmit queue", error);
    }
  }
  if (const int error = rte_eth_dev_start(port.id); error != 0) {
    return Failed("starting it", error);
  }
  port.rx_queues = port.tx_queues = request.queues;
  port.rx_checksum_offload = (conf.rxmode.offloads & kRxChecksums) != 0;
  port.tx_checksum_offload = (conf.txmode.offloads & kTxChecksums) != 0;
  rte_ether_addr mac{};
  if (rte_eth_macaddr_get(port.id, &mac) == 0) {
    std::copy(std::begin(mac.addr_bytes), std::end(mac.addr_bytes), port.mac.begin());
  }
  return absl::OkStatus();
}

void CloseEthdev(uint16_t id) {
  rte_eth_dev_stop(id);
  rte_eth_dev_close(id);
}

PortLosses ReadEthdevLosses(uint16_t id) {
  PortLosses out;
  rte_eth_stats stats{};
  if (rte_eth_stats_get(id, &stats) == 0) {
    out.missed = stats.imissed;
    out.no_buffer = stats.rx_nombuf;
  }
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(id, &link) == 0) {
    out.link_up = link.link_status == RTE_ETH_LINK_UP;
  }
  return out;
}

}  // namespace bridgehead::port
