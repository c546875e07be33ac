#include "ctrl/health/http_check.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "fmt/format.h"

namespace bridgehead::health {
namespace {

using Progress = HttpAnswer::Progress;

// RFC 9112 section 4: HTTP-version SP status-code SP [ reason-phrase ]. 0: it is none.
int StatusOf(std::string_view line) {
  const bool right = line.size() >= 12 && line.starts_with("HTTP/1.") &&
                     (line[7] == '0' || line[7] == '1') && line[8] == ' ' &&
                     (line.size() == 12 || line[12] == ' ');
  int status = 0;
  if (!right || std::from_chars(&line[9], &line[12], status).ptr != &line[12]) return 0;
  return status >= 100 && status <= 599 ? status : 0;
}

HttpHead ParseHead(std::string_view text, bool head_only) {
  HttpHead head;
  const size_t line_end = std::min(text.find("\r\n"), text.size());
  const int status = StatusOf(text.substr(0, line_end));
  text.remove_prefix(std::min(line_end + 2, text.size()));
  while (!text.empty()) {
    const size_t end = std::min(text.find("\r\n"), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 2, text.size()));
    const size_t colon = line.find(':');
    if (colon == 0 || colon == std::string_view::npos) return {};
    if (head_only) continue;
    const std::string name = absl::AsciiStrToLower({line.data(), colon});
    const absl::string_view value =
        absl::StripAsciiWhitespace({line.data() + colon + 1, line.size() - colon - 1});
    // RFC 9112 section 6.1: never in an answer to HTTP/1.0.
    if (name == "transfer-encoding") return {};
    if (name != "content-length") continue;
    size_t bytes = 0;
    const bool digits =
        !value.empty() && std::all_of(value.begin(), value.end(), absl::ascii_isdigit);
    if (!digits || !absl::SimpleAtoi(value, &bytes)) return {};
    // RFC 9112 section 6.3: several that differ are an error.
    if (head.body_bytes && *head.body_bytes != bytes) return {};
    head.body_bytes = bytes;
  }
  head.status = status;
  if (status < 200 || status == 204 || status == 304) head.body_bytes = 0;
  return head;
}

bool IsTrue(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::optional<bool> DrainOfJson(std::string_view body) {
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  bool known = false;
  for (const char* key : {"drain", "graceful_shutdown"}) {
    if (IsTrue(json, key)) return true;
    const auto found = json.find(key);
    known = known || (found != json.end() && found->is_boolean());
  }
  return known ? std::optional(false) : std::nullopt;
}

// Lines `NAME VALUE` or `NAME{LABELS} VALUE`.
std::optional<bool> DrainOfMetrics(std::string_view body) {
  std::optional<bool> draining;
  while (!body.empty()) {
    const size_t end = std::min(body.find('\n'), body.size());
    const std::string_view line = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (line.starts_with('#')) continue;
    const std::string_view name = line.substr(0, line.find_first_of(" \t{"));
    if (!name.ends_with("drain_mode") && !name.ends_with("graceful_shutdown")) continue;
    const size_t labels = line.rfind('}');  // the last: a label's value may hold others
    std::string_view rest =
        line.substr(labels == std::string_view::npos ? name.size() : labels + 1);
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
    const std::string_view number = rest.substr(0, rest.find_first_of(" \t"));  // a time may follow
    double value = 0;
    if (!absl::SimpleAtod({number.data(), number.size()}, &value) || std::isnan(value)) continue;
    draining = draining.value_or(false) || value != 0;
  }
  return draining;
}

}  // namespace

HttpAnswer HttpAnswerParser::Append(std::string_view more) {
  constexpr std::string_view kVersion = "HTTP/1.";
  constexpr std::string_view kHeadEnd = "\r\n\r\n";
  // The end of the head may have begun in what came before.
  const size_t searched = text_.size() - std::min(text_.size(), kHeadEnd.size() - 1);
  text_.append(more);
  while (!head_) {
    // Garbage is told from a slow answer by its first bytes.
    const std::string_view begin = std::string_view(text_).substr(head_at_, kVersion.size());
    if (begin != kVersion.substr(0, begin.size())) return {Progress::kMalformed, 0, {}};
    const size_t end = text_.find(kHeadEnd, std::max(searched, head_at_));
    if (std::min(end, text_.size()) > kMaxHeadBytes) return {Progress::kTooLong, 0, {}};
    if (end == std::string::npos) return {Progress::kMore, 0, {}};
    HttpHead head = ParseHead(std::string_view(text_).substr(head_at_, end - head_at_), head_only_);
    if (head.status == 0) return {Progress::kMalformed, 0, {}};
    body_at_ = end + kHeadEnd.size();
    // RFC 9110 section 15.2: any number of them may come before the answer. Nothing was upgraded.
    if (head_only_ && head.status < 200 && head.status != 101) {
      head_at_ = body_at_;
      continue;
    }
    head_ = head;
  }
  if (head_only_) return {Progress::kWhole, head_->status, {}};
  const std::string_view body = std::string_view(text_).substr(body_at_);
  if (head_->body_bytes && body.size() >= *head_->body_bytes) {
    return {Progress::kWhole, head_->status, body.substr(0, *head_->body_bytes)};
  }
  return {text_.size() > kMaxBytes ? Progress::kTooLong : Progress::kMore, head_->status, {}};
}

HttpAnswer HttpAnswerParser::End() const {
  if (!head_ || head_->body_bytes) return {Progress::kMalformed, status(), {}};
  return {Progress::kWhole, head_->status, std::string_view(text_).substr(body_at_)};
}

void HttpAnswerParser::Clear() {
  std::string().swap(text_);  // clear() would keep the memory
  head_.reset();
  head_at_ = 0;
}

std::optional<bool> ParseDrainState(std::string_view body) {
  const size_t first = body.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return std::nullopt;
  return body[first] == '{' ? DrainOfJson(body) : DrainOfMetrics(body);
}

HttpCheck::HttpCheck(event_base* base, const config::CheckUrl& url,
                     std::chrono::milliseconds timeout, Done done)
    : HttpCheck(base, {url.at, SOCK_STREAM, "", nullptr},
                {url.target, url.at.text(), {{200, 299}}, /*head_only=*/false}, timeout,
                std::move(done)) {}

HttpCheck::HttpCheck(event_base* base, Way way, HttpQuestion question,
                     std::chrono::milliseconds timeout, Done done)
    : Check(base, std::move(way), timeout, std::move(done)),
      question_(std::move(question)),
      answer_(question_.head_only) {}

std::string HttpCheck::Question() {
  return fmt::format(
      "GET {} HTTP/1.{}\r\nHost: {}\r\nUser-Agent: bridgehead/{}\r\nAccept: */*\r\n"
      "Connection: close\r\n\r\n",
      question_.target, question_.head_only ? 1 : 0, question_.host, BRIDGEHEAD_VERSION);
}

void HttpCheck::OnData(const char* data, size_t size) {
  const HttpAnswer answer = answer_.Append({data, size});
  switch (answer.progress) {
    case Progress::kMore:
      return;
    case Progress::kMalformed:
      return Fail(Failure::kMalformed, "answer is not one of HTTP/1");
    case Progress::kTooLong:
      return Fail(Failure::kTooLong,
                  answer.status != 0
                      ? fmt::format("answer of more than {} bytes", HttpAnswerParser::kMaxBytes)
                      : fmt::format("head of an answer of more than {} bytes",
                                    HttpAnswerParser::kMaxHeadBytes));
    case Progress::kWhole:
      return Judge(answer);
  }
}

void HttpCheck::OnEnd() {
  const HttpAnswer answer = answer_.End();
  if (answer.progress == Progress::kWhole) return Judge(answer);
  Fail(Failure::kClosed,
       fmt::format("connection ended after {} bytes, within the answer", answer_.size()));
}

void HttpCheck::Judge(const HttpAnswer& whole) {
  for (const HttpQuestion::Statuses& good : question_.good) {
    if (whole.status >= good.first && whole.status <= good.last) {
      return Good(std::string(whole.body));
    }
  }
  const bool redirect = whole.status / 100 == 3;
  Fail(Failure::kStatus,
       fmt::format("status {}{}", whole.status, redirect ? " (redirects are not followed)" : ""));
}

std::string HttpCheck::WhenLate() const {
  if (answer_.status() != 0) {
    return fmt::format("status {}, but no end of the answer", answer_.status());
  }
  return answer_.size() == 0 ? "no answer" : "only a part of the answer";
}

}  // namespace bridgehead::health
