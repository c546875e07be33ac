#include "relay/walk/tx.h"

namespace bridgehead {
namespace {

void UpdateMbuf(const Packet& packet, rte_mbuf* mbuf) {
  mbuf->data_off = static_cast<uint16_t>(packet.frame - static_cast<uint8_t*>(mbuf->buf_addr));
  mbuf->data_len = static_cast<uint16_t>(packet.length);
  mbuf->pkt_len = packet.length;
  mbuf->ol_flags = 0;
  if (packet.offload_checksum) [[unlikely]] {
    mbuf->ol_flags =
        RTE_MBUF_F_TX_UDP_CKSUM | (packet.ipv6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
    mbuf->l2_len = packet.ip_offset;
    mbuf->l3_len = packet.ipv6 ? sizeof(Ipv6Header) : sizeof(Ipv4Header);
  }
}

}  // namespace

TxStage::TxStage(const std::vector<port::OpenPort>& ports, size_t worker, size_t workers,
                 const Exchange& exchange, WorkerCounters& counters)
    : outs_(ports.size()), handoffs_(workers), rings_(workers), counters_(counters) {
  for (size_t p = 0; p < ports.size(); ++p) {
    outs_[p].way = FindTransmitWay(ports, p, worker, workers);
    outs_[p].own_queue = outs_[p].way.owner == worker;
    if (!outs_[p].own_queue) outs_[p].ring = exchange.transmit(worker, outs_[p].way.owner);
  }
  for (size_t other = 0; other < workers; ++other) {
    if (other == worker) continue;
    rings_[other] = exchange.handoff(worker, other);
    incoming_.push_back(exchange.transmit(other, worker));
  }
}

void TxStage::Dispatch(std::span<const Packet> burst) {
  for (const Packet& packet : burst) {
    if (packet.verdict != Verdict::kTransmit) [[unlikely]] {
      DispatchOther(packet);
      continue;
    }
    auto* mbuf = static_cast<rte_mbuf*>(packet.buffer);
    UpdateMbuf(packet, mbuf);
    Batch& batch = outs_[packet.egress].batch;
    batch.mbufs[batch.count++] = mbuf;
    batch.bytes += packet.length;
  }
}

void TxStage::DispatchOther(const Packet& packet) {
  auto* mbuf = static_cast<rte_mbuf*>(packet.buffer);
  if (packet.verdict == Verdict::kHandoff) {
    mbuf->port = MbufPort(packet);
    Batch& batch = handoffs_[packet.egress];
    batch.mbufs[batch.count++] = mbuf;
  } else if (packet.verdict == Verdict::kDrop) {
    Discard(mbuf, packet.drop);
  }  // what waits is kept by the walk
}

void TxStage::Discard(rte_mbuf* mbuf, Drop drop) {
  counters_.drops[DropIndex(drop)].Add(1);
  if (discarded_.count == discarded_.mbufs.size()) {
    rte_pktmbuf_free_bulk(discarded_.mbufs.data(), discarded_.count);
    discarded_.count = 0;
  }
  discarded_.mbufs[discarded_.count++] = mbuf;
}

void TxStage::Flush() {
  for (Out& out : outs_) {
    if (out.batch.count > 0) Transmit(out);
  }
  for (size_t w = 0; w < handoffs_.size(); ++w) {
    if (handoffs_[w].count == 0) continue;
    ToRing(rings_[w], handoffs_[w], counters_.handoff_sent, Drop::kHandoffFull);
  }
  if (discarded_.count > 0) {
    rte_pktmbuf_free_bulk(discarded_.mbufs.data(), discarded_.count);
    discarded_.count = 0;
  }
}

void TxStage::Transmit(Out& out) {
  if (out.own_queue) return Send(out);
  // The other worker needs to know which port; the mbuf's own field carries it.
  for (uint16_t i = 0; i < out.batch.count; ++i) out.batch.mbufs[i]->port = out.way.queue.port;
  ToRing(out.ring, out.batch, counters_.tx_handoff_sent, Drop::kTxHandoffFull);
}

void TxStage::Send(Out& out) {
  Batch& batch = out.batch;
  const PortQueue& queue = out.way.queue;
  // A sent mbuf belongs to the port: only those that come back may be looked at.
  const uint16_t sent =
      rte_eth_tx_burst(queue.ethdev, queue.queue, batch.mbufs.data(), batch.count);
  for (uint16_t i = sent; i < batch.count; ++i) {
    batch.bytes -= batch.mbufs[i]->pkt_len;
    Discard(batch.mbufs[i], Drop::kTxFull);
  }
  counters_.forwarded.Add(sent);
  counters_.ports[queue.port].tx_packets.Add(sent);
  counters_.ports[queue.port].tx_bytes.Add(batch.bytes);
  batch.count = 0;
  batch.bytes = 0;
}

void TxStage::ToRing(rte_ring* ring, Batch& batch, Counter& sent, Drop full) {
  unsigned taken = rte_ring_sp_enqueue_burst(ring, reinterpret_cast<void**>(batch.mbufs.data()),
                                             batch.count, nullptr);
  sent.Add(taken);
  for (unsigned i = taken; i < batch.count; ++i) Discard(batch.mbufs[i], full);
  batch.count = 0;
  batch.bytes = 0;
}

size_t TxStage::TransmitForOthers() {
  size_t total = 0;
  for (rte_ring* ring : incoming_) {
    void* mbufs[kBurst];
    unsigned count = rte_ring_sc_dequeue_burst(ring, mbufs, kBurst, nullptr);
    for (unsigned i = 0; i < count; ++i) {
      auto* mbuf = static_cast<rte_mbuf*>(mbufs[i]);
      Batch& batch = outs_[mbuf->port].batch;
      batch.mbufs[batch.count++] = mbuf;
      batch.bytes += mbuf->pkt_len;
    }
    if (count == 0) continue;
    counters_.tx_handoff_received.Add(count);
    total += count;
    Flush();
  }
  return total;
}

}  // namespace bridgehead
