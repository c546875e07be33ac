#include "ctrl/proxy/http/head_scanner.h"

#include <algorithm>

#include "ctrl/proxy/http/grammar.h"

namespace bridgehead::proxy {

void HeadScanner::Begin() {
  state_ = limits_->first_line != 0 ? State::kBefore : State::kLine;
  first_line_empty_ = true;
  bytes_ = fields_ = 0;
}

HeadScanner::Result HeadScanner::Scan(std::string_view bytes) {
  const bool in_first = state_ <= State::kFirstLf;
  const size_t limit = in_first ? limits_->first_line : limits_->bytes;
  const char* const begin = bytes.data();
  const char* const end = begin + std::min(bytes.size(), limit - bytes_);
  const char* at = begin;
  Event event = Event::kMore;
  while (at != end && event == Event::kMore) {
    const Refusal refusal = Step(at, end, event);
    if (refusal != Refusal::kNone) return {Event::kRefused, 0, refusal};
  }
  const auto taken = static_cast<size_t>(at - begin);
  bytes_ += static_cast<uint32_t>(taken);
  // Not ended where it must have.
  if (event == Event::kMore && bytes_ == limit) {
    return {Event::kRefused, 0, in_first ? limits_->first_line_refusal : limits_->bytes_refusal};
  }
  return {event, taken, Refusal::kNone};
}

Refusal HeadScanner::Step(const char*& at, const char* end, Event& event) {
  switch (state_) {
    case State::kBefore:
      if (*at != '\r') {
        state_ = State::kFirst;
        return Refusal::kNone;
      }
      ++at;
      state_ = State::kBeforeLf;
      return Refusal::kNone;
    case State::kBeforeLf:
      return TakeLf(at, State::kFirst);
    case State::kFirst:
      return InFirst(at, end);
    case State::kFirstLf:
      event = Event::kFirstLine;
      return TakeLf(at, State::kLine);
    case State::kLine:
      return AtLine(at);
    case State::kName:
      return InName(at, end);
    case State::kValue:
      return InValue(at, end);
    case State::kValueLf:
      return TakeLf(at, State::kLine);
    case State::kEndLf:
      event = Event::kEnd;
      return TakeLf(at, State::kEndLf);
  }
  return Refusal::kControl;
}

Refusal HeadScanner::InFirst(const char*& at, const char* end) {
  const char* const found = FindControl(at, end);
  first_line_empty_ = first_line_empty_ && found == at;
  at = found;
  if (at == end) return Refusal::kNone;
  if (*at == '\n') return Refusal::kBareLf;
  if (*at != '\r') return Refusal::kControl;
  if (first_line_empty_) return Refusal::kBadRequestLine;
  ++at;
  state_ = State::kFirstLf;
  return Refusal::kNone;
}

Refusal HeadScanner::AtLine(const char*& at) {
  switch (*at) {
    case '\r':
      ++at;
      state_ = State::kEndLf;
      return Refusal::kNone;
    case '\n':
      return Refusal::kBareLf;
    case ' ':
    case '\t':
      return Refusal::kFolded;  // RFC 9112 section 5.2
    case ':':
      return Refusal::kEmptyName;
    default:
      if (++fields_ > limits_->fields) return limits_->fields_refusal;
      state_ = State::kName;
      return Refusal::kNone;
  }
}

Refusal HeadScanner::InName(const char*& at, const char* end) {
  while (at != end && kTokenChars[static_cast<uint8_t>(*at)]) ++at;
  if (at == end) return Refusal::kNone;
  switch (*at) {
    case ':':
      ++at;
      state_ = State::kValue;
      return Refusal::kNone;
    case ' ':
    case '\t':
      return Refusal::kSpaceInName;  // RFC 9112 section 5.1
    case '\n':
      return Refusal::kBareLf;
    case '\r':
      return Refusal::kBadName;
    default:
      return FindControl(at, at + 1) == at ? Refusal::kControl : Refusal::kBadName;
  }
}

Refusal HeadScanner::InValue(const char*& at, const char* end) {
  for (; (at = FindControl(at, end)) != end; ++at) {
    if (*at == '\n') return Refusal::kBareLf;
    if (*at == '\r') {
      ++at;
      state_ = State::kValueLf;
      return Refusal::kNone;
    }
    if (*at != '\t') return Refusal::kControl;
  }
  return Refusal::kNone;
}

Refusal HeadScanner::TakeLf(const char*& at, State next) {
  if (*at != '\n') return Refusal::kBareCr;
  ++at;
  state_ = next;
  return Refusal::kNone;
}

}  // namespace bridgehead::proxy
