// What the TCP edge has counted: the sums of all its workers, for metrics and the command line.
//
// Plain values; names are those of the configuration. What was taken out of it stays while a
// connection still counts there.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/api/relay.pb.h"

namespace bridgehead::proxy {

// Of responses: a status by its first digit, 0 for requests that got none.
inline constexpr size_t kStatusClasses = 6;
inline constexpr std::array<std::string_view, kStatusClasses> kStatusClassLabels = {
    "none", "1xx", "2xx", "3xx", "4xx", "5xx"};
using StatusTotals = std::array<uint64_t, kStatusClasses>;

struct EdgeTotals {
  struct Refused {
    std::string label;  // of accept/refusals.def
    uint64_t connections = 0;
  };
  struct Listener {
    std::string name;
    uint64_t open = 0;             // now
    uint64_t accepted = 0;         // handed on
    uint64_t pauses = 0;           // times the kernel could not hand a connection over
    std::vector<Refused> refused;  // every reason, zeros included
    uint64_t tls_full = 0, tls_resumed = 0, tls_failed = 0;
    uint64_t bytes_to_server = 0, bytes_to_client = 0;  // of bodies and tunnels
    StatusTotals unrouted{};                            // requests that no route was found for
  };
  struct Route {
    std::string host, name;
    StatusTotals requests{};
    uint64_t tunnels_begun = 0, tunnels = 0;            // in all; now
    uint64_t bytes_to_server = 0, bytes_to_client = 0;  // of bodies and tunnels
  };
  struct Server {
    std::string upstream, name;
    bool up = true;                      // for every worker
    uint64_t draining = 0;               // workers that give it nothing new, as the operator wants
    uint64_t left_alone = 0;             // workers that leave it alone after failures
    uint64_t connections = 0, kept = 0;  // now: in use, and waiting for a request
    uint64_t picked = 0, failed = 0, requests = 0;  // in all
    std::optional<api::BridgeHealth> health;        // none: not checked
  };
  uint64_t workers = 0;  // 0: no TCP edge
  std::vector<Listener> listeners;
  std::vector<Route> routes;
  std::vector<Server> servers;
};

}  // namespace bridgehead::proxy
