#include "ctrl/admin/request.h"

#include <algorithm>

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
  return RequestLine{method, target.substr(0, target.find('?'))};
}

}  // namespace bridgehead::admin
