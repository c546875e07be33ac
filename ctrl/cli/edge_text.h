// What the subcommands about the TCP edge print for people. The JSON twins are in ctrl/view/edge.h.
#pragma once

#include <cstdint>
#include <string>

#include "ctrl/view/edge.h"

namespace bridgehead::cli {

// The edge's part of `status`; empty without an edge.
std::string EdgeText(const api::EdgeStatus& edge);
// `now` is the time in seconds since 1970.
std::string UpstreamsText(const api::EdgeStatus& edge, uint64_t now);
std::string ConnectionsText(const api::CtrlConnections& connections);
std::string SourcesText(const api::CtrlSources& sources);

}  // namespace bridgehead::cli
