#include "relay/walk/rx.h"

namespace bridgehead {
namespace {

uint8_t ChecksumFlagsOf(uint64_t ol_flags) {
  uint8_t flags = 0;
  uint64_t ip = ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
  uint64_t udp = ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
  if (ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD) flags |= kIpChecksumGood;
  if (ip == RTE_MBUF_F_RX_IP_CKSUM_BAD) flags |= kIpChecksumBad;
  if (udp == RTE_MBUF_F_RX_L4_CKSUM_GOOD) flags |= kUdpChecksumGood;
  if (udp == RTE_MBUF_F_RX_L4_CKSUM_BAD) flags |= kUdpChecksumBad;
  return flags;
}

// `offload`: the port has looked at checksums.
inline void MakePacket(rte_mbuf* mbuf, uint8_t port, bool offload, Packet& packet) {
  packet = Packet{};
  packet.frame = rte_pktmbuf_mtod(mbuf, uint8_t*);
  packet.buffer = mbuf;
  packet.length = rte_pktmbuf_data_len(mbuf);
  packet.port = port;
  if (offload) packet.checksum_flags = ChecksumFlagsOf(mbuf->ol_flags);
  if (mbuf->nb_segs != 1) [[unlikely]]
    packet.End(Drop::kFrameTooLong);
}

}  // namespace

RxStage::RxStage(const std::vector<port::OpenPort>& ports, size_t worker, size_t workers,
                 const Exchange& exchange, WorkerCounters& counters)
    : queues_(ReceiveQueues(ports, worker, workers)), counters_(counters) {
  for (size_t from = 0; from < workers; ++from) {
    if (from != worker) handoffs_.push_back(exchange.handoff(from, worker));
  }
  for (const port::OpenPort& port : ports) checksum_offload_.push_back(port.rx_checksum_offload);
}

size_t RxStage::Receive(size_t index, std::span<Packet, kBurst> burst) {
  const PortQueue& queue = queues_[index];
  rte_mbuf* mbufs[kBurst];
  size_t count = rte_eth_rx_burst(queue.ethdev, queue.queue, mbufs, kBurst);
  if (count == 0) return 0;
  const bool offload = checksum_offload_[queue.port];
  uint64_t bytes = 0;
  for (size_t i = 0; i < count; ++i) rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void*));
  for (size_t i = 0; i < count; ++i) {
    bytes += rte_pktmbuf_pkt_len(mbufs[i]);
    MakePacket(mbufs[i], queue.port, offload, burst[i]);
  }
  counters_.received.Add(count);
  counters_.ports[queue.port].rx_packets.Add(count);
  counters_.ports[queue.port].rx_bytes.Add(bytes);
  return count;
}

size_t RxStage::ReceiveHandoff(size_t index, std::span<Packet, kBurst> burst) {
  void* mbufs[kBurst];
  size_t count = rte_ring_sc_dequeue_burst(handoffs_[index], mbufs, kBurst, nullptr);
  for (size_t i = 0; i < count; ++i) {
    rte_prefetch0(rte_pktmbuf_mtod(static_cast<rte_mbuf*>(mbufs[i]), void*));
  }
  for (size_t i = 0; i < count; ++i) {
    auto* mbuf = static_cast<rte_mbuf*>(mbufs[i]);
    const uint8_t port = PortOfMbuf(*mbuf);
    MakePacket(mbuf, port, checksum_offload_[port], burst[i]);
    burst[i].ordered = OrderedByOther(*mbuf);
  }
  if (count > 0) counters_.handoff_received.Add(count);
  return count;
}

}  // namespace bridgehead
