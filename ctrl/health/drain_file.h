// What the operator drains, kept over restarts of ctrl: bridges in RUN_DIR/drained, and servers of
// the TCP edge in a file of the same form, one name a line. Written whole and renamed into place,
// so that it is never half a file.
#pragma once

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bridgehead::health {

inline constexpr char kDrainFileName[] = "drained";

// None when there is no file. Error: it can not be read, or is none of ours.
absl::StatusOr<std::set<std::string>> ReadDrainFile(const std::string& path);
// Error: it can not be written; the old one stays.
absl::Status WriteDrainFile(const std::string& path, const std::set<std::string>& names);

}  // namespace bridgehead::health
