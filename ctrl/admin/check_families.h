// What came of health checks, as metrics: of bridges and of the TCP edge's servers alike.
#pragma once

#include <string>
#include <utility>

#include "ctrl/admin/metric_family.h"
#include "ctrl/health/state.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::admin {

class CheckFamilies {
 public:
  // `what` begins their names, `words` is it in their help.
  CheckFamilies(Families& families, const std::string& what, const std::string& words)
      : seconds_(families, kGauge, what + "_check_duration_seconds",
                 "How long the last check of " + words + " took."),
        checks_(families, kCounter, what + "_checks_total", "Checks of " + words + " that ended."),
        failures_(families, kCounter, what + "_check_failures_total",
                  "Checks of " + words + " that failed, by reason.") {}

  void Add(const Labels& labels, const api::BridgeCheck& check) {
    if (check.checks() != 0) seconds_.Add(labels, check.last_microseconds() / 1e6);
    checks_.Add(labels, Number(check.checks()));
    // All reasons from the beginning: rate() does not see a counter's first value rise from zero.
    for (size_t i = 0; i < health::kFailureCount; ++i) {
      Labels with_reason = labels;
      with_reason.push_back({"reason", std::string(health::Label(health::Failure(i)))});
      failures_.Add(std::move(with_reason), Number(CountOf(check, health::Failure(i))));
    }
  }

 private:
  static uint64_t CountOf(const api::BridgeCheck& check, health::Failure failure) {
    for (const auto& failures : check.failures()) {
      if (failures.reason() == health::Label(failure)) return failures.count();
    }
    return 0;
  }

  Family seconds_, checks_, failures_;
};

}  // namespace bridgehead::admin
