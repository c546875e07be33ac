// The data plane's regular work: neighbours, counters of ports, the log of refusals, and listeners
// that were removed.
#include <algorithm>

#include <rte_cycles.h>

#include "relay/api/log.h"
#include "relay/dataplane.h"
#include "relay/session_list.h"

namespace bridgehead {
namespace {

constexpr unsigned kRefreshSeconds =
    15;  // of used neighbours; the kernel's reachable time is ~30 s
constexpr size_t kEarlyDenied = BH_STEER_DENIED - BH_STEER_PASSED - 1;  // index of an early drop

Refusal RefusalOf(const bh_refused& denied) {
  Refusal refusal;
  std::copy_n(denied.source, sizeof(denied.source), refusal.source.bytes.data());
  std::copy_n(denied.destination, sizeof(denied.destination), refusal.destination.bytes.data());
  refusal.source_port = be16::FromRaw(denied.source_port);
  refusal.destination_port = be16::FromRaw(denied.destination_port);
  refusal.drop = Drop::kDenied;
  return refusal;
}

}  // namespace

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
    const Refusal refusal = RefusalOf(denied);
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
      totals[DropIndex(Drop::kDenied)] += counts->dropped[kEarlyDenied];
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

}  // namespace bridgehead
