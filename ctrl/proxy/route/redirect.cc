#include "ctrl/proxy/route/redirect.h"

namespace bridgehead::proxy {
namespace {

constexpr std::string_view kVariables[] = {"host", "path", "query"};

}  // namespace

absl::StatusOr<RedirectTarget> RedirectTarget::Build(std::string_view to) {
  auto parsed = Template::Parse(to, kVariables);
  if (!parsed.ok()) return parsed.status();
  return RedirectTarget(*std::move(parsed));
}

std::string RedirectTarget::Make(std::string_view host, std::string_view path,
                                 std::string_view query) const {
  std::string with_mark;
  if (!query.empty()) with_mark.append("?").append(query);
  const std::string_view values[] = {host, path, with_mark};
  std::string target;
  to_.AppendTo(target, [&](size_t variable) { return values[variable]; });
  return target;
}

}  // namespace bridgehead::proxy
