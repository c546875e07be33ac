// Rules of `edge:` as a whole, and what it gets by default from its other keys.
#include <algorithm>
#include <set>

#include "ctrl/config/checks.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::config {

namespace {

constexpr size_t kNamesInMessages = 10;

void CheckCores(const Config& config, Findings& findings) {
  const std::vector<uint32_t>& cores = config.edge.cores;
  if (findings.HasErrorIn("edge.cores")) return;
  if (cores.empty()) {
    findings.Error("edge.cores", "got nothing, expected the cores of the TCP edge");
    return;
  }
  const std::vector<uint32_t>& workers = config.dataplane.workers;
  std::set<uint32_t> seen;
  for (size_t i = 0; i < cores.size(); i++) {
    const std::string key = fmt::format("edge.cores[{}]", i);
    if (!seen.insert(cores[i]).second) {
      findings.Error(key,
                     fmt::format("got core {} a second time, expected each core once", cores[i]));
    } else if (std::find(workers.begin(), workers.end(), cores[i]) != workers.end()) {
      findings.Warning(key, fmt::format("got core {}, which is in dataplane.workers too, expected "
                                        "another one: its worker leaves little of it",
                                        cores[i]));
    }
  }
}

void CheckAccessLog(const AccessLog& log, Findings& findings) {
  std::set<LogField> seen;
  for (size_t i = 0; i < log.fields.size(); i++) {
    if (findings.HasErrorIn("edge.access_log.fields")) return;
    if (seen.insert(log.fields[i]).second) continue;
    findings.Error(fmt::format("edge.access_log.fields[{}]", i),
                   "got a field a second time, expected each once");
  }
}

}  // namespace

void CompleteEdge(Edge& edge) {
  for (Upstream& upstream : edge.upstreams) {
    for (UpstreamServer& server : upstream.servers) {
      if (server.name.empty() && !server.address.empty()) server.name = server.address.text();
    }
  }
  for (Host& host : edge.hosts) {
    if (host.name.empty() && !host.names.empty()) host.name = host.names[0];
    for (Route& route : host.routes) {
      if (route.name.empty()) route.name = route.path;
    }
  }
  if (edge.access_log.fields.empty()) {
    edge.access_log.fields = {LogField::kTime,     LogField::kEvent,    LogField::kListener,
                              LogField::kClient,   LogField::kHost,     LogField::kMethod,
                              LogField::kPath,     LogField::kProtocol, LogField::kStatus,
                              LogField::kBytesIn,  LogField::kBytesOut, LogField::kDuration,
                              LogField::kUpstream, LogField::kServer};
  }
}

void CheckUpstreamName(const Config& config, const std::string& key, const std::string& name,
                       Findings& findings) {
  const std::vector<Upstream>& upstreams = config.edge.upstreams;
  const bool known = std::any_of(upstreams.begin(), upstreams.end(),
                                 [&](const Upstream& upstream) { return upstream.name == name; });
  // An upstream whose own name is wrong may be the one that is meant.
  if (name.empty() || known || findings.HasErrorIn("edge.upstreams")) return;
  std::vector<std::string_view> names;
  for (const Upstream& upstream : upstreams) {
    if (names.size() < kNamesInMessages) names.push_back(upstream.name);
  }
  findings.Error(
      key,
      fmt::format("got \"{}\", expected the name of one of edge.upstreams: {}", name,
                  names.empty() ? "there is none" : fmt::format("{}", fmt::join(names, ", "))));
}

void CheckEdge(const Config& config, Findings& findings) {
  if (!findings.source().Has("edge") || findings.HasErrorAt("edge")) return;
  CheckCores(config, findings);
  CheckAccessLog(config.edge.access_log, findings);
  CheckEdgeUpstreams(config, findings);
  CheckEdgeHosts(config, findings);
  CheckEdgeListeners(config, findings);
}

}  // namespace bridgehead::config
