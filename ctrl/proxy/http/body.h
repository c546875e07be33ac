// A body's bytes out of those of an HTTP/1 connection (RFC 9112 sections 6 and 7), without copying.
//
// Chunks are taken apart here and not by llhttp, which takes extensions, any number of zeros in
// front of a size, and trailers that end in a bare LF. Extensions are refused: they mean nothing to
// anybody, but have been read in different ways (a server is to ignore those that it does not know,
// section 7.1.1; nobody sends any). Trailers are looked at and dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ctrl/proxy/http/head_scanner.h"
#include "ctrl/proxy/http/message.h"
#include "ctrl/proxy/http/refusal.h"

namespace bridgehead::proxy {

class BodyDecoder {
 public:
  static constexpr unsigned kMaxSizeDigits = 16;  // 64 bits, zeros in front included
  static constexpr size_t kMaxTrailerBytes = 4096;
  static constexpr size_t kMaxTrailerFields = 32;

  struct Result {
    size_t taken = 0;       // of the bytes; those of `body` included
    std::string_view body;  // a part of the bytes; empty: none of them is one of the body
    Refusal refusal = Refusal::kNone;
  };

  BodyDecoder() : trailers_(kTrailerLimits) {}

  // `length`: of kLength. A body without bytes is done() at once.
  void Begin(Framing framing, uint64_t length);
  // Takes bytes up to the end of the first piece of the body that they hold, or all. To be called
  // until all are taken or it is done(); bytes behind the end are never taken.
  Result Next(std::string_view bytes);
  // The body is whole. Never of kUntilClose: its end is the connection's.
  bool done() const { return state_ == State::kDone; }

 private:
  enum class State : uint8_t {
    kLength,
    kUntilClose,
    kSize,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailers,
    kDone,
  };
  static const HeadLimits kTrailerLimits;

  // One step; `result` is added to.
  void Step(std::string_view bytes, Result& result);
  void TakeSize(std::string_view bytes, Result& result);
  void TakeData(std::string_view bytes, State next, Result& result);
  void TakeOne(char got, char wanted, Refusal otherwise, State next, Result& result);

  State state_ = State::kDone;
  uint64_t left_ = 0;  // of the body, or of the chunk
  unsigned digits_ = 0;
  HeadScanner trailers_;
};

}  // namespace bridgehead::proxy
