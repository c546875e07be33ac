// What of a snapshot is fixed while a relay runs: it was sized and opened by it.
#pragma once

#include <string>
#include <vector>

#include "relay/api/relay.pb.h"

namespace bridgehead {

// The configuration keys of the fixed parts in which two snapshots differ, in the file's order.
std::vector<std::string> FixedKeysThatDiffer(const api::Snapshot& a, const api::Snapshot& b);

}  // namespace bridgehead
