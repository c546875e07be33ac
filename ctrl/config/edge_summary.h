// What a configuration makes of the TCP edge, for people: `bridgehead check`.
#pragma once

#include <string>

#include "ctrl/config/edge.h"

namespace bridgehead::config {

// A line for each listener with its rules, host with its routes, and upstream; empty without an
// edge. `edge` is of a loaded Config.
std::string EdgeSummary(const Edge& edge);

}  // namespace bridgehead::config
