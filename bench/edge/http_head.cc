#include "bench/edge/http_head.h"

#include <charconv>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace bridgehead::edge_load {

namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";

template <typename Number>
bool ParseNumber(std::string_view text, Number* number) {
  const auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && last == text.data() + text.size();
}

}  // namespace

size_t HeadBytes(std::string_view text) {
  const size_t end = text.find(kHeadEnd);
  return end == std::string_view::npos ? 0 : end + kHeadEnd.size();
}

std::string_view FieldOf(std::string_view head, std::string_view name) {
  size_t line = head.find("\r\n");
  while (line != std::string_view::npos) {
    head.remove_prefix(line + 2);
    line = head.find("\r\n");
    if (head.size() <= name.size() || head[name.size()] != ':') continue;
    const std::string_view found = head.substr(0, name.size());
    if (!absl::EqualsIgnoreCase({found.data(), found.size()}, {name.data(), name.size()})) continue;
    std::string_view value = head.substr(name.size() + 1, line - name.size() - 1);
    while (!value.empty() && absl::ascii_isblank(value.front())) value.remove_prefix(1);
    while (!value.empty() && absl::ascii_isblank(value.back())) value.remove_suffix(1);
    return value;
  }
  return {};
}

std::string_view TargetOf(std::string_view head) {
  const size_t begin = head.find(' ');
  if (begin == std::string_view::npos) return {};
  const size_t end = head.find_first_of(" \r", begin + 1);
  if (end == std::string_view::npos || head[end] != ' ') return {};
  return head.substr(begin + 1, end - begin - 1);
}

bool ResponseReader::TakeHead(std::string_view head) {
  // RFC 9112 section 4: HTTP/1.1 200 OK
  if (!head.starts_with("HTTP/1.1 ") || !ParseNumber(head.substr(9, 3), &status_)) return false;
  if (status_ == 101) {  // RFC 9110 section 6.4.1: no content
    body_left_ = 0;
    return true;
  }
  uint64_t length = 0;
  if (!ParseNumber(FieldOf(head, "content-length"), &length)) return false;
  body_left_ = length;
  return true;
}

ResponseReader::Result ResponseReader::Feed(std::span<const uint8_t> data) {
  std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
  if (!body_left_) {
    const size_t had = pending_.size();
    if (had > 0) text = pending_.append(text);
    const size_t head = HeadBytes(text);
    if (head == 0) {
      if (text.size() > kMaxHeadBytes) return Result::kMalformed;
      if (had == 0) pending_ = text;
      return Result::kMore;
    }
    if (!TakeHead(text.substr(0, head))) return Result::kMalformed;
    text.remove_prefix(head);
  }
  if (text.size() > *body_left_) return Result::kMalformed;
  *body_left_ -= text.size();
  const bool done = *body_left_ == 0;
  pending_.clear();
  if (!done) return Result::kMore;
  body_left_.reset();
  return Result::kDone;
}

}  // namespace bridgehead::edge_load
