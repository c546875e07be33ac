// What may get into a log of what strangers send: no secrets, no control bytes, no end of the line,
// and not more than a line can take.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bridgehead::proxy {

inline constexpr size_t kMaxLoggedBytes = 2048;  // of one field, as it is written

// Appends `text` so that it can stand between quotes on one line: control bytes, quotes,
// backslashes and what is not ASCII become \xHH. What is over `limit` bytes is cut, and ends with
// "...".
void AppendEscaped(std::string& out, std::string_view text, size_t limit = kMaxLoggedBytes);

// As AppendEscaped, with the values of parameters replaced by "***" whose names end with pwd,
// password, passwd, jwt, token or secret, in any case: "?room=a&jwt=***". Parameters are looked for
// behind each "?", "&", ";" and "#" of the text, be it a path with its query or a whole URL
// (Referer), and behind their percent-encoded forms too, however often they are encoded: the query
// of a URL in a query. In doubt too much is replaced. Time: linear.
void AppendRedacted(std::string& out, std::string_view text, size_t limit = kMaxLoggedBytes);

}  // namespace bridgehead::proxy
