// One loop's access log: records become lines (key=value, the fields chosen by the configuration),
// which go to their files in batches.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ctrl/proxy/log/access_record.h"
#include "ctrl/proxy/log/log_file.h"
#include "ctrl/proxy/net/loop.h"

namespace bridgehead::proxy {

// A line without its end: "time=2026-11-22T10:00:00.123Z client=192.0.2.1:50000 path=\"/x\" ...".
// Fields without a value are "-". What strangers sent is quoted, escaped and redacted (redact.h).
void AppendLogLine(std::string& out, const AccessRecord& record,
                   const std::vector<config::LogField>& fields);

class AccessLog {
 public:
  // How long a line may wait for others, and how many bytes of them.
  static constexpr std::chrono::milliseconds kMaxWait{200};
  static constexpr size_t kBatch = 64 * 1024;

  explicit AccessLog(Loop& loop);
  // Hands on what is left.
  ~AccessLog();

  // Of lines from now on.
  void SetFields(std::vector<config::LogField> fields) { fields_ = std::move(fields); }
  // To the record's file; nothing without one.
  void Write(const AccessRecord& record);

 private:
  void Flush();

  std::vector<config::LogField> fields_;
  std::map<std::shared_ptr<LogFile>, std::string> batches_;
  Timer flush_;
};

}  // namespace bridgehead::proxy
