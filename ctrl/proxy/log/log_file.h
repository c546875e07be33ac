// A file that several threads append whole lines to, without any of them waiting for the disk: a
// thread of its own writes.
//
// Bounded: what is not written yet holds at most kMaxPending bytes; lines beyond are dropped and
// counted, and the file says so once there is room again.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/statusor.h"

namespace bridgehead::proxy {

class LogFile {
 public:
  static constexpr size_t kMaxPending = 8 * 1024 * 1024;

  // Appends to `path`, which is made with mode 0640 if it is not there. Error: it cannot be opened.
  static absl::StatusOr<std::unique_ptr<LogFile>> Open(const std::string& path);
  // Writes what is left.
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // Whole lines with their ends. From any thread.
  void Append(std::string_view lines);
  // Opens the path anew, after what was appended so far is written: the file has been moved away.
  void Reopen();
  // Returns when everything appended before is in the file.
  void Flush();

  const std::string& path() const { return path_; }
  uint64_t dropped() const;  // lines

 private:
  LogFile(std::string path, int fd);
  void Main();
  void WriteOut(const std::string& lines);

  const std::string path_;
  int fd_;  // of the writing thread
  mutable std::mutex mutex_;
  std::condition_variable wake_, written_;
  // Guarded by mutex_:
  std::string pending_;
  uint64_t dropped_ = 0, told_ = 0;
  bool reopen_ = false, writing_ = false, end_ = false;
  std::thread thread_;
};

}  // namespace bridgehead::proxy
