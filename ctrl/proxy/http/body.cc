#include "ctrl/proxy/http/body.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace bridgehead::proxy {
namespace {

Refusal RefusalBehindSize(char c) {
  if (c == ';') return Refusal::kChunkExtension;
  return c == '\n' ? Refusal::kBareLf : Refusal::kChunkSize;
}

}  // namespace

const HeadLimits BodyDecoder::kTrailerLimits = {
    .first_line = 0,
    .bytes = kMaxTrailerBytes,
    .fields = kMaxTrailerFields,
    .bytes_refusal = Refusal::kTrailersTooLong,
    .fields_refusal = Refusal::kTrailersTooLong,
};

void BodyDecoder::Begin(Framing framing, uint64_t length) {
  left_ = framing == Framing::kLength ? length : 0;
  digits_ = 0;
  switch (framing) {
    case Framing::kNone:
      state_ = State::kDone;
      break;
    case Framing::kLength:
      state_ = length != 0 ? State::kLength : State::kDone;
      break;
    case Framing::kChunked:
      state_ = State::kSize;
      break;
    case Framing::kUntilClose:
      state_ = State::kUntilClose;
      break;
  }
}

BodyDecoder::Result BodyDecoder::Next(std::string_view bytes) {
  Result result;
  while (result.taken != bytes.size() && result.body.empty() && !done() &&
         result.refusal == Refusal::kNone) {
    Step(bytes.substr(result.taken), result);
  }
  return result;
}

void BodyDecoder::Step(std::string_view bytes, Result& result) {
  switch (state_) {
    case State::kUntilClose:
      result.body = bytes;
      result.taken += bytes.size();
      return;
    case State::kLength:
      return TakeData(bytes, State::kDone, result);
    case State::kSize:
      return TakeSize(bytes, result);
    case State::kSizeLf: {
      const State next = left_ != 0 ? State::kData : State::kTrailers;
      if (next == State::kTrailers) trailers_.Begin();
      return TakeOne(bytes[0], '\n', Refusal::kBareCr, next, result);
    }
    case State::kData:
      return TakeData(bytes, State::kDataCr, result);
    case State::kDataCr:
      return TakeOne(bytes[0], '\r', Refusal::kChunkEnd, State::kDataLf, result);
    case State::kDataLf:
      digits_ = 0;
      return TakeOne(bytes[0], '\n', Refusal::kChunkEnd, State::kSize, result);
    case State::kTrailers: {
      const HeadScanner::Result scanned = trailers_.Scan(bytes);
      result.taken += scanned.taken;
      result.refusal = scanned.refusal;
      if (scanned.event == HeadScanner::Event::kEnd) state_ = State::kDone;
      return;
    }
    case State::kDone:
      return;
  }
}

// RFC 9112 section 7.1: 1*HEXDIG, and no whitespace.
void BodyDecoder::TakeSize(std::string_view bytes, Result& result) {
  for (const char c : bytes) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) {
      if (digits_ != 0 && c == '\r') {
        ++result.taken;
        state_ = State::kSizeLf;
      } else {
        result.refusal = digits_ == 0 ? Refusal::kChunkSize : RefusalBehindSize(c);
      }
      return;
    }
    if (++digits_ > kMaxSizeDigits) {
      result.refusal = Refusal::kChunkSize;
      return;
    }
    const auto digit = static_cast<uint64_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    left_ = left_ << 4 | digit;
    ++result.taken;
  }
}

void BodyDecoder::TakeData(std::string_view bytes, State next, Result& result) {
  result.body = bytes.substr(0, std::min<uint64_t>(left_, bytes.size()));
  result.taken += result.body.size();
  left_ -= result.body.size();
  if (left_ == 0) state_ = next;
}

void BodyDecoder::TakeOne(char got, char wanted, Refusal otherwise, State next, Result& result) {
  if (got != wanted) {
    result.refusal = otherwise;
    return;
  }
  ++result.taken;
  state_ = next;
}

}  // namespace bridgehead::proxy
