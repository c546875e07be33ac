// `drain` and `undrain` of UPSTREAM/SERVER of the TCP edge.
#pragma once

#include "ctrl/cli/commands.h"

namespace bridgehead::cli {

// `options.bridge` is UPSTREAM/SERVER.
int DrainServer(const Options& options, const Streams& streams, bool drained);

}  // namespace bridgehead::cli
