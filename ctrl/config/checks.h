// What a single key can not say: rules between keys, over a whole configuration.
//
// A value that did not parse is left at its empty default; each rule then passes over it, so that
// one mistake gives one message.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ctrl/config/config.h"

namespace bridgehead::config {

// Collects findings about one file.
class Findings {
 public:
  explicit Findings(const Source& source) : source_(source) {}

  // At the place of the key, or of the closest thing around it.
  void Error(const std::string& key, std::string message);
  void ErrorAt(const Location& location, const std::string& key, std::string message);
  void Warning(const std::string& key, std::string message);
  // True when the key or something below it already has an error.
  bool HasErrorIn(std::string_view key) const;
  // True when exactly this key has an error.
  bool HasErrorAt(std::string_view key) const;
  const Source& source() const { return source_; }

  // In the file's order, at most kMaxErrors.
  std::vector<Finding> TakeErrors();
  std::vector<Finding> TakeWarnings();
  // Errors found beyond those that TakeErrors gave.
  size_t errors_left_off() const { return errors_left_off_; }

 private:
  Finding Make(const Location& location, const std::string& key, std::string message) const;

  const Source& source_;
  std::vector<Finding> errors_;
  std::vector<Finding> warnings_;
  size_t errors_left_off_ = 0;
};

void CheckDataplane(const Config& config, Findings& findings);
void CheckServices(const Config& config, Findings& findings);
// Those of media: and octo:.
void CheckListeners(const Config& config, Findings& findings);
// The lists `path`.allow and `path`.deny. `families`: addresses of those that they are about; an
// empty one is of none.
void CheckAccess(const std::string& path, const std::vector<Prefix>& allow,
                 const std::vector<Prefix>& deny, const std::vector<Address>& families,
                 Findings& findings);

// A list of networks: host bits zero, each once.
void CheckNetworks(const std::string& list, const std::vector<Prefix>& prefixes,
                   Findings& findings);

// Fills in what of edge: is left out and follows from other keys.
void CompleteEdge(Edge& edge);
void CheckEdge(const Config& config, Findings& findings);
// Parts of it.
void CheckEdgeUpstreams(const Config& config, Findings& findings);
void CheckEdgeHosts(const Config& config, Findings& findings);
void CheckEdgeListeners(const Config& config, Findings& findings);
// `name` at `key` must be an upstream's; empty is nobody's, and passed over.
void CheckUpstreamName(const Config& config, const std::string& key, const std::string& name,
                       Findings& findings);

}  // namespace bridgehead::config
