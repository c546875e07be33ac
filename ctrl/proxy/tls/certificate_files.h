// Certificates, keys and OCSP responses from files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <time.h>

#include "absl/status/statusor.h"
#include "ctrl/config/edge.h"
#include "ctrl/proxy/tls/openssl.h"

namespace bridgehead::proxy {

struct LoadedCertificate {
  X509Ptr leaf;
  std::vector<X509Ptr> chain;  // what the file has after the leaf
  PrivateKeyPtr key;
  // The DNS names it is for, in lower case, wildcards as they stand (RFC 6125 section 6.4).
  std::vector<std::string> names;
  std::vector<uint8_t> ocsp;          // DER; empty: none
  time_t ocsp_ends = 0;               // when it must no longer be stapled
  std::vector<std::string> warnings;  // what will be wrong soon, or is not used: a line each
};

// Error: InvalidArgument naming the file and what is wrong: not readable, no certificate or key in
// it, the key belongs to another one, no name in it, not valid yet or no longer.
absl::StatusOr<LoadedCertificate> LoadCertificate(const config::Certificate& files);

}  // namespace bridgehead::proxy
