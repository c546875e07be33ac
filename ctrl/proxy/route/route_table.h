// From a path to one of a host's routes.
//
// An exact path wins, then the longest prefix, then the first regular expression that matches, then
// the prefix "/": it is everybody's default, and in front of the expressions none would ever match.
//
// A prefix ends where a segment does: "/colibri-ws" is for /colibri-ws and /colibri-ws/x, not for
// /colibri-wsx, which nginx would take for it too. With a slash at its end it is only for what is
// below: "/files/" is not for /files. A regular expression is looked for anywhere in the path, as
// nginx and HAProxy do: ^ and $ are up to it. RE2 takes time in proportion to the path's length,
// whatever the expression.
//
// All paths are canonical (path.h), those of the configuration too.
//
// There are servers, of servlets for one, that drop the parameters of segments (";a=b", RFC 3986
// section 3.3) before they look at a path, and others that do not. So a path belongs to a route
// only if it does for both: where "/private" is guarded, "/private;a/x" is not one that "/" may
// pass on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "ctrl/config/edge.h"
#include "ctrl/proxy/route/query_rewrite.h"

namespace re2 {
class RE2;
}

namespace bridgehead::proxy {

inline constexpr size_t kMaxRegexes = 64;  // of one host: each is tried with each path
inline constexpr size_t kMaxRegexBytes = 1024;
inline constexpr size_t kMaxCaptures = 9;  // \1..\9

struct RouteMatch {
  uint32_t route = 0;  // index in Host::routes
  // What the path has behind its match, with the "/" in front of it: "/x" of /colibri-ws/x, both
  // for "/colibri-ws" and for "/colibri-ws/". Empty for kExact, the whole path for kRegex.
  std::string_view rest;
  // Of a regular expression with a rewrite; [0] is what it matched.
  std::array<std::string_view, 1 + kMaxCaptures> captures;
};

class RouteTable {
 public:
  // Error: a path that no request can have, an expression that RE2 does not take or that is over a
  // limit, a rewrite that makes no path, the same path twice.
  static absl::StatusOr<RouteTable> Build(std::span<const config::Route> routes);
  RouteTable(RouteTable&&) noexcept;
  RouteTable& operator=(RouteTable&&) noexcept;
  ~RouteTable();

  // `path`: from CheckPath; the match holds views into it. Does not allocate but within RE2, whose
  // cache of states all threads with the same table share (made for each thread, none waits).
  std::optional<RouteMatch> Find(std::string_view path) const;
  // Whether those who drop parameters find the same route as `found`, or none as well. False (400):
  // nobody knows whose path it is. Allocates only for paths that have some.
  bool IsSameWithoutParameters(std::string_view path, const std::optional<RouteMatch>& found) const;

  // The path for the upstream: of the route's `rewrite` if it has one, else `path`. In `path` or in
  // `out`. Nothing: what the rewrite made of it is no path that a client may send either
  // (400).
  std::optional<std::string_view> Rewrite(const RouteMatch& match, std::string_view path,
                                          std::string& out) const;
  // Appends what stands behind the path for the upstream, with its "?": the client's query, which
  // is nothing if there is no "?", and the arguments that the route's `rewrite` sets.
  void AppendQuery(const RouteMatch& match, std::optional<std::string_view> query,
                   std::string& target) const;
  // Maps an upstream's path back to what a client knows it as: the inverse of Rewrite. Nothing: it
  // is not below the rewrite, or that can not be inverted (expressions). `path` may have a query.
  std::optional<std::string> Unrewrite(uint32_t route, std::string_view path) const;

 private:
  struct Entry {
    config::PathMatch match;
    std::string path;
    std::optional<std::string> rewrite;         // the path of it
    std::optional<QueryRewrite> query_rewrite;  // what it has behind a "?"
    std::unique_ptr<re2::RE2> regex;
  };
  using Paths = absl::flat_hash_map<std::string, uint32_t>;

  RouteTable();
  absl::Status Add(const config::Route& route);
  static absl::Status SplitRewrite(Entry& entry);
  absl::Status AddPath(Entry& entry);
  absl::Status AddRegex(Entry& entry);
  std::optional<RouteMatch> FindPrefix(std::string_view path) const;
  std::optional<RouteMatch> FindRegex(std::string_view path) const;

  std::vector<Entry> entries_;  // as in Host::routes
  Paths exact_;
  Paths prefixes_;                      // all but "/"
  std::vector<size_t> prefix_lengths_;  // in prefixes_, the longest first
  std::vector<uint32_t> regexes_;       // in order
  std::optional<uint32_t> default_;     // the prefix "/"
};

// /colibri-ws/<server-id>/...: ids of 1..64 letters, digits, "_", "." and "-".
inline constexpr size_t kMaxServerIdBytes = 64;
bool IsServerId(std::string_view id);

// Which server a path names. Only those of the configuration: nothing of the path is ever taken for
// an address.
class ServerIds {
 public:
  // Error: an id of another form, or twice.
  static absl::StatusOr<ServerIds> Build(const config::ServerIdAction& action);

  // The index in ServerIdAction::servers. `rest`: of the match, "/jvb1/conference/...". Nothing
  // (404): no id with something behind it, or one that is not listed.
  std::optional<uint32_t> Find(std::string_view rest) const;

 private:
  absl::flat_hash_map<std::string, uint32_t> servers_;
};

}  // namespace bridgehead::proxy
