#include "relay/port/dpdk_log.h"

#include <cstdarg>
#include <cstdio>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rte_log.h>
#include <xdp/libxdp.h>

#include "relay/api/log.h"

namespace bridgehead::port {
namespace {

constexpr size_t kKept = 3;

std::mutex mutex;
std::string partial_line;             // guarded by mutex
std::deque<std::string> error_lines;  // guarded by mutex
std::string kernel_reason;            // guarded by mutex

void TakeLine(std::string line, bool is_error) {
  while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) {
    line.pop_back();
  }
  if (line.empty()) {
    return;
  }
  log::Debug("dpdk: {}", line);
  if (is_error) {
    error_lines.push_back(std::move(line));
    if (error_lines.size() > kKept) {
      error_lines.pop_front();
    }
  }
}

ssize_t WriteDpdk(void*, const char* text, size_t bytes) {
  const bool is_error = rte_log_cur_msg_loglevel() <= static_cast<int>(RTE_LOG_ERR);
  const std::lock_guard lock(mutex);
  partial_line.append(text, bytes);
  for (size_t end; (end = partial_line.find('\n')) != std::string::npos;) {
    TakeLine(partial_line.substr(0, end), is_error);
    partial_line.erase(0, end + 1);
  }
  return static_cast<ssize_t>(bytes);
}

void TakeFormatted(bool is_error, const char* format, va_list args) {
  char line[512];
  std::vsnprintf(line, sizeof(line), format, args);
  std::string text(line);
  const std::lock_guard lock(mutex);
  constexpr std::string_view kKernelSays = "Kernel error message: ";
  if (const size_t at = text.find(kKernelSays); at != std::string::npos) {
    kernel_reason = text.substr(at + kKernelSays.size());
    while (kernel_reason.ends_with('\n')) {
      kernel_reason.pop_back();
    }
  }
  TakeLine(std::move(text), is_error);
}

int PrintLibbpf(libbpf_print_level level, const char* format, va_list args) {
  if (level != LIBBPF_DEBUG) {
    TakeFormatted(level == LIBBPF_WARN, format, args);
  }
  return 0;
}

int PrintLibxdp(libxdp_print_level level, const char* format, va_list args) {
  if (level != LIBXDP_DEBUG) {
    TakeFormatted(level == LIBXDP_WARN, format, args);
  }
  return 0;
}

}  // namespace

void RouteLibraryLogs() {
  static FILE* const stream = [] {
    FILE* out = fopencookie(nullptr, "w", {nullptr, WriteDpdk, nullptr, nullptr});
    if (out != nullptr) {
      setvbuf(out, nullptr, _IOLBF, 1024);
    }
    return out;
  }();
  if (stream != nullptr) {
    rte_openlog_stream(stream);
  }
  libbpf_set_print(PrintLibbpf);
  libxdp_set_print(PrintLibxdp);
}

void ClearLibraryErrors() {
  const std::lock_guard lock(mutex);
  error_lines.clear();
  kernel_reason.clear();
}

std::string LibraryErrors(const std::string& otherwise) {
  const std::lock_guard lock(mutex);
  if (!kernel_reason.empty()) {
    return fmt::format("the kernel says: {}", kernel_reason);
  }
  return error_lines.empty() ? otherwise : fmt::format("{}", fmt::join(error_lines, "; "));
}

}  // namespace bridgehead::port
