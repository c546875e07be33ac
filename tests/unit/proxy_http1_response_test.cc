// Responses of HTTP/1 from an upstream: what is read out of a good one, and what is refused.
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/proxy/http/response_parser.h"

namespace bridgehead::proxy {
namespace {

struct Asked {
  Method method = Method::kGet;
  Upgrade upgrade = Upgrade::kNone;
};

// Of a whole head, whose pieces must not matter.
class Response {
 public:
  explicit Response(const std::string& bytes, Asked asked = {}) {
    Feed(bytes, bytes.size(), asked);
    const HeadResult whole = result_;
    const Framing framing = head_.framing;
    for (const size_t step : {1, 2, 3, 7}) {
      Feed(bytes, step, asked);
      EXPECT_EQ(result_.progress, whole.progress) << step;
      EXPECT_EQ(result_.refusal, whole.refusal) << step;
      EXPECT_EQ(head_.framing, framing) << step;
    }
    result_ = whole;
  }
  const ResponseHead& head() const { return head_; }
  HeadProgress progress() const { return result_.progress; }
  Refusal refusal() const { return result_.refusal; }

 private:
  void Feed(std::string_view bytes, size_t step, Asked asked) {
    ResponseParser parser;
    parser.Begin(asked.method, asked.upgrade);
    result_ = {};
    while (!bytes.empty() && result_.progress == HeadProgress::kMore) {
      result_ = parser.Feed(bytes.substr(0, step), head_);
      bytes.remove_prefix(std::min(result_.taken, bytes.size()));
    }
  }

