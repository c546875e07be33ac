// Responses of HTTP/1 from an upstream (RFC 9112), from bytes as they come. As strict as the parser
// of requests: an upstream that answers in two ways to read is no better than a client that asks
// so.
//
// Whatever is refused, the client gets 502, and the upstream's connection is closed.
#pragma once

#include <cstddef>
#include <string_view>

#include "ctrl/proxy/http/head_reader.h"
#include "ctrl/proxy/http/message.h"
#include "ctrl/proxy/http/refusal.h"

namespace bridgehead::proxy {

class ResponseParser {
 public:
  static constexpr size_t kMaxStatusLine = 1024;
  static constexpr size_t kMaxHead = 64 * 1024;
  static constexpr size_t kMaxFields = 200;
  static constexpr unsigned kMaxInterim = 8;  // responses of 1xx before the one that counts

  ResponseParser() : reader_(kLimits) {}

  // Before each request's first response. `upgrade`: what the request asks for.
  void Begin(Method request_method, Upgrade upgrade);
  // `head`: the same one until kDone. After a head of 1xx, but 101, the next call begins the next
  // one. What is behind a head of 101 is the tunnel's.
  HeadResult Feed(std::string_view bytes, ResponseHead& head);

 private:
  static const HeadLimits kLimits;

  Refusal ReadStatusLine(ResponseHead& head);
  Refusal Finish(ResponseHead& head);
  Refusal ReadFraming(ResponseHead& head);

  HeadReader reader_;
  Method request_method_ = Method::kGet;
  Upgrade asked_ = Upgrade::kNone;
  unsigned interim_ = 0;
};

}  // namespace bridgehead::proxy
