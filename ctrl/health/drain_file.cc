#include "ctrl/health/drain_file.h"

#include <cstring>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/str_split.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::health {
namespace {

constexpr std::string_view kHead = "bridgehead drained 1";  // the file's first line
constexpr size_t kMaxBytes = 128 * 1024;                    // more than any configuration has names

absl::Status Failed(const std::string& path, const char* what) {
  return absl::UnavailableError(fmt::format("{}: cannot {}: {}", path, what, strerror(errno)));
}

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = write(fd, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    text.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

}  // namespace

absl::StatusOr<std::set<std::string>> ReadDrainFile(const std::string& path) {
  std::set<std::string> names;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return names;
  if (fd < 0) return Failed(path, "open");
  std::string text(kMaxBytes, '\0');
  const ssize_t size = read(fd, text.data(), text.size());
  const int error = errno;
  close(fd);
  errno = error;
  if (size < 0) return Failed(path, "read");
  text.resize(static_cast<size_t>(size));
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  // The newline at the end makes an empty last line: without it the file was cut off.
  if (lines.front() != kHead || !lines.back().empty()) {
    return absl::DataLossError(fmt::format("{}: not a list of what is drained", path));
  }
  names.insert(lines.begin() + 1, lines.end() - 1);
  return names;
}

absl::Status WriteDrainFile(const std::string& path, const std::set<std::string>& names) {
  const std::string text =
      fmt::format("{}\n{}{}", kHead, fmt::join(names, "\n"), names.empty() ? "" : "\n");
  const std::string next = path + ".new";
  unlink(next.c_str());
  const int fd = open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return Failed(next, "make");
  const bool written = WriteAll(fd, text) && fsync(fd) == 0;
  const int error = errno;
  close(fd);
  errno = error;
  if (!written) return Failed(next, "write");
  if (rename(next.c_str(), path.c_str()) != 0) return Failed(path, "replace");
  return absl::OkStatus();
}

}  // namespace bridgehead::health
