// From everything the kernel knows to what the relay needs: the interfaces that lead out of its
// ports, and the routes and neighbours over them.
//
// A route is chosen as the kernel would without policy rules: the local, main and default tables
// are asked in this order, each by longest prefix, then lowest metric. Of a multipath route the
// first living next hop is used, of several routes of one metric the first. A prefix that leads
// nowhere, to this machine itself or over an interface that is no port becomes an `unreachable`
// route, but only where a shorter prefix would otherwise carry its packets out of a port.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "ctrl/mirror/kernel_state.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::mirror {

inline constexpr size_t kMaxRoutes = 100'000;
inline constexpr size_t kMaxNeighbours = 65'536;

struct MirroredRouting {
  api::Routing routing;
  // Of all of this machine's interfaces, sorted; without IPv6 link-local ones.
  std::vector<Address> own_addresses;
  std::vector<std::string> warnings;
};

// `devices`: the kernel interface of each port, in the ports' order; empty for a port without one.
// The result depends on `state` alone, not on the order of its history.
MirroredRouting BuildRouting(const KernelState& state, const std::vector<std::string>& devices);

}  // namespace bridgehead::mirror
