// A TCP socket that listens where a configuration says.
#pragma once

#include "ctrl/config/address.h"

namespace bridgehead::config {

// An address that no interface has (yet: one may come late, or still look for duplicates of itself,
// RFC 4862 section 5.4) is an error, or is listened on for when it comes.
enum class IfAbsent { kFail, kListen };

// The socket, which does not block, or -errno. The caller closes it. `endpoint` has one port; on
// [::] it does not take IPv4 clients, and leaves 0.0.0.0's port alone.
int ListenOn(const Endpoint& endpoint, IfAbsent if_absent = IfAbsent::kFail);

}  // namespace bridgehead::config
