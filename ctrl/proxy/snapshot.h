// One configuration of the edge, ready to be used by all workers: never changed, and kept by
// whoever began with it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "ctrl/config/edge.h"
#include "ctrl/proxy/log/log_file.h"
#include "ctrl/proxy/route/site.h"
#include "ctrl/proxy/tls/server_context.h"
#include "ctrl/proxy/tls/ticket_keys.h"
#include "ctrl/proxy/tls/upstream_context.h"

namespace bridgehead::proxy {

// What outlives a configuration.
struct Lasting {
  std::map<std::chrono::seconds, std::shared_ptr<TicketKeys>> tickets;  // by their lifetime
  std::map<std::string, std::shared_ptr<LogFile>> logs;                 // by path
};

struct ListenerPlan {
  const config::EdgeListener* listener = nullptr;  // in the snapshot that the plan is of
  std::shared_ptr<const ServerContext> tls;        // null: cleartext
  std::shared_ptr<const Site> site;                // null: not HTTP
};

class Snapshot {
 public:
  // Reads certificates, password files and pages, and opens logs. Error: InvalidArgument, which
  // names listener, upstream or file.
  static absl::StatusOr<std::shared_ptr<const Snapshot>> Build(const config::Edge& edge,
                                                               Lasting& lasting);
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  const config::Edge& edge() const { return edge_; }
  // Null: the listener is none of this configuration's.
  const ListenerPlan* PlanOf(const config::EdgeListener& listener) const;
  // Null: cleartext.
  std::shared_ptr<const UpstreamContext> TlsOf(const std::string& upstream) const;
  const std::shared_ptr<LogFile>& log() const { return log_; }
  // What the files say that operators should know: certificates that end soon.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  explicit Snapshot(const config::Edge& edge) : edge_(edge) {}
  absl::Status AddListener(const config::EdgeListener& listener, Lasting& lasting);
  absl::Status AddUpstream(const config::Upstream& upstream);

  const config::Edge edge_;
  std::map<config::Endpoint, ListenerPlan> plans_;
  std::map<std::string, std::shared_ptr<const UpstreamContext>> upstream_tls_;
  std::shared_ptr<LogFile> log_;
  std::vector<std::string> warnings_;
};

}  // namespace bridgehead::proxy
