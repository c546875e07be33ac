// Arguments that a route's rewrite sets in the query: "prefix=\1" of /http-bind?prefix=\1, by which
// a tenant's path becomes an argument.
//
// They stand behind the client's own query, which keeps its begin (Jitsi's bridges look for `pwd=`
// there). What the client itself says of the same names is left out: an upstream that takes the
// first of two would believe the client.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bridgehead::proxy {

class QueryRewrite {
 public:
  // `text`: name=value pairs with "&" between; \1 to \9 in a value are captures. Error: another
  // form.
  static absl::StatusOr<QueryRewrite> Parse(std::string_view text);

  // Appends "?" and the query for the upstream. `query`: the client's, without "?", may be empty.
  // `captures`: [N] is \N, pieces of a canonical path; what could end a value is escaped.
  void Append(std::string_view query, std::span<const std::string_view> captures,
              std::string& target) const;

 private:
  struct Argument {
    std::string name, value;
  };

  bool Sets(std::string_view argument) const;

  std::vector<Argument> arguments_;
};

}  // namespace bridgehead::proxy
