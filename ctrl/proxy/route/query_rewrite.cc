#include "ctrl/proxy/route/query_rewrite.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

#include "ctrl/proxy/route/path.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

// Takes the text up to `separator`, or all of it, and the separator, off `rest`.
std::string_view TakePart(std::string_view& rest, char separator) {
  const size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

bool IsName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(),
                                      [](char c) { return IsUnreserved(static_cast<uint8_t>(c)); });
}

bool IsValue(std::string_view value) {
  for (size_t at = 0; (at = value.find('\\', at)) != value.npos; at += 2) {
    if (at + 1 == value.size() || value[at + 1] < '1' || value[at + 1] > '9') return false;
  }
  return IsQuery(value);
}

// As servers read it (application/x-www-form-urlencoded). Broken escapes stay as they are.
std::string Decoded(std::string_view name) {
  std::string out;
  for (size_t at = 0; at < name.size(); ++at) {
    const int byte = name[at] == '%' ? EscapedByte(name.substr(at)) : -1;
    if (byte >= 0) {
      out.push_back(static_cast<char>(byte));
      at += 2;
    } else {
      out.push_back(name[at] == '+' ? ' ' : name[at]);
    }
  }
  return out;
}

// A piece of a canonical path, in which escapes are whole unless an expression has cut one.
void AppendEscaped(std::string_view capture, std::string& out) {
  for (size_t at = 0; at < capture.size(); ++at) {
    const auto byte = static_cast<uint8_t>(capture[at]);
    if (IsUnreserved(byte) || (byte == '%' && EscapedByte(capture.substr(at)) >= 0)) {
      out.push_back(capture[at]);
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", byte);
    }
  }
}

}  // namespace

absl::StatusOr<QueryRewrite> QueryRewrite::Parse(std::string_view text) {
  QueryRewrite query;
  for (bool more = true; more;) {
    more = text.find('&') != text.npos;
    const std::string_view argument = TakePart(text, '&');
    const size_t equals = argument.find('=');
    if (equals == argument.npos || !IsName(argument.substr(0, equals)) ||
        !IsValue(argument.substr(equals + 1))) {
      return absl::InvalidArgumentError(
          fmt::format("rewrite: got the argument {}, expected name=value", argument));
    }
    query.arguments_.push_back(
        {std::string(argument.substr(0, equals)), std::string(argument.substr(equals + 1))});
  }
  return query;
}

bool QueryRewrite::Sets(std::string_view argument) const {
  const std::string name = Decoded(TakePart(argument, '='));
  return std::any_of(arguments_.begin(), arguments_.end(),
                     [&](const Argument& ours) { return ours.name == name; });
}

void QueryRewrite::Append(std::string_view query, std::span<const std::string_view> captures,
                          std::string& target) const {
  char between = '?';
  while (!query.empty()) {
    const std::string_view argument = TakePart(query, '&');
    if (Sets(argument)) continue;
    target.push_back(std::exchange(between, '&'));
    target.append(argument);
  }
  for (const Argument& argument : arguments_) {
    target.push_back(std::exchange(between, '&'));
    target.append(argument.name).push_back('=');
    for (size_t at = 0; at < argument.value.size(); ++at) {
      if (argument.value[at] == '\\') {
        AppendEscaped(captures[static_cast<size_t>(argument.value[++at] - '0')], target);
      } else {
        target.push_back(argument.value[at]);
      }
    }
  }
}

}  // namespace bridgehead::proxy
