// A connection of HTTP/2 from its first frame to its last: answers, bodies both ways,
// back-pressure, WebSockets, how it ends.
#include <algorithm>
#include <chrono>
#include <future>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "tests/unit/proxy_h2_scene.h"

namespace bridgehead::proxy {
namespace {

using namespace test;

// RFC 9113 section 6.9.2: until SETTINGS are acknowledged.
constexpr uint64_t kFirstWindow = 65535;

class ProxyH2 : public H2Scene {};

TEST_F(ProxyH2, SaysItsLimitsFirst) {
  listener_->http2_websocket = true;
  Start();
  const H2Frame settings = Next();
  ASSERT_EQ(settings.type, NGHTTP2_SETTINGS);
  std::map<int, uint32_t> said;
  for (size_t at = 0; at < settings.payload.size(); at += 6) {
    said[static_cast<uint8_t>(settings.payload[at + 1])] = Number(settings.payload, at + 2);
  }
  EXPECT_EQ(said[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS], H2Limits::kMaxStreams);
  EXPECT_EQ(said[NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE], 32U * 1024);
  EXPECT_EQ(said[NGHTTP2_SETTINGS_HEADER_TABLE_SIZE], 4096U);
  EXPECT_EQ(said[NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES], 1U);
  EXPECT_EQ(said[NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL], 1U);
}

TEST_F(ProxyH2, AnswersManyStreams) {
  Start();
  std::string all;
  for (uint32_t id = 1; id < 100; id += 2) all += Headers(id, Request("GET", "/say"));
  Send(all);
  for (uint32_t id = 1; id < 100; id += 2) {
    const H2Answer answer = Answer(id);
    EXPECT_EQ(answers_[id].status(), "200");
    EXPECT_EQ(answer.body, "hello");
    EXPECT_EQ(answer.fields.at("content-length"), "5");
    EXPECT_EQ(answer.fields.count("connection"), 0U);
  }
  Send(Headers(101, Request("HEAD", "/say")));
  EXPECT_EQ(Answer(101).body, "");
  EXPECT_EQ(answers_[101].fields.at("content-length"), "5");
}

TEST_F(ProxyH2, PasswordsOfASourceThatHasManyCheckedAreNot) {
  AddRoute("/private", config::RespondAction{200, "let in"});
  edge_.hosts[0].routes.back().basic_auth.emplace().file = "/dev/null";
  std::promise<void> go;
  const auto gate = go.get_future().share();
  for (size_t i = 0; i < CheckPools::kPasswords.of_source; ++i) {
    ASSERT_EQ(
        checks_.passwords.Submit(*config::Address::Parse("127.0.0.1"), [gate] { gate.wait(); }),
        WorkerPool::Submitted::kYes);
  }
  Start();
  Send(Headers(1, Request("GET", "/private", {{"authorization", "Basic YTpi"}})));
  EXPECT_EQ(Answer(1).status(), "429");
  go.set_value();
}

TEST_F(ProxyH2, PassesARequestWithItsBodyOn) {
  Start();
  Send(Headers(1, Request("POST", "/api/x", {{"content-length", "10"}, {"a", "b"}}), 0) +
       MakeFrame(NGHTTP2_DATA, 0, 1, "01234") + MakeFrame(NGHTTP2_DATA, kEndStream, 1, "56789"));
  const std::string head = UpstreamHead();
  EXPECT_TRUE(head.starts_with("POST /api/x HTTP/1.1\r\nHost: meet.example\r\n")) << head;
  EXPECT_NE(head.find("\r\na: b\r\n"), head.npos);
  EXPECT_NE(head.find("\r\nContent-Length: 10\r\n"), head.npos);
  EXPECT_EQ(head.find("Transfer-Encoding"), head.npos);
  EXPECT_EQ(UpstreamBytes(10), "0123456789");
  UpstreamSend(
      "HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\nConnection: x\r\nX: y\r\n\r\n"
      "3\r\nabc\r\n0\r\n\r\n");
  const H2Answer answer = Answer(1);
  EXPECT_EQ(answers_[1].status(), "201");
  EXPECT_EQ(answer.body, "abc");
  EXPECT_EQ(answer.fields.count("x"), 0U);  // Connection named it
  EXPECT_EQ(answer.fields.count("transfer-encoding"), 0U);
}

TEST_F(ProxyH2, ABodyOfUnknownLengthIsChunkedAndTrailersAreDropped) {
  Start();
  Send(Headers(1, Request("POST", "/api"), 0) + MakeFrame(NGHTTP2_DATA, 0, 1, "abc") +
       Headers(1, {{"x-trailer", "y"}}));
  const std::string head = UpstreamHead();
  EXPECT_NE(head.find("\r\nTransfer-Encoding: chunked\r\n"), head.npos) << head;
  EXPECT_EQ(UpstreamBytes(13), "3\r\nabc\r\n0\r\n\r\n");
  UpstreamSend("HTTP/1.1 204 None\r\n\r\n");
  EXPECT_TRUE(Answer(1).whole);
}

// RFC 9113 section 8.1.1.
TEST_F(ProxyH2, ALengthThatIsNotTheBodysIsAStreamError) {
  Start();
  Send(Headers(1, Request("POST", "/api", {{"content-length", "5"}}), 0) +
       MakeFrame(NGHTTP2_DATA, kEndStream, 1, "abc"));
  EXPECT_EQ(Answer(1).reset, NGHTTP2_PROTOCOL_ERROR);
  Send(Headers(3, Request("GET", "/say")));
  EXPECT_EQ(Answer(3).body, "hello");
}

TEST_F(ProxyH2, MalformedRequestsAreStreamErrors) {
  Start();
  const H2Fields good = Request("GET", "/say");
  H2Fields late = good, twice = good, none = good, unknown = good;
  std::swap(late[0], late[3]);
  late.insert(late.begin(), {"a", "b"});
  twice.push_back({":path", "/say"});
  none.erase(none.begin());
  unknown.push_back({":status", "200"});
  std::vector<H2Fields> all = {late, twice, none, unknown};
  for (const auto& [name, value] : H2Fields{{"connection", "close"},
                                            {"transfer-encoding", "chunked"},
                                            {"upgrade", "x"},
                                            {"te", "gzip"},
                                            {"Upper", "x"},
                                            {"a", "b\nc"},
                                            {"a", "b\rc"},
                                            {"a", std::string("b\0c", 3)},
                                            {"a", " b"},
                                            {"a b", "c"},
                                            {":protocol", "websocket"}}) {
    all.push_back(Request("GET", "/say"));
    const bool pseudo = name.starts_with(':');
    all.back().insert(pseudo ? all.back().begin() : all.back().end(), {name, value});
  }
  uint32_t id = 1;
  for (const H2Fields& fields : all) {
    Send(Headers(id, fields));
    EXPECT_EQ(Answer(id).reset, NGHTTP2_PROTOCOL_ERROR) << fields.back().first << " of " << id;
    id += 2;
  }
  Send(Headers(id, good));
  EXPECT_EQ(Answer(id).body, "hello");
}

TEST_F(ProxyH2, ALargeResponseGoesByTheClientsWindows) {
  Start();
  Send(Headers(1, Request("GET", "/api")));
  UpstreamHead();
  const std::string body(400'000, 'x');
  std::thread origin(
      [&] { UpstreamSend("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + body); });
  while (answers_[1].body.size() < 65535) Take(Next());
  EXPECT_EQ(answers_[1].body.size(), kFirstWindow);
  Send(WindowUpdate(0, 1'000'000) + WindowUpdate(1, 100));
  while (answers_[1].body.size() < 65635) Take(Next());
  EXPECT_EQ(answers_[1].body.size(), 65635U);
  Send(WindowUpdate(1, 1'000'000));
  EXPECT_EQ(Answer(1).body, body);
  origin.join();
}

TEST_F(ProxyH2, AnUploadWaitsForAnUpstreamThatDoesNotRead) {
  Start();
  Send(Headers(1, Request("POST", "/api"), 0));
  UpstreamHead();
  // All that the window lets out; what the kernels hold comes on top.
  const std::string part(16384, 'x');
  uint64_t sent = 0;
  const auto window = [&] { return kFirstWindow + windows_[1]; };
  Send(Headers(3, Request("GET", "/say")));
  Answer(3);
  uint32_t ping = 0;
  for (;;) {
    while (sent + part.size() <= window()) {
      ASSERT_TRUE(Send(MakeFrame(NGHTTP2_DATA, 0, 1, part)));
      sent += part.size();
    }
    // What came before the answer to the ping has been looked at.
    const uint64_t before = windows_[1];
    for (int pings = 0; pings < 3; ++pings) {
      Send(MakeFrame(NGHTTP2_PING, 0, 0, BigEndian(0, 4) + BigEndian(++ping, 4)));
      for (H2Frame frame = Next(); frame.type != NGHTTP2_PING; frame = Next()) {
        ASSERT_NE(frame.type, 0xff);
        Take(frame);
      }
    }
    if (windows_[1] == before) break;
    ASSERT_LT(sent, 64U << 20) << "the window grows though nobody reads";
  }
  Send(MakeFrame(NGHTTP2_DATA, kEndStream, 1, ""));
  std::string got;
  while (!got.ends_with("0\r\n\r\n")) {
    const std::string more = UpstreamSome();
    ASSERT_FALSE(more.empty());
    got += more;
  }
  EXPECT_EQ(std::count(got.begin(), got.end(), 'x'), static_cast<ptrdiff_t>(sent));
  UpstreamSend("HTTP/1.1 204 None\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(Answer(1).whole);
}

TEST_F(ProxyH2, AnswersBeforeTheBodyHasComeAndStopsIt) {
  edge_.hosts[0].routes[1].max_body = 10;
  Start();
  Send(Headers(1, Request("POST", "/api", {{"content-length", "1000000"}}), 0));
  EXPECT_EQ(Answer(1).status(), "413");
  EXPECT_TRUE(answers_[1].whole);
  while (answers_[1].reset == UINT32_MAX) Take(Next());
  EXPECT_EQ(answers_[1].reset, NGHTTP2_NO_ERROR);
}

TEST_F(ProxyH2, AResponseThatBreaksOffIsReset) {
  Start();
  Send(Headers(1, Request("GET", "/api")));
  UpstreamHead();
  UpstreamSend("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
  shutdown(upstream_, SHUT_RDWR);
  EXPECT_EQ(Answer(1).reset, NGHTTP2_INTERNAL_ERROR);
}

TEST_F(ProxyH2, AClientThatResetsEndsItsRequest) {
  Start();
  Send(Headers(1, Request("GET", "/api")));
  UpstreamHead();
  Send(MakeFrame(NGHTTP2_RST_STREAM, 0, 1, BigEndian(NGHTTP2_CANCEL, 4)));
  EXPECT_EQ(UpstreamBytes(1), "");
}

TEST_F(ProxyH2, TellsToContinue) {
  Start();
  Send(Headers(1, Request("POST", "/api", {{"content-length", "3"}, {"expect", "100-continue"}}),
               0));
  EXPECT_EQ(UpstreamHead().find("xpect"), std::string::npos);
  while (answers_[1].fields.empty()) Take(Next());
  EXPECT_EQ(answers_[1].status(), "100");
  Send(MakeFrame(NGHTTP2_DATA, kEndStream, 1, "abc"));
  EXPECT_EQ(UpstreamBytes(3), "abc");
  UpstreamSend("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Answer(1).status(), "200");
}

// RFC 9110 section 10.1.1: there is no need to when the body comes, and no way to behind the
// answer.
TEST_F(ProxyH2, TellsNobodyToContinueWhoHas) {
  Start();
  const H2Fields fields =
      Request("POST", "/api", {{"content-length", "6"}, {"expect", "100-continue"}});
  Send(Headers(1, fields, 0) + MakeFrame(NGHTTP2_DATA, 0, 1, "abc"));
  UpstreamHead();
  EXPECT_EQ(UpstreamBytes(3), "abc");
  UpstreamSend("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  int heads = 0;
  while (!answers_[1].whole) {
    const H2Frame frame = Next();
    ASSERT_NE(frame.type, 0xff);
    heads += frame.type == NGHTTP2_HEADERS ? 1 : 0;
    Take(frame);
  }
  EXPECT_EQ(heads, 1);
  EXPECT_EQ(answers_[1].status(), "200");
}

TEST_F(ProxyH2, DrainsInTwoSteps) {
  Start();
  Send(Headers(1, Request("GET", "/api")));
  UpstreamHead();
  Post([this] { connection_->BeginDrain(); });
  EXPECT_EQ(GoAway(), NGHTTP2_NO_ERROR);
  // The notice: requests are still taken.
  Send(Headers(3, Request("GET", "/say")));
  EXPECT_EQ(Answer(3).body, "hello");
  goaway_ = UINT32_MAX;
  EXPECT_EQ(GoAway(), NGHTTP2_NO_ERROR);
  UpstreamSend("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_EQ(Answer(1).body, "ok");
  EXPECT_TRUE(Closed());
}

TEST_F(ProxyH2, AnIdleConnectionEnds) {
  listener_->keepalive_timeout = std::chrono::seconds(1);
  Start();
  Send(Headers(1, Request("GET", "/say")));
  Answer(1);
  EXPECT_EQ(GoAway(), NGHTTP2_NO_ERROR);
  EXPECT_TRUE(Closed());
}

TEST_F(ProxyH2, WhatIsNoHttp2Ends) {
  Start();
  Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_NE(GoAway(), NGHTTP2_NO_ERROR);
  EXPECT_TRUE(Closed());
}

class ProxyH2WebSocket : public H2Scene {
 protected:
  // Up to the upstream's 101.
  void Open(bool good = true) {
    listener_->http2_websocket = true;
    Start();
    H2Fields fields = Request("CONNECT", "/api/ws", {{"sec-websocket-version", "13"}});
    fields.insert(fields.begin(), {":protocol", "websocket"});
    Send(Headers(1, fields, 0));
    const std::string head = UpstreamHead();
    EXPECT_TRUE(head.starts_with("GET /api/ws HTTP/1.1\r\n")) << head;
    EXPECT_NE(head.find("\r\nUpgrade: websocket\r\n"), head.npos);
    const size_t at = head.find("Sec-WebSocket-Key: ") + 19;
    UpstreamSend(
        "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Accept: " +
        AcceptOf(good ? head.substr(at, 24) : "x") + "\r\n\r\nearly");
    while (answers_[1].fields.empty()) Take(Next());
  }
  static std::string AcceptOf(const std::string& key) {
    const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[20], encoded[29];
    EVP_Digest(text.data(), text.size(), digest, nullptr, EVP_sha1(), nullptr);
    EVP_EncodeBlock(encoded, digest, 20);
    return reinterpret_cast<char*>(encoded);
  }
};

TEST_F(ProxyH2WebSocket, BytesPassBothWays) {
  Open();
  EXPECT_EQ(answers_[1].status(), "200");
  EXPECT_EQ(answers_[1].fields.count("sec-websocket-accept"), 0U);
  while (answers_[1].body.size() < 5) Take(Next());
  EXPECT_EQ(answers_[1].body, "early");
  Send(MakeFrame(NGHTTP2_DATA, 0, 1, "up"));
  EXPECT_EQ(UpstreamBytes(2), "up");
  UpstreamSend("down");
  while (answers_[1].body.size() < 9) Take(Next());
  EXPECT_EQ(answers_[1].body, "earlydown");
  // Beside other requests.
  Send(Headers(3, Request("GET", "/say")));
  EXPECT_EQ(Answer(3).body, "hello");
  Send(MakeFrame(NGHTTP2_DATA, kEndStream, 1, "last"));
  EXPECT_EQ(UpstreamBytes(5), "last");
  shutdown(upstream_, SHUT_WR);
  EXPECT_TRUE(Answer(1).whole);
  EXPECT_EQ(answers_[1].reset, UINT32_MAX);
}

TEST_F(ProxyH2WebSocket, TheServerMayEndLongBeforeTheClient) {
  Open();
  shutdown(upstream_, SHUT_WR);
  EXPECT_TRUE(Answer(1).whole);
  // As long as a client may go on with a request that was answered.
  std::this_thread::sleep_for(H2Stream::kUnread + std::chrono::milliseconds(200));
  Send(MakeFrame(NGHTTP2_DATA, kEndStream, 1, "last"));
  EXPECT_EQ(UpstreamBytes(5), "last");
  EXPECT_EQ(answers_[1].reset, UINT32_MAX);
}

TEST_F(ProxyH2WebSocket, AWindowIsItsBackPressure) {
  Open();
  const std::string much(300'000, 'x');
  std::thread origin([&] { UpstreamSend(much); });
  while (answers_[1].body.size() < 65535) Take(Next());
  Send(WindowUpdate(0, 1 << 20) + WindowUpdate(1, 1 << 20));
  while (answers_[1].body.size() < 5 + much.size()) Take(Next());
  origin.join();
  std::string sent;
  while (sent.size() < 300'000) {
    const uint64_t window = kFirstWindow + windows_[1] - sent.size();
    const std::string part(std::min<uint64_t>(window, 16000), 'y');
    if (part.empty()) {
      Take(Next());
      continue;
    }
    Send(MakeFrame(NGHTTP2_DATA, 0, 1, part));
    EXPECT_EQ(UpstreamBytes(part.size()), part);
    sent += part;
  }
}

TEST_F(ProxyH2WebSocket, ResetEndsTheTunnel) {
  Open();
  Send(MakeFrame(NGHTTP2_RST_STREAM, 0, 1, BigEndian(NGHTTP2_CANCEL, 4)));
  EXPECT_EQ(UpstreamBytes(1), "");
}

TEST_F(ProxyH2WebSocket, TheUpstreamsEndByErrorResets) {
  Open();
  const linger now{1, 0};
  setsockopt(upstream_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(std::exchange(upstream_, -1));
  EXPECT_EQ(Answer(1).reset, NGHTTP2_CANCEL);
}

TEST_F(ProxyH2WebSocket, TheConnectionsEndEndsTheTunnel) {
  Open();
  close(std::exchange(client_, -1));
  EXPECT_EQ(UpstreamBytes(1), "");
}

TEST_F(ProxyH2WebSocket, AnAnswerToAnotherKeyIsNone) {
  Open(/*good=*/false);
  EXPECT_EQ(Answer(1).status(), "502");
}

TEST_F(ProxyH2WebSocket, IsRefusedWhereItIsNotOffered) {
  Start();
  H2Fields fields = Request("CONNECT", "/api/ws", {{"sec-websocket-version", "13"}});
  fields.insert(fields.begin(), {":protocol", "websocket"});
  Send(Headers(1, fields, 0));
  EXPECT_EQ(Answer(1).reset, NGHTTP2_PROTOCOL_ERROR);
}

}  // namespace
}  // namespace bridgehead::proxy
