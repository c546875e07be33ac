// Requests of HTTP/2 (RFC 9113 section 8), field by field into a head: what the edge asks of HTTP/1
// is asked here too. nghttp2 has decoded the fields, and has refused what makes a request
// malformed: pseudo fields that are unknown, missing, repeated or behind others, names in upper
// case, fields of a connection, bytes that no value may hold.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "ctrl/proxy/http/message.h"
#include "ctrl/proxy/http/refusal.h"

namespace bridgehead::proxy {

class H2RequestReader {
 public:
  // Counted as SETTINGS_MAX_HEADER_LIST_SIZE is (RFC 9113 section 6.5.2).
  static constexpr size_t kAroundField = 32;

  void Add(std::string_view name, std::string_view value, RequestHead& head);
  // Behind the body: counted with the head, and dropped.
  void AddTrailer(std::string_view name, std::string_view value) {
    bytes_ += name.size() + value.size() + kAroundField;
  }
  // All have come. `has_body`: the stream goes on.
  Refusal Finish(bool has_body, RequestHead& head);

  // Bytes of all fields so far, those of a refused head too.
  size_t bytes() const { return bytes_; }
  // RFC 8441: what the server's answer to the key that was sent in the client's place must be;
  // empty: no WebSocket is asked for.
  const std::string& accept() const { return accept_; }

 private:
  void AddPseudo(std::string_view name, std::string_view value, RequestHead& head);
  void AddField(std::string_view name, std::string_view value, RequestHead& head);
  void AddCookie(std::string_view crumb);
  Refusal FinishWebSocket(RequestHead& head);
  void Refuse(Refusal refusal) {
    if (refusal_ == Refusal::kNone) refusal_ = refusal;
  }

  size_t fields_ = 0, bytes_ = 0;
  Refusal refusal_ = Refusal::kNone;  // the first
  std::string host_, cookie_, protocol_, accept_;
  bool has_authority_ = false;
};

}  // namespace bridgehead::proxy
