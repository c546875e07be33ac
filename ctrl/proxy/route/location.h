// Location and Content-Location of responses, as the client has to see them.
//
// An upstream redirects to the paths and names that it knows itself by. When the route rewrites
// paths, or the upstream is called by another name, those have to be mapped back. What leads to
// another host is left alone, and so is what can not be mapped: a path outside of the rewrite.
//
// Refresh fields and the Path of cookies are not touched: the former have no grammar to go by, and
// cookies of one upstream may be meant for another route (nginx leaves both alone as well).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ctrl/proxy/route/route_table.h"

namespace bridgehead::proxy {

struct LocationContext {
  std::string_view scheme;           // of the client's request: "https" or "http"
  std::string_view host;             // its Host field
  std::string_view upstream_scheme;  // of the request made to the upstream
  std::string_view upstream_host;    // its Host field
  std::string_view server;           // where it was sent: ADDRESS:PORT
};

// The field's new value; nothing: stays as it is. `value`: URI reference (RFC 9110 section 10.2.2).
std::optional<std::string> MapLocation(const RouteTable& table, uint32_t route,
                                       std::string_view value, const LocationContext& context);

}  // namespace bridgehead::proxy
