// The TCP edge's families: bridgehead_edge_...
//
// Per listener, route (of its host) and server (of its upstream). Every reason and class of status
// is always there, zeros included. Without an edge there are none.
#pragma once

#include <vector>

#include <prometheus/metric_family.h>

#include "ctrl/proxy/stats/totals.h"

namespace bridgehead::admin {

void AddEdgeFamilies(std::vector<prometheus::MetricFamily>& families,
                     const proxy::EdgeTotals& totals);

}  // namespace bridgehead::admin
