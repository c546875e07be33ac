#include "ctrl/proxy/route/origin.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "ctrl/proxy/route/host_table.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

constexpr std::pair<std::string_view, std::string_view> kOwnPorts[] = {
    {"https://", ":443"}, {"http://", ":80"}, {"wss://", ":443"}, {"ws://", ":80"}};
constexpr size_t kMaxSchemeBytes = 32;
constexpr size_t kMaxPortBytes = 6;
using OriginBuffer = std::array<char, kMaxSchemeBytes + kMaxHostBytes + kMaxPortBytes>;

bool IsSchemeByte(unsigned char c) {  // RFC 3986 section 3.1
  return absl::ascii_isalnum(c) || c == '+' || c == '-' || c == '.';
}

// In `buffer`. Nothing: not scheme://host[:port].
std::optional<std::string_view> Normalize(std::string_view origin, OriginBuffer& buffer) {
  const size_t colon = origin.find("://");
  if (colon == origin.npos || colon == 0 || colon + 3 > kMaxSchemeBytes) return std::nullopt;
  const std::string_view scheme = origin.substr(0, colon);
  if (!std::all_of(scheme.begin(), scheme.end(), IsSchemeByte)) return std::nullopt;
  const std::string_view authority = origin.substr(colon + 3);
  HostBuffer host_buffer;
  const auto host = NormalizeHost(authority, host_buffer);
  if (!host || authority.ends_with(':')) return std::nullopt;
  auto* end = std::transform(origin.begin(), origin.begin() + colon + 3, buffer.begin(),
                             absl::ascii_tolower);
  const std::string_view with_slashes(buffer.data(), colon + 3);
  end = std::copy(host->begin(), host->end(), end);
  // NormalizeHost has seen that what is behind the last colon, outside of brackets, is a port.
  const size_t at = authority.rfind(':');
  if (at != authority.npos && authority.find(']', at) == authority.npos) {
    const std::string_view port = authority.substr(at);
    const bool own =
        std::any_of(std::begin(kOwnPorts), std::end(kOwnPorts), [&](const auto& scheme_and_port) {
          return scheme_and_port.first == with_slashes && scheme_and_port.second == port;
        });
    if (!own) end = std::copy(port.begin(), port.end(), end);
  }
  return std::string_view(buffer.data(), static_cast<size_t>(end - buffer.data()));
}

}  // namespace

absl::StatusOr<OriginList> OriginList::Build(std::span<const std::string> origins) {
  OriginList list;
  for (const std::string& origin : origins) {
    OriginBuffer buffer;
    const auto normal = Normalize(origin, buffer);
    if (!normal) {
      return absl::InvalidArgumentError(
          fmt::format("origin {}: expected SCHEME://HOST or SCHEME://HOST:PORT", origin));
    }
    list.origins_.emplace(*normal);
  }
  return list;
}

bool OriginList::Allows(std::span<const std::string_view> origins) const {
  if (origins_.empty()) return true;
  if (origins.size() != 1) return false;
  OriginBuffer buffer;
  const auto normal = Normalize(origins.front(), buffer);
  return normal && origins_.contains(absl::string_view(normal->data(), normal->size()));
}

}  // namespace bridgehead::proxy
