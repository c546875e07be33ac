// Holds WebSockets open while something is done to the proxy, and counts those that are lost.
#pragma once

#include "bench/edge/client.h"

namespace bridgehead::edge_load {

struct HoldOptions {
  ClientOptions client;
  double message_interval = 0;  // seconds from one message of a WebSocket to its next; 0: none
  double open_seconds = 60;     // to open all of them
  double max_seconds = 300;     // to hold them
};

// Opens the WebSockets and prints {"open": N, ...}; holds them until standard input ends, then
// prints how many were lost and what became of their messages. Returns false, having said why, when
// not all could be opened.
bool RunHold(const HoldOptions& options);

}  // namespace bridgehead::edge_load
