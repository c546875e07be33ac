// The servers that the operator drains, by the names of the configuration; kept over restarts of
// ctrl, in a file of the form of health/drain_file.h.
//
// For the main thread.
#pragma once

#include <set>
#include <string>

#include "absl/status/status.h"
#include "ctrl/config/edge.h"

namespace bridgehead::proxy {

inline constexpr char kServerDrainFileName[] = "drained-servers";  // in RUN_DIR

class ServerDrains {
 public:
  // Names of the configuration have no "/" in an upstream's, so this is one server's only.
  static std::string NameOf(const std::string& upstream, const std::string& server) {
    return upstream + "/" + server;
  }

  // Reads `file`; where it can not be read, that is logged, and no server is drained.
  explicit ServerDrains(std::string file);

  // Drains of servers that `edge` does not have are forgotten.
  void Configure(const config::Edge& edge);
  // NotFound: no such upstream or server. Another error: the file can not be written, and nothing
  // has changed.
  absl::Status Drain(const std::string& upstream, const std::string& server, bool drained);

  const std::set<std::string>& names() const { return drained_; }

 private:
  const std::string file_;
  std::set<std::string> known_, drained_;
};

}  // namespace bridgehead::proxy
