#include "ctrl/proxy/log/access_log.h"

#include <utility>

#include <time.h>

#include "ctrl/proxy/log/redact.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

using config::LogField;

void AppendText(std::string& out, std::string_view text) {
  if (text.empty()) {
    out += '-';
    return;
  }
  out += '"';
  AppendEscaped(out, text);
  out += '"';
}

void AppendSecretive(std::string& out, std::string_view text) {
  if (text.empty()) {
    out += '-';
    return;
  }
  out += '"';
  AppendRedacted(out, text);
  out += '"';
}

// RFC 3339, with milliseconds.
void AppendTime(std::string& out, std::chrono::system_clock::time_point at) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
  const time_t seconds = ms / 1000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                 parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                 parts.tm_sec, ms % 1000);
}

std::string_view Name(LogEvent event) {
  switch (event) {
    case LogEvent::kRequest:
      return "request";
    case LogEvent::kTunnelBegin:
      return "tunnel_begin";
    case LogEvent::kTunnelEnd:
      return "tunnel_end";
    case LogEvent::kConnection:
      return "connection";
  }
  return "";
}

std::string_view Name(LogField field) {
  switch (field) {
    case LogField::kTime:
      return "time";
    case LogField::kListener:
      return "listener";
    case LogField::kClient:
      return "client";
    case LogField::kHost:
      return "host";
    case LogField::kMethod:
      return "method";
    case LogField::kPath:
      return "path";
    case LogField::kProtocol:
      return "protocol";
    case LogField::kStatus:
      return "status";
    case LogField::kBytesIn:
      return "bytes_in";
    case LogField::kBytesOut:
      return "bytes_out";
    case LogField::kDuration:
      return "duration";
    case LogField::kUpstream:
      return "upstream";
    case LogField::kServer:
      return "server";
    case LogField::kRoute:
      return "route";
    case LogField::kReferer:
      return "referer";
    case LogField::kUserAgent:
      return "user_agent";
    case LogField::kUser:
      return "user";
    case LogField::kTls:
      return "tls";
    case LogField::kSni:
      return "sni";
    case LogField::kEvent:
      return "event";
  }
  return "";
}

void AppendNumber(std::string& out, uint64_t number) {
  fmt::format_to(std::back_inserter(out), "{}", number);
}

void AppendValue(std::string& out, const AccessRecord& record, LogField field) {
  switch (field) {
    case LogField::kTime:
      return AppendTime(out, record.time);
    case LogField::kListener:
      return AppendText(out, record.listener);
    case LogField::kClient:
      out += record.client.text();
      return;
    case LogField::kHost:
      return AppendText(out, record.host);
    case LogField::kMethod:
      return AppendText(out, record.method);
    case LogField::kPath:
      return AppendSecretive(out, record.path);
    case LogField::kProtocol:
      return AppendText(out, record.protocol);
    case LogField::kStatus:
      return record.status == 0 ? AppendText(out, "") : AppendNumber(out, record.status);
    case LogField::kBytesIn:
      return AppendNumber(out, record.bytes_in);
    case LogField::kBytesOut:
      return AppendNumber(out, record.bytes_out);
    case LogField::kDuration:
      fmt::format_to(std::back_inserter(out), "{:.6f}",
                     std::chrono::duration<double>(record.duration).count());
      return;
    case LogField::kUpstream:
      return AppendText(out, record.upstream);
    case LogField::kServer:
      return AppendText(out, record.server);
    case LogField::kRoute:
      return AppendText(out, record.route);
    case LogField::kReferer:
      return AppendSecretive(out, record.referer);
    case LogField::kUserAgent:
      return AppendText(out, record.user_agent);
    case LogField::kUser:
      return AppendText(out, record.user);
    case LogField::kTls:
      return AppendText(out, record.tls);
    case LogField::kSni:
      return AppendText(out, record.sni);
    case LogField::kEvent:
      out += Name(record.event);
      return;
  }
}

}  // namespace

void AppendLogLine(std::string& out, const AccessRecord& record,
                   const std::vector<LogField>& fields) {
  for (const LogField field : fields) {
    out.append(Name(field)).append("=");
    AppendValue(out, record, field);
    out += ' ';
  }
  out += "error=";
  AppendText(out, record.error);
}

AccessLog::AccessLog(Loop& loop) : flush_(loop, [this] { Flush(); }) {}

AccessLog::~AccessLog() {
  Flush();
}

void AccessLog::Write(const AccessRecord& record) {
  if (!record.file) return;
  std::string& batch = batches_[record.file];
  AppendLogLine(batch, record, fields_);
  batch += '\n';
  if (batch.size() >= kBatch) {
    record.file->Append(batch);
    batch.clear();
  } else if (!flush_.pending()) {
    flush_.Set(kMaxWait);
  }
}

void AccessLog::Flush() {
  for (const auto& [file, batch] : batches_) {
    if (!batch.empty()) file->Append(batch);
  }
  // A file of an old configuration is closed with its last line.
  batches_.clear();
}

}  // namespace bridgehead::proxy
