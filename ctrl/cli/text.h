// What each subcommand prints for people. The JSON twins are in ctrl/view/report.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ctrl/view/report.h"

namespace bridgehead::cli {

// `now` is the time in seconds since 1970.
std::string StatusText(const view::Inputs& inputs, uint64_t now);
// `all`: reasons that never happened too.
std::string DropsText(const CounterTotals& totals, bool all);
std::string BridgesText(const std::optional<CounterTotals>& totals,
                        const std::optional<api::CtrlStatus>& ctrl, uint64_t now);
// How long the last health check of a bridge or server took; empty: there was none.
std::string CheckText(const api::BridgeHealth& health);
std::string SessionsText(const api::SessionsPage& page);

}  // namespace bridgehead::cli
