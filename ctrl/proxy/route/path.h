// What a request's path has to be like before anything is decided by it, and its one canonical
// form.
//
// A proxy and its upstream must mean the same by a path, or what is guarded here is open there. So
// a path that two programs may read differently is refused, not mended: dot segments, slashes and
// backslashes in disguise, control bytes, broken escapes, and bytes that are not UTF-8. What is
// left has one canonical form (RFC 3986 section 6.2.2), and that is both matched and sent on:
//  - escapes of unreserved characters are decoded ("%7E" is "~"), the others' digits upper case;
//  - runs of slashes are one slash. Upstreams differ in whether "//admin" is "/admin"; merged, both
//    sides see the same, and links with a slash too many go on working as they do with nginx.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bridgehead::proxy {

inline constexpr size_t kMaxPathBytes = 8192;

enum class PathError : uint8_t {
  kNone,
  kNotAbsolute,   // no "/" at its begin
  kTooLong,       // over kMaxPathBytes
  kControl,       // control byte or space, or the escape of a control byte ("%00")
  kNotInPath,     // a byte that RFC 3986 does not let into any path: "?", "#", or not ASCII
  kBackslash,     // also as "%5c"
  kBadEscape,     // "%" without two hexadecimal digits
  kEscapedSlash,  // "%2f"
  kDotSegment,    // "." or "..", also escaped or with parameters ("..;a")
  kNotUtf8,       // escaped bytes that are not UTF-8: overlong forms, surrogates, cut sequences
};
// As logs and metrics call it: "escaped_slash".
std::string_view Name(PathError error);
// The answer's status: 414 when too long, else 400. Not of kNone.
int StatusOf(PathError error);

struct CheckedPath {
  PathError error = PathError::kNone;
  std::string_view path;  // canonical, in the input or in `scratch`; empty with an error
};
// `raw`: the target up to its "?". `scratch` is used when the canonical form is another one; its
// memory is worth keeping. Time: linear.
CheckedPath CheckPath(std::string_view raw, std::string& scratch);

// Of RFC 3986 section 2.3: letters, digits, "-", ".", "_" and "~".
bool IsUnreserved(uint8_t byte);
// The byte of the escape ("%2F") that `rest` begins with; -1: it begins with none.
int EscapedByte(std::string_view rest);
// Of a target's part behind its "?": visible ASCII without "#" (RFC 3986 section 3.4).
bool IsQuery(std::string_view query);

}  // namespace bridgehead::proxy
