#include "ctrl/health/state.h"

#include <iterator>

#include "fmt/format.h"

namespace bridgehead::health {

std::string_view Label(Failure failure) {
  static constexpr std::string_view kLabels[] = {"refused",  "unreachable", "timeout",
                                                 "closed",   "status",      "malformed",
                                                 "too_long", "tls",         "local"};
  static_assert(std::size(kLabels) == kFailureCount);
  return kLabels[static_cast<size_t>(failure)];
}

namespace {

// What no lost packet can be the cause of: somebody there has said no.
bool IsPlain(Failure failure) {
  return failure == Failure::kRefused || failure == Failure::kStatus || failure == Failure::kTls;
}

}  // namespace

BridgeState::State BridgeState::state() const {
  if (down_) return api::Bridge::DOWN;
  return drained_ || says_draining_ ? api::Bridge::DRAINING : api::Bridge::UP;
}

bool BridgeState::Changed(State before, uint64_t now_unix) {
  if (state() == before) return false;
  since_unix_ = now_unix;
  return true;
}

bool BridgeState::NoteHealth(const CheckResult& result, uint64_t now_unix) {
  if (result.failure == Failure::kLocal) return false;
  const State before = state();
  const bool failed = result.failure.has_value();
  last_error_ = result.reason;
  against_ = failed == down_ ? 0 : against_ + 1;
  // It was only assumed to be up, so the first plain result needs no second one.
  const bool plain = !failed || IsPlain(*result.failure);
  const uint32_t needed = !judged_ && plain ? 1 : failed ? thresholds_.fall : thresholds_.rise;
  judged_ = judged_ || plain;
  if (against_ >= needed) {
    down_ = failed;
    judged_ = true;
    against_ = 0;
  }
  return Changed(before, now_unix);
}

bool BridgeState::NoteSaysDraining(bool draining, uint64_t now_unix) {
  const State before = state();
  says_draining_ = draining;
  return Changed(before, now_unix);
}

bool BridgeState::SetDrained(bool drained, uint64_t now_unix) {
  const State before = state();
  drained_ = drained;
  return Changed(before, now_unix);
}

std::string BridgeState::reason() const {
  std::string text;
  const auto add = [&](const std::string& more) { text += (text.empty() ? "" : "; ") + more; };
  if (down_) {
    add(last_error_.empty()
            ? fmt::format("answers again, {} of {} good checks", against_, thresholds_.rise)
            : last_error_);
  } else if (!last_error_.empty()) {
    add(fmt::format("last check failed: {}", last_error_));
  }
  if (drained_) add("drained by the operator");
  if (says_draining_) add("says itself that it drains");
  return text;
}

}  // namespace bridgehead::health
