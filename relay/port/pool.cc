#include "relay/port/pool.h"

#include <algorithm>

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

namespace bridgehead::port {
namespace {

constexpr uint32_t kCache = 256;  // buffers each worker keeps to itself
constexpr uint32_t kPage = 4096;
constexpr uint32_t kXdpHeadroom = 256;  // XDP_PACKET_HEADROOM of linux/bpf.h
constexpr unsigned kPoolFlags = RTE_MEMPOOL_F_NO_IOVA_CONTIG | RTE_MEMPOOL_F_NO_SPREAD;

// Hugepages that follow each other in virtual memory need not do so in physical memory, and a NIC
// in zero-copy mode can not write a buffer that lies in two of them: the kernel would refuse it and
// lose it. There is at most one such buffer per hugepage; it stays allocated for ever.
void WithholdStraddlers(rte_mempool* pool, const PoolLayout& layout) {
  const rte_memseg* segment = rte_mem_virt2memseg(STAILQ_FIRST(&pool->mem_list)->addr, nullptr);
  const uint64_t page = segment != nullptr ? segment->hugepage_sz : 0;
  if (page <= kPage) {
    return;
  }
  std::vector<void*> good;
  good.reserve(layout.buffers);
  for (void* object; rte_mempool_get(pool, &object) == 0;) {
    const uint64_t begin = reinterpret_cast<uintptr_t>(object) - pool->header_size;
    if (begin / page == (begin + layout.object_bytes - 1) / page) {
      good.push_back(object);
    }
  }
  for (void* object : good) {
    rte_mempool_put(pool, object);
  }
}

}  // namespace

PoolLayout LayOutPool(uint32_t buffers, uint32_t mtu, bool af_xdp) {
  constexpr uint32_t kFrameOverhead = RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN;
  uint32_t room = RTE_PKTMBUF_HEADROOM + (af_xdp ? kXdpHeadroom : 0) + kFrameOverhead + mtu;
  room = std::max<uint32_t>(room, RTE_MBUF_DEFAULT_BUF_SIZE);
  constexpr uint32_t kHeaders = RTE_CACHE_LINE_SIZE + sizeof(rte_mbuf);
  uint32_t lines = (kHeaders + room + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE;
  // An odd number of cache lines spreads the mbufs over all cache sets and memory channels. Not at
  // the price of a page: AF_XDP takes no larger object.
  if (lines % 2 == 0 && !(af_xdp && lines * RTE_CACHE_LINE_SIZE == kPage)) {
    ++lines;
  }
  PoolLayout layout;
  layout.buffers = buffers;
  layout.object_bytes = lines * RTE_CACHE_LINE_SIZE;
  layout.data_room = static_cast<uint16_t>(
      std::min<uint32_t>(layout.object_bytes - kHeaders, UINT16_MAX / 64 * 64));
  return layout;
}

absl::StatusOr<rte_mempool*> CreatePool(const PoolLayout& layout) {
  const auto failed = [](int error) {
    return absl::ResourceExhaustedError(
        fmt::format("the pool could not be made: {}", rte_strerror(error)));
  };
  // Not rte_pktmbuf_pool_create, which keeps objects off page boundaries: net_af_xdp takes the pool
  // for `buffers` objects back to back, and those behind gaps would lie outside of its UMEM.
  rte_mempool* pool = rte_mempool_create_empty(
      "packets", layout.buffers, static_cast<uint32_t>(sizeof(rte_mbuf)) + layout.data_room, kCache,
      sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, kPoolFlags);
  if (pool == nullptr) {
    return failed(rte_errno);
  }
  rte_pktmbuf_pool_private data{};
  data.mbuf_data_room_size = layout.data_room;
  int error = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), nullptr);
  if (error == 0) {
    rte_pktmbuf_pool_init(pool, &data);
    error = std::min(0, rte_mempool_populate_default(pool));
  }
  if (error != 0) {
    rte_mempool_free(pool);
    return failed(-error);
  }
  if (pool->nb_mem_chunks != 1) {
    const uint32_t pieces = pool->nb_mem_chunks;
    rte_mempool_free(pool);
    return absl::ResourceExhaustedError(
        fmt::format("the memory for the pool is in {} pieces, it has to be one", pieces));
  }
  rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
  WithholdStraddlers(pool, layout);
  return pool;
}

}  // namespace bridgehead::port
