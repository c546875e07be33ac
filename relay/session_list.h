// The sessions of all workers, as the control thread reads them beside the running workers.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "relay/api/relay.pb.h"
#include "relay/walk/snapshot.h"
#include "relay/walk/worker.h"

namespace bridgehead {

// The four endpoints of a session, whatever its families.
struct SessionEnds {
  Endpoint client, listener, nat, bridge;
};

// `places`: of the snapshot in use.
SessionEnds EndsOf(const Session& session, const std::vector<Ipv6Address>& places);

struct SessionSources {
  std::span<const std::unique_ptr<Worker>> workers;
  const std::vector<Ipv6Address>& places;
  const std::vector<std::string>& listeners;  // names by number
  const std::vector<std::string>& bridges;    // names by number
};

// One page of them, from the query's cursor on. Error: the query's limit is not valid.
absl::StatusOr<api::SessionsPage> ListSessions(const SessionSources& sources,
                                               const api::SessionsQuery& query);

}  // namespace bridgehead
