// The TCP edge as operators see it: its counters as a message, and in words and JSON.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "ctrl/proxy/stats/totals.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::view {

api::EdgeStatus EdgeStatusOf(const proxy::EdgeTotals& totals);

// What new connections make of a server.
struct EdgeServerState {
  std::string word;  // "up", "draining", "down", "failing"
  std::string why;   // empty when there is nothing to say
};
EdgeServerState StateOf(const api::EdgeServer& server, uint32_t workers);

nlohmann::ordered_json EdgeJson(const api::EdgeStatus& edge);
// As view/report.h has the others.
std::string UpstreamsJson(const api::EdgeStatus& edge);
std::string ConnectionsJson(const api::CtrlConnections& connections);
std::string SourcesJson(const api::CtrlSources& sources);

}  // namespace bridgehead::view
