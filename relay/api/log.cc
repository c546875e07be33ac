#include "relay/api/log.h"

#include <utility>

#include "spdlog/sinks/stdout_color_sinks.h"
#include "spdlog/spdlog.h"

namespace bridgehead::log {
namespace {

constexpr std::pair<const char*, Level> kLevels[] = {{"debug", Level::kDebug},
                                                     {"info", Level::kInfo},
                                                     {"warning", Level::kWarning},
                                                     {"error", Level::kError}};

spdlog::level::level_enum Translate(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

bool ParseLevel(const std::string& text, Level& level) {
  for (const auto& [name, value] : kLevels) {
    if (text != name) continue;
    level = value;
    return true;
  }
  return false;
}

void Start(const std::string& process, Level least) {
  auto logger = spdlog::stderr_color_mt(process);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ " + process + ": %v");
  logger->set_level(Translate(least));
  spdlog::set_default_logger(std::move(logger));
}

void Write(Level level, fmt::string_view format, fmt::format_args arguments) {
  spdlog::level::level_enum to = Translate(level);
  if (!spdlog::should_log(to)) return;
  spdlog::log(to, spdlog::string_view_t(fmt::vformat(format, arguments)));
}

}  // namespace bridgehead::log
