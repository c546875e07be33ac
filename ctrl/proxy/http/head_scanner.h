// Looks at a head's bytes as they come: lines that end in CRLF, made of what they may be made of,
// and not too much of it. Trailers are checked by the same code.
//
// It is stricter than RFC 9112 allows a server to be (section 2.2: a bare LF may end a line), and
// than llhttp is (a bare LF may end a head, lines may be folded, names may be empty). How the bytes
// are split over calls makes no difference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ctrl/proxy/http/refusal.h"

namespace bridgehead::proxy {

struct HeadLimits {
  size_t first_line = 0;  // bytes, its CRLF and an empty line before it included; 0: there is none
  size_t bytes = 0;       // of all lines
  size_t fields = 0;
  Refusal first_line_refusal = Refusal::kHeadTooLong, bytes_refusal = Refusal::kHeadTooLong,
          fields_refusal = Refusal::kTooManyFields;
};

class HeadScanner {
 public:
  enum class Event : uint8_t {
    kMore,       // all bytes are taken
    kFirstLine,  // the bytes taken are the first line's last ones
    kEnd,        // the bytes taken are the head's last ones
    kRefused,
  };
  struct Result {
    Event event = Event::kMore;
    size_t taken = 0;
    Refusal refusal = Refusal::kNone;
  };

  // `limits` must outlive it.
  explicit HeadScanner(const HeadLimits& limits) : limits_(&limits) { Begin(); }

  // For the next head.
  void Begin();
  // Not after kRefused, and after kEnd only with Begin().
  Result Scan(std::string_view bytes);

 private:
  enum class State : uint8_t {
    kBefore,    // one empty line is passed over: RFC 9112 section 2.2
    kBeforeLf,  // its CR was there
    kFirst,
    kFirstLf,
    kLine,
    kName,
    kValue,
    kValueLf,
    kEndLf,
  };

  // Each takes bytes from `at` on, which is not `end`.
  Refusal Step(const char*& at, const char* end, Event& event);
  Refusal InFirst(const char*& at, const char* end);
  Refusal AtLine(const char*& at);
  Refusal InName(const char*& at, const char* end);
  Refusal InValue(const char*& at, const char* end);
  // One LF that must come.
  Refusal TakeLf(const char*& at, State next);

  const HeadLimits* limits_;
  State state_ = State::kBefore;
  bool first_line_empty_ = true;
  uint32_t bytes_ = 0, fields_ = 0;
};

}  // namespace bridgehead::proxy
