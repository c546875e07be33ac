// From a checked Config to the Snapshot message that the relay is sent.
#pragma once

#include <cstdint>

#include "ctrl/config/config.h"
#include "relay/api/relay.pb.h"

namespace bridgehead::config {

// Everything the file says. Of Routing only what vdev: ports configure (AppendStaticRouting); the
// kernel's part is the mirror's. Settings of vdev: ports that device: ports take from the kernel
// are left unset for these.
api::Snapshot ToSnapshot(const Config& config, uint64_t id);

// Appends the interfaces, connected and static routes, and neighbours of the vdev: ports to
// `routing`, behind whatever is in it. Interfaces have ifindex 0 and no MAC address: the relay
// knows the device's own.
void AppendStaticRouting(const Config& config, api::Routing& routing);

}  // namespace bridgehead::config
