#include "ctrl/admin/run_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmt/format.h"

namespace bridgehead::admin {

absl::StatusOr<std::unique_ptr<RunDir>> RunDir::Take(const std::string& path) {
  if (mkdir(path.c_str(), 0770) != 0 && errno != EEXIST) {
    return absl::UnavailableError(
        fmt::format("--run-dir: {}: cannot be made ({}); make it, writable for this user", path,
                    strerror(errno)));
  }
  std::string file = path + "/ctrl.lock";
  int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) {
    return absl::PermissionDeniedError(fmt::format(
        "--run-dir: {}: {}; the directory has to be writable for this user or its group", file,
        strerror(errno)));
  }
  auto taken = std::unique_ptr<RunDir>(new RunDir(fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return absl::AlreadyExistsError(fmt::format(
        "--run-dir: another bridgehead-ctrl uses {}; stop it or choose another directory", path));
  }
  return taken;
}

// The file stays: were it removed, two processes could each lock one of their own.
RunDir::~RunDir() {
  close(fd_);
}

}  // namespace bridgehead::admin
