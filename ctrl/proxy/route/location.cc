#include "ctrl/proxy/route/location.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "ctrl/proxy/route/path.h"

namespace bridgehead::proxy {
namespace {

bool SameText(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase({a.data(), a.size()}, {b.data(), b.size()});
}

// "example.org:443" of https is "example.org".
std::string_view WithoutDefaultPort(std::string_view authority, std::string_view scheme) {
  const std::string_view port = SameText(scheme, "https") ? ":443" : ":80";
  if (authority.ends_with(port)) authority.remove_suffix(port.size());
  return authority;
}

bool SameAuthority(std::string_view a, std::string_view b, std::string_view scheme) {
  return !b.empty() && SameText(WithoutDefaultPort(a, scheme), WithoutDefaultPort(b, scheme));
}

struct Absolute {
  std::string_view scheme, authority, path;  // the path with its query
};

// Of "https://host/path" and "//host/path".
std::optional<Absolute> SplitAbsolute(std::string_view value, std::string_view default_scheme) {
  Absolute parts;
  parts.scheme = default_scheme;
  if (!value.starts_with("//")) {
    const size_t end = value.find("://");
    if (end == value.npos) return std::nullopt;
    parts.scheme = value.substr(0, end);
    if (!SameText(parts.scheme, "http") && !SameText(parts.scheme, "https")) return std::nullopt;
    value.remove_prefix(end + 1);
  }
  value.remove_prefix(2);
  const size_t end = std::min(value.find_first_of("/?#"), value.size());
  parts.authority = value.substr(0, end);
  parts.path = value.substr(end);
  return parts;
}

}  // namespace

std::optional<std::string> MapLocation(const RouteTable& table, uint32_t route,
                                       std::string_view value, const LocationContext& context) {
  if (value.size() > kMaxPathBytes) return std::nullopt;
  if (value.starts_with('/') && !value.starts_with("//")) return table.Unrewrite(route, value);
  const auto parts = SplitAbsolute(value, context.upstream_scheme);
  if (!parts) return std::nullopt;
  const bool ours = SameAuthority(parts->authority, context.host, parts->scheme);
  const bool upstreams = SameAuthority(parts->authority, context.upstream_host, parts->scheme) ||
                         SameAuthority(parts->authority, context.server, parts->scheme);
  if (!ours && !upstreams) return std::nullopt;
  // An upstream that speaks of itself by the scheme it is reached by does not know about TLS in
  // front of it; one that names another scheme does.
  const bool own_scheme = !ours || SameText(parts->scheme, context.upstream_scheme);
  std::string mapped(own_scheme ? context.scheme : parts->scheme);
  mapped += "://";
  mapped += context.host;
  const auto path = table.Unrewrite(route, parts->path);
  mapped += path ? std::string_view(*path) : parts->path;
  if (mapped == value) return std::nullopt;
  return mapped;
}

}  // namespace bridgehead::proxy
