// Names and hashes of an htpasswd file, read once for each configuration.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

namespace bridgehead::proxy {

inline constexpr size_t kMaxPasswordFileBytes = 1 << 20;
inline constexpr size_t kMaxPasswordEntries = 10'000;
inline constexpr size_t kMaxUserBytes = 128;
// What a check may cost: about a second each.
inline constexpr unsigned kMaxBcryptCost = 14;
inline constexpr unsigned kMaxShaRounds = 2'000'000;

class PasswordFile {
 public:
  // Lines NAME:HASH; empty ones and those that begin with "#" are skipped. Hashes are those of
  // crypt(5) that are still good: bcrypt ($2a$, $2b$, $2y$), SHA-256 ($5$), SHA-512 ($6$) and
  // yescrypt ($y$). Error, with `name` and the line: another one (Apache's {SHA} and $apr1$, MD5,
  // DES, cleartext), one that costs too much, a name twice, or over a limit.
  static absl::StatusOr<std::shared_ptr<const PasswordFile>> Parse(std::string_view text,
                                                                   std::string_view name);
  // Error: it can not be read, or as of Parse.
  static absl::StatusOr<std::shared_ptr<const PasswordFile>> Load(const std::string& path);

  // Takes as long as the hash is meant to take, for unknown users too (by the first user's hash),
  // so that time does not tell names. From any thread.
  bool Verify(std::string_view user, const std::string& password) const;

 private:
  absl::flat_hash_map<std::string, std::string> hashes_;
  std::string decoy_;  // the first one; empty: there is none
};

}  // namespace bridgehead::proxy
