// What a hostile client of HTTP/2 does, and the limit that it meets: the connection ends, or the
// stream, and the edge goes on.
#include <future>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include "ctrl/proxy/http/request_parser.h"
#include "tests/unit/proxy_h2_scene.h"

namespace bridgehead::proxy {
namespace {

using namespace test;

class ProxyH2Limits : public H2Scene {
 protected:
  // Until the edge has closed, or all are sent.
  void Flood(const std::string& frame, uint32_t count) {
    std::string all;
    for (uint32_t at = 0; at < count; ++at) all += frame;
    std::thread sender([&] { Send(all); });
    GoAway();
    shutdown(client_, SHUT_WR);
    sender.join();
  }
  // Frames that wait to be sent, when the loop has had a turn.
  size_t Waiting() {
    std::promise<size_t> waiting;
    Post([&] {
      waiting.set_value(nghttp2_session_get_outbound_queue_size(connection_->session()));
    });
    return waiting.get_future().get();
  }
  // What the limit lets through.
  void StillServes(uint32_t id) {
    Send(Headers(id, Request("GET", "/say")));
    EXPECT_EQ(Answer(id).body, "hello");
    EXPECT_EQ(goaway_, UINT32_MAX);
  }
};

// CVE-2023-44487.
TEST_F(ProxyH2Limits, RapidReset) {
  Start();
  const auto opened_and_reset = [](uint32_t from, uint32_t count) {
    std::string all;
    for (uint32_t id = from; id < from + 2 * count; id += 2) {
      all += Headers(id, Request("GET", "/say"), 0) +
             MakeFrame(NGHTTP2_RST_STREAM, 0, id, BigEndian(NGHTTP2_CANCEL, 4));
    }
    return all;
  };
  Send(opened_and_reset(1, H2Limits::kResets.burst));
  StillServes(1001);
  Send(opened_and_reset(1003, 2 * H2Limits::kResets.burst));
  EXPECT_EQ(GoAway(), NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_TRUE(Closed());
}

// CVE-2025-8671: the client makes the server reset.
TEST_F(ProxyH2Limits, ResetsOfTheEdgesOwn) {
  Start();
  std::string all;
  for (uint32_t id = 1; id < 1000; id += 2) {
    all += Headers(id, Request("POST", "/api", {{"te", "gzip"}}), 0);
  }
  std::thread sender([&] { Send(all); });
  EXPECT_EQ(GoAway(), NGHTTP2_ENHANCE_YOUR_CALM);
  shutdown(client_, SHUT_WR);
  sender.join();
}

TEST_F(ProxyH2Limits, ConcurrentStreams) {
  Start();
  std::string all;
  uint32_t id = 1;
  for (uint32_t at = 0; at < H2Limits::kMaxStreams; ++at, id += 2) {
    all += Headers(id, Request("POST", "/api"), 0);
  }
  Send(all + Headers(id, Request("GET", "/say")));
  EXPECT_EQ(Answer(id).reset, NGHTTP2_REFUSED_STREAM);
  EXPECT_EQ(goaway_, UINT32_MAX);
  // From here on the client has heard of the limit.
  Send(MakeFrame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "") +
       Headers(id + 2, Request("GET", "/say")));
  EXPECT_EQ(GoAway(), NGHTTP2_PROTOCOL_ERROR);
}

// CVE-2024-28182.
TEST_F(ProxyH2Limits, Continuations) {
  Start();
  Send(MakeFrame(NGHTTP2_HEADERS, kEndStream, 1, Block(Request("GET", "/say"))));
  std::string all;
  for (size_t at = 0; at < H2Limits::kMaxContinuations + 1; ++at) {
    all += MakeFrame(NGHTTP2_CONTINUATION, 0, 1, Block({{"a", "b"}}));
  }
  Send(all);
  EXPECT_NE(GoAway(), NGHTTP2_NO_ERROR);
  EXPECT_TRUE(Closed());
  EXPECT_TRUE(answers_[1].fields.empty());
}

TEST_F(ProxyH2Limits, AFewContinuationsAreTaken) {
  Start();
  Send(MakeFrame(NGHTTP2_HEADERS, kEndStream, 1, Block(Request("GET", "/say"))) +
       MakeFrame(NGHTTP2_CONTINUATION, 0, 1, Block({{"a", "b"}})) +
       MakeFrame(NGHTTP2_CONTINUATION, kEndHeaders, 1, ""));
  EXPECT_EQ(Answer(1).body, "hello");
}

TEST_F(ProxyH2Limits, Pings) {
  Start();
  Flood(MakeFrame(NGHTTP2_PING, 0, 0, "12345678"), 3 * H2Limits::kEmptyFrames.burst);
  EXPECT_EQ(goaway_, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(ProxyH2Limits, Settings) {
  Start();
  Flood(MakeFrame(NGHTTP2_SETTINGS, 0, 0, ""), 3 * H2Limits::kEmptyFrames.burst);
  EXPECT_EQ(goaway_, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(ProxyH2Limits, EntriesOfSettings) {
  std::string entries;
  for (size_t at = 0; at <= H2Limits::kMaxSettings; ++at) {
    entries += BigEndian(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 2) + BigEndian(1000, 4);
  }
  Start(entries);
  EXPECT_EQ(GoAway(), NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(ProxyH2Limits, EmptyData) {
  Start();
  Send(Headers(1, Request("POST", "/api"), 0));
  Flood(MakeFrame(NGHTTP2_DATA, 0, 1, ""), 3 * H2Limits::kEmptyFrames.burst);
  EXPECT_EQ(goaway_, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(ProxyH2Limits, DataOfPaddingAlone) {
  Start();
  Send(Headers(1, Request("POST", "/api"), 0));
  Flood(MakeFrame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, std::string(1, '\0')),
        3 * H2Limits::kEmptyFrames.burst);
  EXPECT_EQ(goaway_, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(ProxyH2Limits, PrioritiesAndUnknownFrames) {
  Start();
  Flood(MakeFrame(NGHTTP2_PRIORITY, 0, 1, BigEndian(0, 4) + "\x10") + MakeFrame(0xbe, 0, 0, "x"),
        2 * H2Limits::kEmptyFrames.burst);
  EXPECT_EQ(goaway_, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(ProxyH2Limits, WindowsAreToldOfAsOftenAsClientsDo) {
  Start();
  Send(Headers(1, Request("GET", "/api")));
  UpstreamHead();
  const std::string body(6'000'000, 'x');
  std::thread origin(
      [&] { UpstreamSend("HTTP/1.1 200 OK\r\nContent-Length: 6000000\r\n\r\n" + body); });
  constexpr size_t kEach = 4096;
  size_t told = 0;
  uint32_t updates = 0;
  while (!answers_[1].whole) {
    const H2Frame frame = Next();
    ASSERT_NE(frame.type, 0xff);
    Take(frame);
    for (; told + kEach <= answers_[1].body.size(); told += kEach, updates += 2) {
      Send(WindowUpdate(0, kEach) + WindowUpdate(1, kEach));
    }
  }
  EXPECT_EQ(answers_[1].body.size(), body.size());
  EXPECT_GT(updates, 2 * H2Limits::kEmptyFrames.burst);
  origin.join();
  Flood(WindowUpdate(0, 1), 3 * H2Limits::kEmptyFrames.burst);
  EXPECT_EQ(goaway_, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(ProxyH2Limits, FieldsAndTheirSize) {
  Start();
  H2Fields many = Request("GET", "/say");
  many.insert(many.end(), RequestParser::kMaxFields + 1, {"a", "b"});
  Send(Headers(1, many));
  EXPECT_EQ(Answer(1).status(), "431");
  // One field that the table remembers, and 16 KiB of references to it: 64 MiB of fields.
  const std::string big(4000, 'x');
  const std::string remembered = '\x40' + Literal("a", big).substr(1);
  Send(MakeFrame(NGHTTP2_HEADERS, kEndHeaders | kEndStream, 3,
                 Block(Request("GET", "/say")) + remembered + std::string(10, '\xbe')));
  EXPECT_EQ(Answer(3).status(), "431");
  StillServes(5);
  Send(MakeFrame(NGHTTP2_HEADERS, kEndHeaders | kEndStream, 7,
                 Block(Request("GET", "/say")) + std::string(10'000, '\xbe')));
  EXPECT_EQ(GoAway(), NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(ProxyH2Limits, AHeadThatDoesNotEnd) {
  listener_->request_timeout = std::chrono::seconds(1);
  Start();
  Send(MakeFrame(NGHTTP2_HEADERS, kEndStream, 1, Block(Request("GET", "/say"))));
  EXPECT_EQ(GoAway(), NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_TRUE(Closed());
}

TEST_F(ProxyH2Limits, ABodyThatDoesNotEnd) {
  listener_->body_timeout = std::chrono::seconds(1);
  Start();
  Send(Headers(1, Request("POST", "/api"), 0));
  UpstreamHead();
  EXPECT_EQ(Answer(1).status(), "408");
}

TEST_F(ProxyH2Limits, AnswersThatAreNotTaken) {
  listener_->body_timeout = std::chrono::seconds(1);
  // SETTINGS_INITIAL_WINDOW_SIZE: 0.
  Start(BigEndian(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 2) + BigEndian(0, 4));
  Send(Headers(1, Request("GET", "/say")) + Headers(3, Request("GET", "/say")));
  EXPECT_EQ(Answer(1).reset, NGHTTP2_CANCEL);
  EXPECT_EQ(Answer(3).reset, NGHTTP2_CANCEL);
  EXPECT_EQ(answers_[1].status(), "200");
}

TEST_F(ProxyH2Limits, SmallBuffersLoseNothing) {
  Start("", 4096);
  // More than the client's kernel takes at once.
  std::string all;
  for (uint32_t id = 1; id < 100; id += 2) all += Headers(id, Request("GET", "/say"));
  for (size_t at = 0; at < 50; ++at) all += MakeFrame(NGHTTP2_PING, 0, 0, "12345678");
  Send(all);
  for (uint32_t id = 1; id < 100; id += 2) EXPECT_EQ(Answer(id).body, "hello");
}

// Frames that the client makes the edge send, and does not take.
TEST_F(ProxyH2Limits, WhoTakesNothingIsNotRead) {
  AddRoute("/big", config::RespondAction{200, std::string(300'000, 'x')});
  Start(BigEndian(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 2) + BigEndian(1 << 20, 4), 4096);
  Send(WindowUpdate(0, 1 << 20) + Headers(1, Request("GET", "/big")));
  while (answers_[1].body.empty()) Take(Next());
  // Now as much is on its way as a connection holds, and what follows waits.
  std::string all;
  uint32_t id = 3;
  for (uint32_t at = 0; at < H2Limits::kResets.burst - 1; ++at, id += 2) {
    all += Headers(id, Request("GET", "/say", {{"te", "gzip"}}));
  }
  const std::string ping = MakeFrame(NGHTTP2_PING, 0, 0, "12345678");
  for (size_t at = 0; at < H2Limits::kMaxWaitingAcks - 1; ++at) all += ping;
  Send(all);
  while (Waiting() <= H2Limits::kMaxWaitingFrames) std::this_thread::yield();
  Send(ping);
  for (int turn = 0; turn < 5; ++turn) Waiting();
  int unread = 0;
  ASSERT_EQ(ioctl(server_, FIONREAD, &unread), 0);
  EXPECT_EQ(static_cast<size_t>(unread), ping.size());
  // It is, once the rest has gone.
  for (size_t pings = 0; pings < H2Limits::kMaxWaitingAcks;) {
    const H2Frame frame = Next();
    ASSERT_NE(frame.type, 0xff);
    if (frame.type == NGHTTP2_PING) ++pings;
    Take(frame);
  }
  StillServes(id);
}

}  // namespace
}  // namespace bridgehead::proxy
