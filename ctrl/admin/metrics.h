// Prometheus metrics: bridgehead_... families made from the counter segment and ctrl's own state.
//
// (bridgehead_edge_... is in edge_metrics.h.) Nothing is counted here. The counters start at zero
// again with every relay, as Prometheus expects of a restarted process; every drop reason is always
// there, zeros included, so that an alert can be written before the first drop. Without a counter
// segment only ctrl's own families are there.
//
// Label sets are bounded by the configuration: worker, port, listener, bridge, reason, direction,
// host, route, upstream, server, status.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include "ctrl/admin/counter_source.h"
#include "ctrl/admin/status_board.h"
#include "ctrl/proxy/stats/totals.h"

namespace bridgehead::admin {

std::vector<prometheus::MetricFamily> MetricFamilies(const std::optional<CounterTotals>& totals,
                                                     const api::CtrlStatus& status);

// What the TCP edge has counted; from any thread.
using EdgeSource = std::function<proxy::EdgeTotals()>;

class Metrics : public prometheus::Collectable {
 public:
  // Both outlive this, and what `edge` reads (none: there is no TCP edge) does too.
  Metrics(CounterSource& counters, const StatusBoard& board, EdgeSource edge = nullptr)
      : counters_(counters), board_(board), edge_(std::move(edge)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;
  // In the text exposition format 0.0.4.
  std::string Text() const;

 private:
  CounterSource& counters_;
  const StatusBoard& board_;
  const EdgeSource edge_;
};

}  // namespace bridgehead::admin
