#include "ctrl/proxy/route/host_table.h"

#include <algorithm>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "absl/strings/ascii.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

constexpr size_t kMaxLabelBytes = 63;

// RFC 3986 section 3.2.3, and a number that is a port.
bool IsPort(std::string_view digits) {
  if (digits.size() > 5 || !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit)) {
    return false;
  }
  uint32_t port = 0;
  for (const char digit : digits) port = port * 10 + static_cast<uint32_t>(digit - '0');
  return port <= 65535;
}

bool IsName(std::string_view name) {
  size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') return false;
    if (++label > kMaxLabelBytes) return false;
  }
  return label > 0;
}

std::optional<std::string_view> NormalizeV6(std::string_view inside, HostBuffer& buffer) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (inside.size() >= text.size()) return std::nullopt;
  std::copy(inside.begin(), inside.end(), text.begin());
  in6_addr address;
  // A NUL within `inside` would hide what follows it.
  if (inside.find('\0') != inside.npos || inet_pton(AF_INET6, text.data(), &address) != 1 ||
      inet_ntop(AF_INET6, &address, &buffer[1], buffer.size() - 2) == nullptr) {
    return std::nullopt;
  }
  buffer[0] = '[';
  const size_t end = std::string_view(buffer.data()).size();
  buffer[end] = ']';
  return std::string_view(buffer.data(), end + 1);
}

absl::string_view Key(std::string_view name) {
  return {name.data(), name.size()};
}

}  // namespace

std::optional<std::string_view> NormalizeHost(std::string_view field, HostBuffer& buffer) {
  const bool literal = field.starts_with('[');
  const size_t end = literal ? field.find(']') : std::min(field.find(':'), field.size());
  if (end == field.npos) return std::nullopt;
  const std::string_view rest = field.substr(end + (literal ? 1 : 0));
  if (!rest.empty() && (rest[0] != ':' || !IsPort(rest.substr(1)))) return std::nullopt;
  if (literal) return NormalizeV6(field.substr(1, end - 1), buffer);
  std::string_view name = field.substr(0, end);
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.size() > kMaxHostBytes || !IsName(name)) return std::nullopt;
  std::transform(name.begin(), name.end(), buffer.begin(), absl::ascii_tolower);
  return std::string_view(buffer.data(), name.size());
}

absl::Status HostTable::Add(std::string_view name, uint32_t host) {
  const auto there = [&] {
    return absl::AlreadyExistsError(fmt::format("host name {}: given twice", name));
  };
  if (name == "*") {
    if (any_) return there();
    any_ = host;
    return absl::OkStatus();
  }
  const bool wildcard = name.starts_with("*.");
  const std::string_view base = name.substr(wildcard ? 2 : 0);
  HostBuffer buffer;
  const auto normal = NormalizeHost(base, buffer);
  const bool literal = base.starts_with('[');
  const bool port = literal ? !base.ends_with(']') : base.find(':') != base.npos;
  if (!normal || port || (wildcard && literal)) {
    return absl::InvalidArgumentError(
        fmt::format("host name {}: expected a name, *.NAME, an address or *", name));
  }
  if (!(wildcard ? wildcards_ : exact_).try_emplace(std::string(*normal), host).second) {
    return there();
  }
  if (wildcard) {
    const auto dots = std::count(normal->begin(), normal->end(), '.');
    most_labels_ = std::max(most_labels_, static_cast<size_t>(dots) + 1);
  }
  return absl::OkStatus();
}

std::optional<uint32_t> HostTable::Find(std::string_view host) const {
  // An address of IPv6 has many forms (RFC 5952 section 1); the table has one.
  HostBuffer buffer;
  if (host.starts_with('[')) host = NormalizeHost(host, buffer).value_or(host);
  if (const auto found = exact_.find(Key(host)); found != exact_.end()) return found->second;
  if (!wildcards_.empty() && !host.starts_with('[')) {
    // From the longest that may be there to the shortest. One label at least is the "*".
    size_t labels = static_cast<size_t>(std::count(host.begin(), host.end(), '.'));
    for (std::string_view rest = host; labels > 0; --labels) {
      rest.remove_prefix(rest.find('.') + 1);
      if (labels > most_labels_) continue;
      const auto found = wildcards_.find(Key(rest));
      if (found != wildcards_.end()) return found->second;
    }
  }
  return any_;
}

}  // namespace bridgehead::proxy
