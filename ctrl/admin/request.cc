#include "ctrl/admin/request.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace bridgehead::admin {
namespace {

constexpr bool IsVisible(char c) {
  return c > ' ' && c < 0x7f;
}

bool IsHttp1(std::string_view version) {
  constexpr std::string_view kName = "HTTP/1.";
  return version.size() == kName.size() + 1 && version.starts_with(kName) &&
         version.back() >= '0' && version.back() <= '9';
}

// RFC 9112 section 3.2: in origin form the target begins with the path, in absolute form, which a
// server has to take, with scheme and authority. Neither has a meaning for what is served here.
std::string_view PathOf(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  std::string_view path = target.substr(0, target.find('?'));
  const bool absolute =
      path.size() > kScheme.size() &&
      absl::EqualsIgnoreCase({path.data(), kScheme.size()}, {kScheme.data(), kScheme.size()});
  if (!absolute) return path;
  const size_t slash = path.find('/', kScheme.size());
  return slash == std::string_view::npos ? std::string_view("/") : path.substr(slash);
}

}  // namespace

std::optional<RequestLine> ParseRequestLine(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == last || !IsHttp1(line.substr(last + 1))) return std::nullopt;
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  for (const std::string_view part : {method, target}) {
    if (part.empty() || !std::all_of(part.begin(), part.end(), IsVisible)) return std::nullopt;
  }
  return RequestLine{method, PathOf(target)};
}

}  // namespace bridgehead::admin
