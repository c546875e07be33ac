// The log of both processes: one line a message, on stderr, with time and level.
//
// spdlog does the work, behind this door: its header would otherwise compile fmt's formatter again
// in every file that logs.
#pragma once

#include <string>

#include "fmt/core.h"

namespace bridgehead::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// The level an option names: debug, info, warning or error. False for any other text.
bool ParseLevel(const std::string& text, Level& level);

// Starts the log of `process`, which is the word between level and message. Without it, messages go
// to spdlog's own default (tests).
void Start(const std::string& process, Level least);

void Write(Level level, fmt::string_view format, fmt::format_args arguments);

template <typename... Args>
void Debug(fmt::format_string<Args...> format, Args&&... args) {
  Write(Level::kDebug, format, fmt::make_format_args(args...));
}
template <typename... Args>
void Info(fmt::format_string<Args...> format, Args&&... args) {
  Write(Level::kInfo, format, fmt::make_format_args(args...));
}
template <typename... Args>
void Warn(fmt::format_string<Args...> format, Args&&... args) {
  Write(Level::kWarning, format, fmt::make_format_args(args...));
}
template <typename... Args>
void Error(fmt::format_string<Args...> format, Args&&... args) {
  Write(Level::kError, format, fmt::make_format_args(args...));
}

}  // namespace bridgehead::log
