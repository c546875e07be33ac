// Prometheus metrics: bridgehead_... families made from the counter segment and ctrl's own state.
//
// Nothing is counted here. The counters start at zero again with every relay, as Prometheus expects
// of a restarted process; every drop reason is always there, zeros included, so that an alert can
// be written before the first drop. Without a counter segment only ctrl's own families are there.
//
// Label sets are bounded by the configuration: worker, port, listener, bridge, reason, direction.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include "ctrl/admin/counter_source.h"
#include "ctrl/admin/status_board.h"

namespace bridgehead::admin {

std::vector<prometheus::MetricFamily> MetricFamilies(const std::optional<CounterTotals>& totals,
                                                     const api::CtrlStatus& status);

class Metrics : public prometheus::Collectable {
 public:
  // Both outlive this.
  Metrics(CounterSource& counters, const StatusBoard& board) : counters_(counters), board_(board) {}
  std::vector<prometheus::MetricFamily> Collect() const override;
  // In the text exposition format 0.0.4.
  std::string Text() const;

 private:
  CounterSource& counters_;
  const StatusBoard& board_;
};

}  // namespace bridgehead::admin
