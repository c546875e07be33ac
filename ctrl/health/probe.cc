#include "ctrl/health/probe.h"

#include <algorithm>
#include <utility>

namespace bridgehead::health {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Probe::Probe(event_base* base, std::string url, const Make& make,
             const config::HealthCheck& settings, const MonitorTiming& timing,
             std::minstd_rand& random, Judge judge)
    : url_(std::move(url)),
      interval_(settings.interval.count() * timing.second_ms),
      random_(random),
      judge_(std::move(judge)),
      timer_(evtimer_new(
          base, [](int, short, void* self) { static_cast<Probe*>(self)->Ask(); }, this)) {
  const milliseconds timeout{settings.timeout.count() * timing.second_ms};
  check_ = make(timeout, [this](const CheckResult& result, const std::string& body) {
    OnDone(result, body);
  });
  std::uniform_int_distribution<int> first(0, timing.first_check_ms);
  Wait(milliseconds(first(random_)));
}

Probe::~Probe() {
  event_free(timer_);
}

void Probe::Wait(milliseconds time) {
  const timeval wait{time.count() / 1000, time.count() % 1000 * 1000};
  evtimer_add(timer_, &wait);
}

void Probe::Ask() {
  // From beginning to beginning, sooner or later by up to a tenth.
  std::uniform_int_distribution<int64_t> tenth(-interval_.count() / 10, interval_.count() / 10);
  next_ = steady_clock::now() + interval_ + milliseconds(tenth(random_));
  check_->Start();
}

void Probe::OnDone(CheckResult result, const std::string& body) {
  // A check that takes all of a shortened interval ends after `next_`.
  const auto left = std::chrono::duration_cast<milliseconds>(next_ - steady_clock::now());
  Wait(std::max(left, milliseconds(1)));
  ++checks_;
  judge_(result, body);
  if (result.failure) ++failures_[static_cast<size_t>(*result.failure)];
  last_ = std::move(result);
}

void Probe::Describe(api::BridgeCheck& to) const {
  to.set_url(url_);
  to.set_checks(checks_);
  to.set_last_microseconds(static_cast<uint32_t>(last_.took.count()));
  to.set_last_error(last_.reason);
  for (size_t i = 0; i < kFailureCount; ++i) {
    if (failures_[i] == 0) continue;
    api::BridgeCheck::Failures& failures = *to.add_failures();
    failures.set_reason(std::string(Label(static_cast<Failure>(i))));
    failures.set_count(failures_[i]);
  }
}

}  // namespace bridgehead::health
