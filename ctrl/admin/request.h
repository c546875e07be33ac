// The request line of HTTP/1 (RFC 9112 section 3), which is all that the admin server needs to know
// of a request. Of the same text the same result: no I/O.
#pragma once

#include <optional>
#include <string_view>

namespace bridgehead::admin {

// Both point into the line, but for the path of a target in absolute form that has none: "/".
struct RequestLine {
  std::string_view method;
  std::string_view path;  // without scheme, authority and query
};

// `line` without its line end. nullopt: it is not a method, a target and HTTP/1.x with one space in
// between, or holds bytes that none of them may (RFC 9110 section 5.6.2, RFC 3986 section 2).
std::optional<RequestLine> ParseRequestLine(std::string_view line);

}  // namespace bridgehead::admin
