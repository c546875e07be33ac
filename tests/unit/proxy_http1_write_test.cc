// Heads of HTTP/1 as they are written, and what can not get into one.
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/proxy/http/request_parser.h"
#include "ctrl/proxy/http/response_parser.h"
#include "ctrl/proxy/http/write.h"

namespace bridgehead::proxy {
namespace {

RequestHead Parse(const std::string& bytes) {
  RequestHead head;
  RequestParser parser;
  EXPECT_EQ(parser.Feed(bytes, head).progress, HeadProgress::kDone) << bytes;
  return head;
}

std::string Written(const RequestHead& head, bool close = false) {
  std::string out(MaxWritten(head), '#');
  out.resize(WriteRequest(head, close, out));
  return out;
}

std::string Written(const ResponseHead& head, HttpVersion version = HttpVersion::k11,
                    bool close = false) {
  std::string out(MaxWritten(head), '#');
  out.resize(WriteResponse(head, version, close, out));
  return out;
}

TEST(ProxyHttp1Write, RequestAnew) {
  const RequestHead head = Parse(
      "POST http://A.example/x?y HTTP/1.1\r\nTE: trailers\r\nX-a:  1 \r\nhost: a.Example\r\n"
      "content-length: 007\r\nConnection: TE, X-Hop\r\nX-Hop: 1\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(Written(head),
            "POST /x?y HTTP/1.1\r\nHost: a.example\r\nX-a: 1\r\nContent-Length: 7\r\n\r\n");
  EXPECT_EQ(Written(head, /*close=*/true),
            "POST /x?y HTTP/1.1\r\nHost: a.example\r\nX-a: 1\r\nContent-Length: 7\r\n"
            "Connection: close\r\n\r\n");
}

TEST(ProxyHttp1Write, RequestOfHttp10IsOneOfHttp11) {
  EXPECT_EQ(Written(Parse("GET /? HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")),
            "GET /? HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(ProxyHttp1Write, ChunkedRequest) {
  EXPECT_EQ(Written(Parse("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n")),
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(ProxyHttp1Write, WebSocketRequest) {
  const std::string handshake =
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
  EXPECT_EQ(Written(Parse("GET /ws HTTP/1.1\r\nHost: a\r\nconnection: upgrade, foo\r\n"
                          "upgrade: WEBSOCKET\r\nFoo: 1\r\n" +
                          handshake + "\r\n"),
                    /*close=*/true),
            "GET /ws HTTP/1.1\r\nHost: a\r\n" + handshake +
                "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST(ProxyHttp1Write, RequestThatWasChanged) {
  RequestHead head =
      Parse("GET /a?b HTTP/1.1\r\nHost: a\r\nX-1: 1\r\nx-forwarded-for: evil\r\n\r\n");
  EXPECT_TRUE(head.SetTarget("/c"));
  EXPECT_TRUE(head.Set("Host", "Up.example:1"));
  EXPECT_TRUE(head.Set("X-Forwarded-For", "192.0.2.1"));
  EXPECT_TRUE(head.Add("X-1", *head.Find("X-1")));
  head.Remove("x-none");
  // What is for one connection only is not written, wherever it came from.
  EXPECT_TRUE(head.Set("Connection", "close"));
  EXPECT_TRUE(head.Set("Content-Length", "5"));
  EXPECT_TRUE(head.Set("Transfer-Encoding", "chunked"));
  EXPECT_EQ(Written(head),
            "GET /c HTTP/1.1\r\nHost: up.example:1\r\nX-1: 1\r\nX-Forwarded-For: 192.0.2.1\r\n"
            "X-1: 1\r\n\r\n");
}

TEST(ProxyHttp1Write, NothingGetsInThatEndsALine) {
  RequestHead head = Parse("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string before = Written(head);
  for (const std::string bad : {"a\r\nb", "a\rb", "a\nb", "a\x01", "\x7f", " a", "a\t"}) {
    SCOPED_TRACE(testing::PrintToString(bad));
    EXPECT_FALSE(head.Add("X", bad));
    EXPECT_FALSE(head.Set("X", bad));
    EXPECT_FALSE(head.Add(bad, "x"));
    EXPECT_FALSE(head.Set(bad, "x"));
    EXPECT_FALSE(head.SetMethod(bad));
    EXPECT_FALSE(head.SetTarget("/" + bad));
    EXPECT_FALSE(head.SetAuthority(bad));
    EXPECT_FALSE(head.Set("Host", bad));
  }
  EXPECT_FALSE(head.Add("X", std::string("\0", 1)));
  EXPECT_FALSE(head.Add("", "x"));
  EXPECT_FALSE(head.Add("X:", "x"));
  EXPECT_FALSE(head.SetTarget("relative"));
  EXPECT_FALSE(head.SetTarget("http://a/"));
  EXPECT_FALSE(head.SetMethod(""));
  EXPECT_EQ(Written(head), before);
}

// As HTTP/2 fills one.
TEST(ProxyHttp1Write, RequestMadeByHand) {
  RequestHead head;
  head.version = HttpVersion::k2;
  ASSERT_TRUE(head.SetMethod("PATCH"));
  ASSERT_TRUE(head.SetTarget("/x?"));
  ASSERT_TRUE(head.SetAuthority("[2001:DB8::1]:8"));
  ASSERT_TRUE(head.Add("cookie", "a"));
  head.framing = Framing::kChunked;
  EXPECT_EQ(head.method(), Method::kPatch);
  EXPECT_EQ(Written(head),
            "PATCH /x? HTTP/1.1\r\nHost: [2001:db8::1]:8\r\ncookie: a\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
}

TEST(ProxyHttp1Write, FieldsGrowWithoutHarmToTheirSources) {
  RequestHead head = Parse("GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789\r\n\r\n");
  for (int i = 0; i < 200; ++i) {
    const Field first = head.field(0);
    ASSERT_TRUE(head.Add(first.name, first.value));
  }
  ASSERT_EQ(head.field_count(), 201u);
  for (const Field field : head.fields()) EXPECT_EQ(field.value, "0123456789");
  head.Release();
  EXPECT_EQ(head.field_count(), 0u);
  EXPECT_EQ(head.path(), "");
}

ResponseHead ParseResponse(const std::string& bytes, Method method = Method::kGet,
                           Upgrade upgrade = Upgrade::kNone) {
  ResponseHead head;
  ResponseParser parser;
  parser.Begin(method, upgrade);
  EXPECT_EQ(parser.Feed(bytes, head).progress, HeadProgress::kDone) << bytes;
  return head;
}

TEST(ProxyHttp1Write, Responses) {
  struct Case {
    std::string in;
    Method method;
    HttpVersion version;
    bool close;
    std::string out;
  };
  const std::string ok = "HTTP/1.1 200 OK\r\n", length = "Content-Length: 5\r\n";
  const std::string chunked = "Transfer-Encoding: chunked\r\n", close = "Connection: close\r\n";
  const std::string end = "\r\n";
  for (const Case& wanted : std::initializer_list<Case>{
           {ok + length + "Keep-Alive: 5\r\nX: 1\r\n" + close + end, Method::kGet, HttpVersion::k11,
            false, ok + "X: 1\r\n" + length + end},
           {ok + length + end, Method::kGet, HttpVersion::k11, true, ok + length + close + end},
           {ok + chunked + end, Method::kGet, HttpVersion::k11, false, ok + chunked + end},
           {ok + chunked + end, Method::kGet, HttpVersion::k10, true, ok + close + end},
           {ok + chunked + end, Method::kGet, HttpVersion::k10, false, ok + close + end},
           {"HTTP/1.0 200\r\n\r\n", Method::kGet, HttpVersion::k11, false, ok + chunked + end},
           {ok + length + end, Method::kHead, HttpVersion::k11, false, ok + length + end},
           {ok + chunked + end, Method::kHead, HttpVersion::k11, false, ok + end},
           {"HTTP/1.1 304 Same\r\n" + length + end, Method::kGet, HttpVersion::k11, false,
            "HTTP/1.1 304 Same\r\n" + length + end},
           {"HTTP/1.1 204 \r\n" + length + end, Method::kGet, HttpVersion::k11, false,
            "HTTP/1.1 204 No Content\r\n\r\n"},
           {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", Method::kGet, HttpVersion::k11, false,
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"},
           {"HTTP/1.1 299 \r\n" + length + end, Method::kGet, HttpVersion::k11, false,
            "HTTP/1.1 299 \r\n" + length + end},
       }) {
    SCOPED_TRACE(wanted.in);
    EXPECT_EQ(Written(ParseResponse(wanted.in, wanted.method), wanted.version, wanted.close),
              wanted.out);
  }
}

TEST(ProxyHttp1Write, SwitchingProtocols) {
  EXPECT_EQ(Written(ParseResponse("HTTP/1.1 101 Go\r\nupgrade: WebSocket\r\nconnection: upgrade\r\n"
                                  "Sec-WebSocket-Accept: x\r\n\r\n",
                                  Method::kGet, Upgrade::kWebSocket)),
            "HTTP/1.1 101 Go\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\n\r\n");
}

TEST(ProxyHttp1Write, NotIntoTooSmallAPlace) {
  const RequestHead request = Parse("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n");
  std::string out(MaxWritten(request) - 1, '#');
  EXPECT_EQ(WriteRequest(request, false, out), 0u);
  const ResponseHead response = ParseResponse("HTTP/1.1 200 OK\r\nX: 1\r\n\r\n");
  out.assign(MaxWritten(response) - 1, '#');
  EXPECT_EQ(WriteResponse(response, HttpVersion::k11, false, out), 0u);
  EXPECT_EQ(out, std::string(out.size(), '#'));
}

TEST(ProxyHttp1Names, EveryKnownOneIsFound) {
  for (int number = 1; number < static_cast<int>(HeaderId::kCount); ++number) {
    const auto id = static_cast<HeaderId>(number);
    std::string name(NameOf(id));
    EXPECT_EQ(HeaderIdOf(name), id) << name;
    for (char& c : name) c = static_cast<char>(toupper(c));
    EXPECT_EQ(HeaderIdOf(name), id) << name;
    EXPECT_EQ(HeaderIdOf(name + "x"), HeaderId::kUnknown);
    EXPECT_EQ(HeaderIdOf(name.substr(1)), HeaderId::kUnknown);
  }
  EXPECT_EQ(HeaderIdOf(""), HeaderId::kUnknown);
  EXPECT_EQ(HeaderIdOf("Content\rLength"), HeaderId::kUnknown);
}

}  // namespace
}  // namespace bridgehead::proxy
