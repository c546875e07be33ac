// Heads of HTTP/1.1 messages, as far as a load generator needs them: both its ends are its own, and
// the proxy between them is trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bridgehead::edge_load {

// Bytes of the head that `text` begins with, its empty line included; 0: not all there yet.
size_t HeadBytes(std::string_view text);
// The value of the first field `name` (any case) of a head, without surrounding blanks; empty:
// none.
std::string_view FieldOf(std::string_view head, std::string_view name);
// The target of a request's first line; empty: malformed.
std::string_view TargetOf(std::string_view head);

// Takes a response as it comes in.
class ResponseReader {
 public:
  static constexpr size_t kMaxHeadBytes = 16 * 1024;
  enum class Result {
    kMore,
    kDone,       // whole; the reader is ready for the next one
    kMalformed,  // no response, a body without Content-Length, or more than one response
  };

  // Body bytes are counted off and not kept.
  Result Feed(std::span<const uint8_t> data);
  // Of the newest response whose head is there.
  unsigned status() const { return status_; }
  // Whether it has a body of which bytes are still to come, and how many.
  bool in_body() const { return body_left_.has_value(); }
  uint64_t body_left() const { return body_left_.value_or(0); }
  void Reset() { *this = {}; }

 private:
  // False: malformed.
  bool TakeHead(std::string_view head);

  std::string pending_;                // of a head that came in parts
  std::optional<uint64_t> body_left_;  // none: the head is not there yet
  unsigned status_ = 0;
};

}  // namespace bridgehead::edge_load
