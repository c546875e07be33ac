// Random keys, and the one that outlives the relay.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "relay/session/flow_table.h"

namespace bridgehead {

// Error: the kernel has no random numbers.
absl::StatusOr<HashKey> RandomKey();

// The key of the first choice of NAT ports: made once and kept in the file `path`, so that a client
// gets its port again from a relay that was restarted. Error: it cannot be made or written.
absl::StatusOr<HashKey> NatKey(const std::string& path);

}  // namespace bridgehead
