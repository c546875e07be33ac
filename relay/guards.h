// What the XDP program has to know of a snapshot: whose packets are the relay's, and which of them
// a listener refuses. No I/O.
#pragma once

#include <span>
#include <vector>

#include "relay/port/port.h"
#include "relay/walk/snapshot.h"

namespace bridgehead {

std::vector<port::SteerRule> SteerRulesOf(const Snapshot& snapshot,
                                          std::span<const NatAddress> nat_addresses);

}  // namespace bridgehead
