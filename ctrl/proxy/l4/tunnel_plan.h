// What is there of a tunnel when its server has been reached.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "ctrl/proxy/log/access_record.h"
#include "ctrl/proxy/net/stream.h"
#include "ctrl/proxy/stats/counters.h"
#include "ctrl/proxy/upstream/group.h"

namespace bridgehead::proxy {

struct TunnelPlan {
  std::unique_ptr<Stream> server;
  Group::Lease lease;
  std::string early;  // what the server has sent already, for the client
  std::chrono::milliseconds idle_timeout{0};
  std::unique_ptr<AccessRecord> log;     // null: not logged
  std::shared_ptr<RouteCounters> route;  // null: of no route
};

}  // namespace bridgehead::proxy
