// Operators' questions to the edge, put to its workers and answered as messages.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ctrl/config/edge.h"
#include "ctrl/proxy/surveys.h"
#include "ctrl/proxy/worker.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::proxy {

using Workers = std::vector<std::unique_ptr<Worker>>;

inline constexpr uint32_t kMaxListed = 100'000;  // connections in one answer
inline constexpr uint32_t kMaxSources = 1000;

// On the main thread, where `done` is called, at once or later. `edge`: the configuration in force,
// for the names of a query that finds nothing.
void AskConnections(Surveys& surveys, const Workers& workers, const config::Edge& edge,
                    const api::CtrlConnectionsQuery& query,
                    std::function<void(const api::CtrlConnections&)> done);
void AskSources(Surveys& surveys, const Workers& workers, const api::CtrlSourcesQuery& query,
                std::function<void(const api::CtrlSources&)> done);

}  // namespace bridgehead::proxy