  ResponseHead head_;
  HeadResult result_;
};

std::string Ok(const std::string& fields) {
  return "HTTP/1.1 200 OK\r\n" + fields + "\r\n";
}

struct Refused {
  std::string bytes;
  Refusal refusal;
};

void ExpectRefused(const std::vector<Refused>& all) {
  for (const auto& [bytes, refusal] : all) {
    SCOPED_TRACE(testing::PrintToString(bytes.substr(0, 300)));
    const Response response(bytes);
    EXPECT_EQ(response.progress(), HeadProgress::kRefused);
    EXPECT_EQ(TextOf(response.refusal()), TextOf(refusal));
  }
}

TEST(ProxyHttp1Response, IsReadIntoItsParts) {
  const Response response(
      "HTTP/1.1 404 Not Here\r\nContent-Length: 3\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
      "Connection: X-Hop\r\nX-Hop: 1\r\nX_Under: 2\r\n\r\n");
  ASSERT_EQ(response.progress(), HeadProgress::kDone);
  const ResponseHead& head = response.head();
  EXPECT_EQ(head.status, 404);
  EXPECT_EQ(head.reason(), "Not Here");
  EXPECT_EQ(head.framing, Framing::kLength);
  EXPECT_EQ(head.content_length, 3u);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(head.Count(HeaderId::kSetCookie), 2u);
  EXPECT_EQ(head.Find("X_Under"), "2");
  EXPECT_EQ(head.field_count(), 3u);
}

TEST(ProxyHttp1Response, WhereTheBodyEnds) {
  struct Case {
    std::string bytes;
    Asked asked;
    Framing framing;
    std::optional<uint64_t> length;
    bool keep_alive;
  };
  const std::string length = "Content-Length: 5\r\n", chunked = "Transfer-Encoding: Chunked\r\n";
  const std::string end = "\r\n";
  const Asked head_request{.method = Method::kHead};
  for (const Case& wanted : std::vector<Case>{
           {Ok(length), {}, Framing::kLength, 5, true},
           {Ok("Content-Length: 0\r\n"), {}, Framing::kLength, 0, true},
           {Ok(chunked), {}, Framing::kChunked, {}, true},
           {Ok(""), {}, Framing::kUntilClose, {}, false},
           {Ok(length + "Connection: close\r\n"), {}, Framing::kLength, 5, false},
           {"HTTP/1.0 200 OK\r\n" + length + end, {}, Framing::kLength, 5, false},
           {"HTTP/1.0 200 OK\r\n\r\n", {}, Framing::kUntilClose, {}, false},
           {Ok(length), head_request, Framing::kNone, 5, true},
           {Ok(chunked), head_request, Framing::kNone, {}, true},
           {Ok(""), head_request, Framing::kNone, {}, true},
           {"HTTP/1.1 304 Not Modified\r\n" + length + end, {}, Framing::kNone, 5, true},
           {"HTTP/1.1 304 Not Modified\r\n" + chunked + end, {}, Framing::kNone, {}, true},
           {"HTTP/1.1 204 No Content\r\n" + length + end, {}, Framing::kNone, {}, true},
           {"HTTP/1.1 103 Early Hints\r\n" + length + end, {}, Framing::kNone, {}, true},
       }) {
    SCOPED_TRACE(wanted.bytes);
    const Response response(wanted.bytes, wanted.asked);
    ASSERT_EQ(response.progress(), HeadProgress::kDone);
    EXPECT_EQ(response.head().framing, wanted.framing);
    EXPECT_EQ(response.head().content_length, wanted.length);
    EXPECT_EQ(response.head().keep_alive, wanted.keep_alive);
  }
}

TEST(ProxyHttp1Response, ReasonMayBeMissing) {
  for (const char* line : {"HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n"}) {
    const Response response(line);
    ASSERT_EQ(response.progress(), HeadProgress::kDone);
    EXPECT_EQ(response.head().reason(), "OK");
  }
  const Response unknown("HTTP/1.1 299 \r\n\r\n");
  EXPECT_EQ(unknown.head().reason(), "");
}

TEST(ProxyHttp1Response, WhatIsRefused) {
  const std::string length = "Content-Length: 5\r\n", chunked = "Transfer-Encoding: chunked\r\n";
  std::vector<Refused> refused;
  for (const char* line :
       {"HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 099 OK", "HTTP/1.1 600 OK",
        "HTTP/1.1 2x0 OK", "HTTP/1.1  200 OK", "HTTP/1.1 200OK", "HTTP/1.1", "HTTP/1.1 ",
        "HTTP/2.0 200 OK", "HTTP/1.2 200 OK", "HTTP/0.9 200 OK", "http/1.1 200 OK", "ICY 200 OK",
        "<html>"}) {
    refused.push_back({std::string(line) + "\r\n\r\n", Refusal::kBadStatusLine});
  }
  refused.insert(
      refused.end(),
      {
          {"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Refusal::kBadRequestLine},
          {"HTTP/1.1 200 " + std::string(2000, 'a'), Refusal::kBadStatusLine},
          {"HTTP/1.1 200 O\tK\r\n\r\n", Refusal::kControl},
          {"HTTP/1.1 200 OK\n\n", Refusal::kBareLf},
          {Ok("X: a\r\n b\r\n"), Refusal::kFolded},
          {Ok("X: a\rb\r\n"), Refusal::kBareCr},
          {Ok(": a\r\n"), Refusal::kEmptyName},
          {Ok("X : a\r\n"), Refusal::kSpaceInName},
          {Ok(length + chunked), Refusal::kLengthConflict},
          {Ok(length + length), Refusal::kLengthConflict},
          {Ok("Content-Length: 5, 5\r\n"), Refusal::kBadLength},
          {Ok("Transfer-Encoding: gzip, chunked\r\n"), Refusal::kTransferCoding},
          {Ok("Transfer-Encoding: chunked, gzip\r\n"), Refusal::kTransferCoding},
          {Ok(chunked + chunked), Refusal::kBadTransferCoding},
          {Ok("Transfer-Encoding:\r\n" + length), Refusal::kBadTransferCoding},
          {"HTTP/1.0 200 OK\r\n" + chunked + "\r\n", Refusal::kUnframed},
          {"HTTP/1.1 204 No Content\r\n" + chunked + "\r\n", Refusal::kUnframed},
          {"HTTP/1.1 100 Continue\r\n" + chunked + "\r\n", Refusal::kUnframed},
          {Ok("Connection: content-length\r\n" + length), Refusal::kBadConnection},
          {"HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
           Refusal::kUnasked101},
          {Ok("X: " + std::string(ResponseParser::kMaxHead, 'a')), Refusal::kHeadTooLong},
      });
  std::string many;
  for (size_t i = 0; i <= ResponseParser::kMaxFields; ++i) many += "X:\r\n";
  refused.push_back({Ok(many), Refusal::kTooManyFields});
  ExpectRefused(refused);
}

TEST(ProxyHttp1Response, SwitchesOnlyToWhatWasAsked) {
  const Asked asked{.upgrade = Upgrade::kWebSocket};
  const std::string line = "HTTP/1.1 101 Switching Protocols\r\n";
  const Response good(line + "Connection: Upgrade\r\nUpgrade: WebSocket\r\nX: 1\r\n\r\n", asked);
  ASSERT_EQ(good.progress(), HeadProgress::kDone);
  EXPECT_EQ(good.head().upgrade, Upgrade::kWebSocket);
  EXPECT_FALSE(good.head().keep_alive);
  EXPECT_EQ(good.head().field_count(), 1u);
  for (const char* fields : {"Connection: Upgrade\r\nUpgrade: h2c\r\n", "Upgrade: websocket\r\n",
                             "Connection: Upgrade\r\n", ""}) {
    SCOPED_TRACE(fields);
    EXPECT_EQ(Response(line + fields + "\r\n", asked).refusal(), Refusal::kUnasked101);
  }
  const Response declined("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", asked);
  ASSERT_EQ(declined.progress(), HeadProgress::kDone);
  EXPECT_EQ(declined.head().upgrade, Upgrade::kNone);
}

TEST(ProxyHttp1Response, InterimResponsesAreFollowed) {
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n", last = Ok("X: 1\r\n");
  ResponseParser parser;
  ResponseHead head;
  parser.Begin(Method::kPost, Upgrade::kNone);
  std::string bytes;
  for (unsigned i = 0; i < ResponseParser::kMaxInterim; ++i) bytes += interim;
  std::string_view rest = bytes += last;
  for (unsigned i = 0; i < ResponseParser::kMaxInterim; ++i) {
    const HeadResult result = parser.Feed(rest, head);
    ASSERT_EQ(result.progress, HeadProgress::kDone);
    EXPECT_EQ(head.status, 100);
    rest.remove_prefix(result.taken);
  }
  ASSERT_EQ(parser.Feed(rest, head).progress, HeadProgress::kDone);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.Find("X"), "1");
  EXPECT_EQ(parser.Feed(interim, head).refusal, Refusal::kTooManyInterim);
}

}  // namespace
}  // namespace bridgehead::proxy
