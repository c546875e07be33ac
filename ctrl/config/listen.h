// A TCP socket that listens where a configuration says.
#pragma once

#include "ctrl/config/address.h"

namespace bridgehead::config {

// The socket, which does not block, or -errno. The caller closes it. `endpoint` has one port; on
// [::] it does not take IPv4 clients, and leaves 0.0.0.0's port alone.
int ListenOn(const Endpoint& endpoint);

}  // namespace bridgehead::config
