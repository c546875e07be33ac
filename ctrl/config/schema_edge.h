// What the files of the edge's schema share.
#pragma once

#include <string>
#include <vector>

#include "ctrl/config/schema.h"

namespace bridgehead::config {

// The longest that nothing may happen in a tunnel.
inline constexpr uint64_t kMaxTunnelIdle = 30 * 86400;  // seconds

inline uint32_t Number(const Value& value) {
  return static_cast<uint32_t>(std::get<uint64_t>(value));
}
inline const std::string& Text(const Value& value) {
  return std::get<std::string>(value);
}
inline std::chrono::seconds Seconds(const Value& value) {
  return std::get<std::chrono::seconds>(value);
}

// What setters work on.
inline Upstream& LastUpstream(Config& config) {
  return config.edge.upstreams.back();
}
inline Host& LastHost(Config& config) {
  return config.edge.hosts.back();
}
inline Route& LastRoute(Config& config) {
  return LastHost(config).routes.back();
}
inline EdgeListener& LastEdgeListener(Config& config) {
  return config.edge.listeners.back();
}

std::vector<Key> EdgeUpstreamKeys();
std::vector<Key> EdgeHostKeys();
std::vector<Key> EdgeRouteKeys();  // within those of hosts
std::vector<Key> EdgeListenerKeys();

}  // namespace bridgehead::config
