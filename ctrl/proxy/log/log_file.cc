#include "ctrl/proxy/log/log_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "fmt/format.h"
#include "relay/api/log.h"

namespace bridgehead::proxy {
namespace {

int OpenForAppending(const std::string& path) {
  return open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

}  // namespace

absl::StatusOr<std::unique_ptr<LogFile>> LogFile::Open(const std::string& path) {
  const int fd = OpenForAppending(path);
  if (fd < 0) {
    return absl::InvalidArgumentError(
        fmt::format("{}: cannot be opened for appending: {}", path, strerror(errno)));
  }
  return std::unique_ptr<LogFile>(new LogFile(path, fd));
}

LogFile::LogFile(std::string path, int fd)
    : path_(std::move(path)), fd_(fd), thread_([this] { Main(); }) {}

LogFile::~LogFile() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    end_ = true;
  }
  wake_.notify_one();
  thread_.join();
  close(fd_);
}

void LogFile::Append(std::string_view lines) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (pending_.size() + lines.size() > kMaxPending) {
    dropped_ += static_cast<uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
    return;
  }
  if (dropped_ > told_) {
    pending_ += fmt::format("event=log_overflow lines={}\n", dropped_ - told_);
    told_ = dropped_;
  }
  pending_ += lines;
  wake_.notify_one();
}

void LogFile::Reopen() {
  std::lock_guard<std::mutex> lock(mutex_);
  reopen_ = true;
  wake_.notify_one();
}

void LogFile::Flush() {
  std::unique_lock<std::mutex> lock(mutex_);
  written_.wait(lock, [this] { return pending_.empty() && !writing_ && !reopen_; });
}

uint64_t LogFile::dropped() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return dropped_;
}

void LogFile::Main() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return !pending_.empty() || reopen_ || end_; });
    if (pending_.empty() && !reopen_) return;
    const std::string lines = std::exchange(pending_, {});
    const bool reopen = std::exchange(reopen_, false);
    writing_ = true;
    lock.unlock();
    WriteOut(lines);
    if (reopen) {
      const int fd = OpenForAppending(path_);
      if (fd >= 0) {
        close(std::exchange(fd_, fd));
      } else {
        log::Error("{}: cannot be opened anew: {}; the old file is kept", path_, strerror(errno));
      }
    }
    lock.lock();
    writing_ = false;
    written_.notify_all();
  }
}

void LogFile::WriteOut(const std::string& lines) {
  for (size_t at = 0; at < lines.size();) {
    const ssize_t wrote = write(fd_, lines.data() + at, lines.size() - at);
    if (wrote > 0) {
      at += static_cast<size_t>(wrote);
    } else if (errno != EINTR) {
      const auto rest = lines.begin() + static_cast<ptrdiff_t>(at);
      const auto lost = static_cast<uint64_t>(std::count(rest, lines.end(), '\n'));
      std::lock_guard<std::mutex> lock(mutex_);
      if (dropped_ == told_) log::Error("{}: cannot be written: {}", path_, strerror(errno));
      dropped_ += lost;
      return;
    }
  }
}

}  // namespace bridgehead::proxy
