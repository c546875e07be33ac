// The right to be the one bridgehead-ctrl of a RUN_DIR: a locked file there, free again the moment
// its process ends, however it ends.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace bridgehead::admin {

class RunDir {
 public:
  // Makes the directory if it is missing. Error: it can not be used, or another ctrl has it.
  static absl::StatusOr<std::unique_ptr<RunDir>> Take(const std::string& path);
  ~RunDir();
  RunDir(const RunDir&) = delete;
  RunDir& operator=(const RunDir&) = delete;

 private:
  explicit RunDir(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace bridgehead::admin
