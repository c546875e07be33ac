#include "relay/walk/exchange.h"

#include <rte_errno.h>
#include <stdlib.h>

#include "fmt/format.h"

namespace bridgehead {

void Exchange::FreeDeleter::operator()(void* memory) const {
  free(memory);
}

absl::StatusOr<std::unique_ptr<Exchange>> Exchange::Create(size_t workers) {
  auto exchange = std::unique_ptr<Exchange>(new Exchange(workers));
  for (auto [rings, name] :
       {std::pair{&exchange->handoff_, "handoff"}, std::pair{&exchange->transmit_, "transmit"}}) {
    rings->assign(workers * workers, nullptr);
    for (size_t from = 0; from < workers; ++from) {
      for (size_t to = 0; to < workers; ++to) {
        if (from == to) continue;
        std::string full = fmt::format("{}_{}_{}", name, from, to);
        rte_ring* ring =
            rte_ring_create(full.c_str(), kRingSize, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
        if (ring == nullptr) {
          return absl::ResourceExhaustedError(
              fmt::format("dataplane.workers: no memory for the rings between {} workers: {}",
                          workers, rte_strerror(rte_errno)));
        }
        (*rings)[from * workers + to] = ring;
      }
    }
  }
  size_t bytes = rte_rcu_qsbr_get_memsize(static_cast<uint32_t>(workers));
  void* memory = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(bytes, RTE_CACHE_LINE_SIZE));
  if (memory == nullptr) return absl::ResourceExhaustedError("dataplane.workers: out of memory");
  exchange->rcu_.reset(static_cast<rte_rcu_qsbr*>(memory));
  rte_rcu_qsbr_init(exchange->rcu_.get(), static_cast<uint32_t>(workers));
  return exchange;
}

Exchange::~Exchange() {
  for (rte_ring* ring : handoff_) rte_ring_free(ring);
  for (rte_ring* ring : transmit_) rte_ring_free(ring);
  delete snapshot_.load(std::memory_order_relaxed);
}

void Exchange::Switch(std::unique_ptr<const Snapshot> next) {
  const Snapshot* old = snapshot_.exchange(next.release(), std::memory_order_acq_rel);
  rte_rcu_qsbr_synchronize(rcu_.get(), RTE_QSBR_THRID_INVALID);
  delete old;
}

}  // namespace bridgehead
