// One line's worth of what happened: a request, a tunnel's begin or end, or a connection that
// failed before it was either.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "ctrl/config/edge.h"
#include "ctrl/proxy/net/socket_address.h"

namespace bridgehead::proxy {

class LogFile;

enum class LogEvent : uint8_t { kRequest, kTunnelBegin, kTunnelEnd, kConnection };

struct AccessRecord {
  LogEvent event = LogEvent::kRequest;
  std::chrono::system_clock::time_point time{};  // when it began
  std::chrono::microseconds duration{0};
  std::string listener;
  SocketAddress client;
  std::string host, method, path;        // as they came; the path with its query
  std::string protocol;                  // "HTTP/1.1", "HTTP/2", "TCP"
  uint16_t status = 0;                   // 0: no answer
  uint64_t bytes_in = 0, bytes_out = 0;  // of bodies, or of the tunnel
  std::string upstream, server, route;
  std::string referer, user_agent, user;
  std::string tls, sni;
  std::string error;              // why it did not go well
  std::shared_ptr<LogFile> file;  // null: not logged
};

}  // namespace bridgehead::proxy
