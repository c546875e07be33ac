#include "ctrl/proxy/accept/accepted.h"

#include <utility>

namespace bridgehead::proxy {

Admission::Admission(std::shared_ptr<ListenerState> state) : state_(std::move(state)) {
  state_->counters.Open();
}

Admission::Admission(Admission&& other) noexcept
    : state_(std::move(other.state_)), slot_(std::exchange(other.slot_, SourceLimits::kNoSlot)) {}

Admission::~Admission() {
  if (state_ == nullptr) return;
  state_->counters.Close();
  if (slot_ != SourceLimits::kNoSlot) state_->sources.Release(slot_);
}

AcceptRefusal Admission::Admit(const config::Address& client, SourceLimits::Clock::time_point now) {
  if (!state_->access.Allows(client)) return AcceptRefusal::kAccessDenied;
  const SourceLimits::Admission admission = state_->sources.Admit(client, now);
  slot_ = admission.slot;
  return admission.refusal;
}

}  // namespace bridgehead::proxy
