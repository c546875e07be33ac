#include "ctrl/proxy/upstream/server_drains.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "ctrl/health/drain_file.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "relay/api/log.h"

namespace bridgehead::proxy {

ServerDrains::ServerDrains(std::string file) : file_(std::move(file)) {
  auto names = health::ReadDrainFile(file_);
  if (names.ok()) {
    drained_ = *std::move(names);
  } else {
    log::Error("{}; no upstream server is drained", std::string(names.status().message()));
  }
}

void ServerDrains::Configure(const config::Edge& edge) {
  known_.clear();
  for (const config::Upstream& upstream : edge.upstreams) {
    for (const config::UpstreamServer& server : upstream.servers) {
      known_.insert(NameOf(upstream.name, server.name));
    }
  }
  std::vector<std::string> gone;
  std::set_difference(drained_.begin(), drained_.end(), known_.begin(), known_.end(),
                      std::back_inserter(gone));
  if (gone.empty()) return;
  log::Warn("drain of {} forgotten: not in the configuration", fmt::join(gone, ", "));
  for (const std::string& name : gone) drained_.erase(name);
  const absl::Status written = health::WriteDrainFile(file_, drained_);
  if (!written.ok()) log::Error("{}", std::string(written.message()));
}

absl::Status ServerDrains::Drain(const std::string& upstream, const std::string& server,
                                 bool drained) {
  const std::string name = NameOf(upstream, server);
  if (!known_.contains(name)) {
    return absl::NotFoundError(
        known_.empty()
            ? fmt::format("got \"{}\", but the configuration has no upstreams", name)
            : fmt::format("got \"{}\", expected one of: {}", name, fmt::join(known_, ", ")));
  }
  std::set<std::string> next = drained_;
  if (drained) {
    next.insert(name);
  } else {
    next.erase(name);
  }
  if (next == drained_) return absl::OkStatus();
  // On disk first: what was promised to the operator holds after a crash.
  absl::Status written = health::WriteDrainFile(file_, next);
  if (!written.ok()) return written;
  drained_ = std::move(next);
  log::Info("upstream server {}: {} by the operator", name, drained ? "drained" : "undrained");
  return absl::OkStatus();
}

}  // namespace bridgehead::proxy
