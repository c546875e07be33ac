// Which pages may open a WebSocket: browsers do not keep other sites' pages from it, they only say
// whose page asks (RFC 6455 section 10.2).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"

namespace bridgehead::proxy {

class OriginList {
 public:
  // Error: not an origin as RFC 6454 section 6.2 writes it, "https://meet.example.org:8443". Scheme
  // and host in any case; a scheme's own port may be there.
  static absl::StatusOr<OriginList> Build(std::span<const std::string> origins);

  // `origins`: the values of all Origin fields of the request. With an empty list all is allowed.
  // Else there has to be one, of one origin that is listed: none, several, and "null" (a page of a
  // file, or in a sandbox) are not.
  bool Allows(std::span<const std::string_view> origins) const;

 private:
  absl::flat_hash_set<std::string> origins_;  // lower case, without a scheme's own port
};

}  // namespace bridgehead::proxy
