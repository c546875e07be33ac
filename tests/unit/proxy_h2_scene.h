// A connection of HTTP/2 and a client that makes its frames by hand.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "ctrl/proxy/http/h2_connection.h"
#include "tests/support/h2_frames.h"
#include "tests/unit/proxy_http_scene.h"

namespace bridgehead::test {

struct H2Frame {
  uint8_t type = 0xff, flags = 0;  // 0xff: the connection has ended
  uint32_t id = 0;
  std::string payload;
};

struct H2Answer {
  std::map<std::string, std::string> fields;
  std::string body;
  bool whole = false;
  uint32_t reset = UINT32_MAX;  // the code, if it was
  std::string status() { return fields[":status"]; }
};

class H2Scene : public HttpScene {
 protected:
  H2Scene() { nghttp2_hd_inflate_new(&inflater_); }
  ~H2Scene() override { nghttp2_hd_inflate_del(inflater_); }

  // The client has sent its preface and an empty SETTINGS, or what is in `settings`.
  void Start(std::string_view settings = "", int receive_buffer = 0) {
    connection_ = &Make<H2Connection>(/*tls=*/true, receive_buffer);
    Post([this] { connection_->Start(); });
    Send(std::string(NGHTTP2_CLIENT_MAGIC) + MakeFrame(NGHTTP2_SETTINGS, 0, 0, settings));
  }

  H2Frame Next() {
    std::string header;
    if (!Receive(client_, header, 9)) return {};
    const auto byte = [&](size_t at) { return static_cast<uint8_t>(header[at]); };
    H2Frame frame;
    const size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
    frame.type = byte(3);
    frame.flags = byte(4);
    for (size_t at = 5; at < 9; ++at) frame.id = frame.id << 8 | byte(at);
    if (!Receive(client_, frame.payload, size)) return {};
    return frame;
  }
  // Reads to the stream's end; what comes of others is in answers_ too.
  H2Answer Answer(uint32_t id) {
    while (!answers_[id].whole && answers_[id].reset == UINT32_MAX) {
      const H2Frame frame = Next();
      if (frame.type == 0xff) break;
      Take(frame);
    }
    return answers_[id];
  }
  // The code of GOAWAY; UINT32_MAX: there was none before the end.
  uint32_t GoAway() {
    while (goaway_ == UINT32_MAX) {
      const H2Frame frame = Next();
      if (frame.type == 0xff) break;
      Take(frame);
    }
    return goaway_;
  }
  bool Closed() {
    for (;;) {
      const H2Frame frame = Next();
      if (frame.type == 0xff) return true;
      Take(frame);
    }
  }
  void Take(const H2Frame& frame) {
    H2Answer& answer = answers_[frame.id];
    if (frame.type == NGHTTP2_GOAWAY) goaway_ = Number(frame.payload, 4);
    if (frame.type == NGHTTP2_RST_STREAM) answer.reset = Number(frame.payload, 0);
    if (frame.type == NGHTTP2_WINDOW_UPDATE) windows_[frame.id] += Number(frame.payload, 0);
    if (frame.type == NGHTTP2_DATA) answer.body += frame.payload;
    if (frame.type == NGHTTP2_HEADERS) Inflate(frame.payload, answer);
    if (frame.type <= NGHTTP2_HEADERS && (frame.flags & kEndStream) != 0) answer.whole = true;
  }
  static uint32_t Number(std::string_view text, size_t at) {
    uint32_t number = 0;
    for (size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<uint8_t>(text[at + i]);
    return number;
  }

  H2Connection* connection_ = nullptr;
  std::map<uint32_t, H2Answer> answers_;
  std::map<uint32_t, uint64_t> windows_;  // what the edge gave
  uint32_t goaway_ = UINT32_MAX;

 private:
  void Inflate(std::string_view block, H2Answer& answer) {
    const auto* at = reinterpret_cast<const uint8_t*>(block.data());
    size_t left = block.size();
    for (;;) {
      nghttp2_nv field;
      int flags = 0;
      const ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, at, left, 1);
      ASSERT_GE(used, 0);
      at += used;
      left -= static_cast<size_t>(used);
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        answer.fields[{reinterpret_cast<char*>(field.name), field.namelen}] =
            std::string(reinterpret_cast<char*>(field.value), field.valuelen);
      }
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
  }

  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace bridgehead::test
