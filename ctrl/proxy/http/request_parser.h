// Requests of HTTP/1, one head after another (RFC 9112), from bytes as they come.
//
// Everything that two programs in a row might read differently is refused: the list is in
// refusal.h, why it is one in README.md. What is behind a head is not looked at: a body is
// BodyDecoder's, and what follows a request with `upgrade` is no HTTP until the upgrade was turned
// down, and then not either (keep_alive is false).
#pragma once

#include <cstddef>
#include <string_view>

#include "ctrl/proxy/http/head_reader.h"
#include "ctrl/proxy/http/message.h"
#include "ctrl/proxy/http/refusal.h"

namespace bridgehead::proxy {

class RequestParser {
 public:
  static constexpr size_t kMaxTarget = 8 * 1024;
  static constexpr size_t kMaxRequestLine = kMaxTarget + 64;  // method and version
  static constexpr size_t kMaxHead = 32 * 1024;
  static constexpr size_t kMaxFields = 100;

  RequestParser() : reader_(kLimits) {}

  // `head`: the same one until kDone. Its first bytes clear it. After kDone the next call begins
  // the next request; after kRefused the connection has no next one.
  HeadResult Feed(std::string_view bytes, RequestHead& head);
  // Some bytes of a head are there, but not all.
  bool begun() const { return reader_.begun(); }

 private:
  static const HeadLimits kLimits;

  Refusal ReadRequestLine(RequestHead& head);
  Refusal ReadTarget(std::string_view target, RequestHead& head);
  Refusal Finish(RequestHead& head);
  // `host`: a view of the head.
  Refusal FindHost(const RequestHead& head, std::string_view& host) const;

  HeadReader reader_;
  size_t authority_at_ = 0, authority_size_ = 0;  // in the target, if it has one
};

}  // namespace bridgehead::proxy
