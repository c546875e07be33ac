#include "relay/port/interface_lock.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bridgehead::port {
namespace {

std::string ReadHolder(int fd) {
  char text[32] = {};
  const ssize_t bytes = pread(fd, text, sizeof(text) - 1, 0);
  return bytes > 0 ? std::string(text, static_cast<size_t>(bytes)) : "unknown";
}

// The holder removes the file before it lets go of it: then the one that was locked is not the one
// that the next relay will open.
bool IsStillThere(const std::string& path, int fd) {
  struct stat mine, current;
  return fstat(fd, &mine) == 0 && stat(path.c_str(), &current) == 0 &&
         mine.st_ino == current.st_ino && mine.st_dev == current.st_dev;
}

// /run/lock is open to everybody: in a directory of ours nobody else can take the lock first.
absl::Status MakeOwnDirectory(const std::string& directory) {
  struct stat found;
  if ((mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) ||
      lstat(directory.c_str(), &found) != 0) {
    return absl::PermissionDeniedError(
        fmt::format("can not make {}: {}", directory, std::strerror(errno)));
  }
  if (!S_ISDIR(found.st_mode) || found.st_uid != geteuid()) {
    return absl::PermissionDeniedError(
        fmt::format("{} is not a directory of this user; remove it", directory));
  }
  return absl::OkStatus();
}

absl::StatusOr<ino_t> NetworkNamespace() {
  struct stat netns;
  if (stat("/proc/thread-self/ns/net", &netns) != 0) {
    return absl::InternalError(
        fmt::format("reading the network namespace: {}", std::strerror(errno)));
  }
  return netns.st_ino;
}

}  // namespace

absl::StatusOr<InterfaceLock> InterfaceLock::Take(unsigned ifindex, const std::string& directory) {
  const absl::StatusOr<ino_t> netns = NetworkNamespace();
  if (!netns.ok()) {
    return netns.status();
  }
  if (absl::Status status = MakeOwnDirectory(directory); !status.ok()) {
    return status;
  }
  const std::string path = fmt::format("{}/{}-{}.lock", directory, *netns, ifindex);
  for (int attempt = 0; attempt < 100; ++attempt) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
      return absl::PermissionDeniedError(
          fmt::format("can not open lock file {}: {}", path, std::strerror(errno)));
    }
    InterfaceLock lock(path, -1);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      const std::string holder = ReadHolder(fd);
      close(fd);
      if (error != EWOULDBLOCK) {
        return absl::InternalError(fmt::format("locking {}: {}", path, std::strerror(error)));
      }
      return absl::AlreadyExistsError(holder);
    }
    if (!IsStillThere(path, fd)) {
      close(fd);
      continue;
    }
    const std::string pid = std::to_string(getpid());
    if (ftruncate(fd, 0) != 0 ||
        pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
      const int error = errno;
      close(fd);
      return absl::InternalError(fmt::format("writing {}: {}", path, std::strerror(error)));
    }
    lock.fd_ = fd;
    return lock;
  }
  return absl::UnavailableError(fmt::format("lock file {} keeps changing hands", path));
}

std::vector<unsigned> InterfaceLock::Interfaces(const std::string& directory) {
  std::vector<unsigned> interfaces;
  const absl::StatusOr<ino_t> netns = NetworkNamespace();
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    unsigned long inode = 0;
    unsigned ifindex = 0;
    const std::string name = at->path().filename();
    if (std::sscanf(name.c_str(), "%lu-%u.lock", &inode, &ifindex) == 2 && netns.ok() &&
        inode == *netns) {
      interfaces.push_back(ifindex);
    }
  }
  std::sort(interfaces.begin(), interfaces.end());
  return interfaces;
}

InterfaceLock::InterfaceLock(InterfaceLock&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

InterfaceLock& InterfaceLock::operator=(InterfaceLock&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

InterfaceLock::~InterfaceLock() {
  if (fd_ >= 0) {
    unlink(path_.c_str());
    close(fd_);
  }
}

}  // namespace bridgehead::port
