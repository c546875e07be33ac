#include "relay/nat_key.h"

#include <cstring>

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include "fmt/format.h"
#include "relay/api/log.h"

namespace bridgehead {

absl::StatusOr<HashKey> RandomKey() {
  HashKey key;
  if (getrandom(&key, sizeof(key), 0) == sizeof(key)) return key;
  return absl::UnavailableError(fmt::format("no random numbers: {}", strerror(errno)));
}

absl::StatusOr<HashKey> NatKey(const std::string& path) {
  HashKey key;
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd >= 0) {
    bool whole = read(fd, &key, sizeof(key)) == sizeof(key);
    close(fd);
    if (whole) return key;
    log::Warn("{} is damaged: clients get other NAT ports than before the restart", path);
  }
  auto random = RandomKey();
  if (!random.ok()) return random.status();
  key = *random;
  // A new file: a damaged one may have another owner or mode.
  unlink(path.c_str());
  fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  bool written = fd >= 0 && write(fd, &key, sizeof(key)) == sizeof(key);
  if (fd >= 0) close(fd);
  if (!written) {
    return absl::UnavailableError(fmt::format("cannot write {}: {}", path, strerror(errno)));
  }
  return key;
}

}  // namespace bridgehead
