// What reading a request's and a response's head of HTTP/1 have in common: bytes are looked at as
// they come and copied into the head (HeadScanner); when it is whole, llhttp takes it apart, in one
// go, so that each field is one view.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ctrl/proxy/http/head_scanner.h"
#include "ctrl/proxy/http/message.h"

namespace bridgehead::proxy {

enum class HeadProgress : uint8_t { kMore, kDone, kRefused };

// What became of bytes that were fed to a parser of heads.
struct HeadResult {
  HeadProgress progress = HeadProgress::kMore;
  size_t taken = 0;  // bytes that belong to the head; the others are the caller's
  Refusal refusal = Refusal::kNone;
};

// What Connection says (RFC 9110 section 7.6.1).
struct ConnectionOptions {
  static constexpr size_t kMaxNamed = 16;

  bool close = false, upgrade = false;
  // Fields that are for this connection only: views of the head.
  std::array<std::string_view, kMaxNamed> named;
  size_t named_count = 0;
};

class HeadReader {
 public:
  // `limits` must outlive it.
  explicit HeadReader(const HeadLimits& limits) : scanner_(limits) {}

  // Begins the next head with the next bytes, wherever this one was.
  void Restart() { begun_ = false; }
  // `head`: the same one until kDone; its first bytes clear it. `read_first_line` and `finish` look
  // at what is in it by then, each once, and say what is wrong.
  template <class SomeHead, class ReadFirstLine, class Finish>
  HeadResult Feed(std::string_view bytes, SomeHead& head, ReadFirstLine read_first_line,
                  Finish finish);
  // Some bytes of a head are there, but not all.
  bool begun() const { return begun_; }
  // Once kFirstLine was there: without its line end.
  static std::string_view FirstLine(const Head& head);
  // Once kEnd was there: enters the fields, and Content-Length in content_length.
  static Refusal Tokenise(Head& head, bool is_request);

  // Framing and content_length by Transfer-Encoding and Content-Length (RFC 9112 section 6.3): a
  // lone `chunked` of HTTP/1.1 or a length, or neither.
  static Refusal ReadFraming(Head& head);
  static Refusal ReadConnection(const Head& head, ConnectionOptions& options);
  // A lone `websocket` that Connection speaks of.
  static bool AsksForWebSocket(const Head& head, const ConnectionOptions& options);
  // Removes kNotPassedOn and what Connection names.
  static void RemoveNotPassedOn(Head& head, const ConnectionOptions& options);

 private:
  // As the scanner's; what is taken is in the head then.
  HeadScanner::Result Scan(std::string_view bytes, Head& head);

  HeadScanner scanner_;
  bool begun_ = false;
};

template <class SomeHead, class ReadFirstLine, class Finish>
HeadResult HeadReader::Feed(std::string_view bytes, SomeHead& head, ReadFirstLine read_first_line,
                            Finish finish) {
  if (bytes.empty()) return {};
  if (!begun_) {
    begun_ = true;
    head.Clear();
    scanner_.Begin();
  }
  size_t taken = 0;
  while (true) {
    const HeadScanner::Result scanned = Scan(bytes.substr(taken), head);
    taken += scanned.taken;
    Refusal refusal = scanned.refusal;
    if (scanned.event == HeadScanner::Event::kMore) return {HeadProgress::kMore, taken, {}};
    if (scanned.event == HeadScanner::Event::kFirstLine) refusal = read_first_line();
    if (scanned.event == HeadScanner::Event::kEnd) {
      begun_ = false;
      refusal = finish();
      if (refusal == Refusal::kNone) return {HeadProgress::kDone, taken, refusal};
    }
    if (refusal != Refusal::kNone) return {HeadProgress::kRefused, taken, refusal};
  }
}

}  // namespace bridgehead::proxy
