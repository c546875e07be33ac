// From the name a request is for to the host that serves it.
//
// An exact name wins, then the longest wildcard, then "*". "*.example.org" stands for one label or
// more, as in nginx: it matches a.example.org and a.b.example.org, not example.org. Names are
// compared without regard to case, port and one trailing dot.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"

namespace bridgehead::proxy {

inline constexpr size_t kMaxHostBytes = 253;  // RFC 1035 section 2.3.4, as text

using HostBuffer = std::array<char, kMaxHostBytes + 1>;

// The host of a Host field or of an authority: lower case, without port and trailing dot; of IPv6
// the form of RFC 5952 in brackets. In `buffer`. Nothing: it is no host name of letters, digits,
// "-" and "_" in labels of 1..63 bytes, no address, or what follows is no port (RFC 9110 section
// 7.2 wants 400 then).
std::optional<std::string_view> NormalizeHost(std::string_view field, HostBuffer& buffer);

class HostTable {
 public:
  // `name`: "meet.example.org", "*.example.org", an address, or "*". Error: it is none of these, or
  // there already.
  absl::Status Add(std::string_view name, uint32_t host);

  // What was added for the name; `host` is a name as NormalizeHost gives it, or an address of any
  // form in brackets. No allocation; one lookup for the
  // name and at most one for each label of the longest wildcard.
  std::optional<uint32_t> Find(std::string_view host) const;

 private:
  using Names = absl::flat_hash_map<std::string, uint32_t>;
  Names exact_;
  Names wildcards_;         // without their "*."
  size_t most_labels_ = 0;  // of wildcards_
  std::optional<uint32_t> any_;
};

}  // namespace bridgehead::proxy
