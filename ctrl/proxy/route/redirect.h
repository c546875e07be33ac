// The Location of a route's redirect.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "ctrl/proxy/route/template.h"

namespace bridgehead::proxy {

class RedirectTarget {
 public:
  // `to`: RedirectAction::to. Error: an unknown variable.
  static absl::StatusOr<RedirectTarget> Build(std::string_view to);

  // `host`: as NormalizeHost gives it. `path`: canonical. `query`: without "?", as IsQuery takes
  // it; $query is empty when it is, and has its "?" when it is not, so that "$path$query" is the
  // target again.
  std::string Make(std::string_view host, std::string_view path, std::string_view query) const;

 private:
  explicit RedirectTarget(Template to) : to_(std::move(to)) {}
  Template to_;
};

}  // namespace bridgehead::proxy
