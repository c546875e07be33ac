// Requests of HTTP/2, field by field: the same head, or the same refusal, as of HTTP/1.
#include <string>

#include <gtest/gtest.h>

#include "ctrl/proxy/http/grammar.h"
#include "ctrl/proxy/http/h2_request.h"
#include "ctrl/proxy/http/request_parser.h"
#include "tests/unit/proxy_h2_scene.h"

namespace bridgehead::proxy {
namespace {

using test::Request;

struct Read {
  RequestHead head;
  Refusal refusal = Refusal::kNone;
  std::string accept;
};

Read ReadAll(const test::H2Fields& fields, bool has_body = false) {
  Read read;
  H2RequestReader reader;
  for (const auto& [name, value] : fields) reader.Add(name, value, read.head);
  read.refusal = reader.Finish(has_body, read.head);
  read.accept = reader.accept();
  return read;
}

TEST(ProxyH2Request, BecomesAHead) {
  const Read read = ReadAll(Request("GET", "/a/b?c=d", {{"accept", "x"}, {"te", "trailers"}}));
  EXPECT_EQ(read.refusal, Refusal::kNone);
  EXPECT_EQ(read.head.version, HttpVersion::k2);
  EXPECT_EQ(read.head.method(), Method::kGet);
  EXPECT_EQ(read.head.path(), "/a/b");
  EXPECT_EQ(read.head.query(), "c=d");
  EXPECT_EQ(read.head.authority(), "meet.example");
  EXPECT_EQ(read.head.framing, Framing::kNone);
  EXPECT_EQ(read.head.field_count(), 1U);
}

TEST(ProxyH2Request, FramesTheBody) {
  EXPECT_EQ(ReadAll(Request("POST", "/"), true).head.framing, Framing::kChunked);
  const Read read = ReadAll(Request("POST", "/", {{"content-length", "12"}}), true);
  EXPECT_EQ(read.head.framing, Framing::kLength);
  EXPECT_EQ(read.head.content_length, 12U);
  EXPECT_FALSE(read.head.Has(HeaderId::kContentLength));
}

TEST(ProxyH2Request, JoinsCookieCrumbs) {
  const Read read =
      ReadAll(Request("GET", "/", {{"cookie", "a=1"}, {"accept", "x"}, {"cookie", "b=2"}}));
  EXPECT_EQ(read.head.Find(HeaderId::kCookie), "a=1; b=2");
  EXPECT_EQ(read.head.Count(HeaderId::kCookie), 1U);
}

TEST(ProxyH2Request, RefusesTwoOfWhatThereIsOnce) {
  for (const char* name :
       {"authorization", "origin", "content-type", "range", "sec-websocket-version"}) {
    EXPECT_EQ(ReadAll(Request("GET", "/", {{name, "a"}, {name, "a"}})).refusal, Refusal::kSeveral)
        << name;
    EXPECT_EQ(ReadAll(Request("GET", "/", {{name, "a"}})).refusal, Refusal::kNone) << name;
  }
  EXPECT_EQ(ReadAll(Request("GET", "/", {{"accept", "a"}, {"accept", "b"}})).refusal,
            Refusal::kNone);
}

TEST(ProxyH2Request, HostIsTheAuthority) {
  EXPECT_EQ(ReadAll(Request("GET", "/", {{"host", "MEET.example"}})).refusal, Refusal::kNone);
  EXPECT_EQ(ReadAll(Request("GET", "/", {{"host", "other.example"}})).refusal,
            Refusal::kHostDiffers);
  const test::H2Fields alone = {
      {":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {"host", "Only.example:8443"}};
  EXPECT_EQ(ReadAll(alone).head.authority(), "only.example:8443");
  EXPECT_EQ(ReadAll({{":method", "GET"}, {":scheme", "https"}, {":path", "/"}}).refusal,
            Refusal::kNoHost);
}

TEST(ProxyH2Request, RefusesAsHttp1Does) {
  const auto refusal = [](test::H2Fields more, std::string_view method = "GET",
                          std::string_view path = "/") {
    return ReadAll(Request(method, path, std::move(more))).refusal;
  };
  EXPECT_EQ(refusal({}, "CONNECT"), Refusal::kMethod);
  EXPECT_EQ(refusal({}, "TRACE"), Refusal::kMethod);
  EXPECT_EQ(refusal({}, "BREW"), Refusal::kMethod);
  EXPECT_EQ(refusal({}, "PROPFIND"), Refusal::kNone);
  EXPECT_EQ(refusal({}, "GE T"), Refusal::kBadRequestLine);
  EXPECT_EQ(refusal({}, "GET", "*"), Refusal::kTargetForm);
  EXPECT_EQ(refusal({}, "OPTIONS", "*"), Refusal::kNone);
  EXPECT_EQ(refusal({}, "GET", "no-slash"), Refusal::kBadTarget);
  EXPECT_EQ(refusal({}, "GET", "/a b"), Refusal::kBadTarget);
  EXPECT_EQ(refusal({}, "GET", "/" + std::string(RequestParser::kMaxTarget, 'a')),
            Refusal::kTargetTooLong);
  EXPECT_EQ(refusal({{"x_forwarded_for", "1.2.3.4"}}), Refusal::kAlias);
  EXPECT_EQ(refusal({{"content-length", "-1"}}), Refusal::kBadLength);
  EXPECT_EQ(refusal({{"content-length", "1"}, {"content-length", "1"}}), Refusal::kLengthConflict);
  EXPECT_EQ(refusal({{"expect", "wonders"}}), Refusal::kExpectation);
  EXPECT_EQ(refusal({{"a", "b\rc"}}), Refusal::kControl);
  EXPECT_EQ(refusal({{"a", std::string("b\0c", 3)}}), Refusal::kControl);
  EXPECT_EQ(refusal({{"a b", "c"}}), Refusal::kBadName);
  EXPECT_EQ(ReadAll(Request("GET", "/", {{"my_field", "x"}})).head.field_count(), 0U);
  EXPECT_EQ(ReadAll(Request("GET", "/", {{"proxy", "x"}})).head.field_count(), 0U);
}

TEST(ProxyH2Request, HasLimits) {
  test::H2Fields most(RequestParser::kMaxFields, {"a", "b"});
  EXPECT_EQ(ReadAll(Request("GET", "/", most)).refusal, Refusal::kNone);
  most.emplace_back("a", "b");
  EXPECT_EQ(ReadAll(Request("GET", "/", most)).refusal, Refusal::kTooManyFields);
  const std::string quarter(RequestParser::kMaxHead / 4, 'x');
  EXPECT_EQ(ReadAll(Request("GET", "/", {{"a", quarter}, {"b", quarter}, {"c", quarter}})).refusal,
            Refusal::kNone);
  EXPECT_EQ(
      ReadAll(Request("GET", "/",
                      {{"a", quarter}, {"cookie", quarter}, {"cookie", quarter}, {"b", quarter}}))
          .refusal,
      Refusal::kHeadTooLong);
}

// RFC 8441 section 5.
TEST(ProxyH2Request, WebSocketBecomesAHandshakeWithAKeyOfOurs) {
  const auto read = [](test::H2Fields more, const char* protocol = "websocket") {
    return ReadAll(Request("CONNECT", "/ws",
                           [&] {
                             more.insert(more.begin(), {":protocol", protocol});
                             return more;
                           }()),
                   true);
  };
  const Read good = read({{"sec-websocket-version", "13"}, {"sec-websocket-key", "mine"}});
  EXPECT_EQ(good.refusal, Refusal::kNone);
  EXPECT_EQ(good.head.upgrade, Upgrade::kWebSocket);
  EXPECT_EQ(good.head.method_text(), "GET");
  EXPECT_EQ(good.head.framing, Framing::kNone);
  EXPECT_EQ(good.head.Count(HeaderId::kSecWebSocketKey), 1U);
  EXPECT_TRUE(IsWebSocketKey(*good.head.Find(HeaderId::kSecWebSocketKey)));
  EXPECT_EQ(good.accept.size(), 28U);
  EXPECT_NE(good.accept, read({{"sec-websocket-version", "13"}}).accept);
  EXPECT_EQ(read({}).refusal, Refusal::kBadUpgrade);
  EXPECT_EQ(read({{"sec-websocket-version", "8"}}).refusal, Refusal::kWebSocketVersion);
  EXPECT_EQ(read({{"sec-websocket-version", "13"}}, "connect-udp").refusal, Refusal::kMethod);
}

}  // namespace
}  // namespace bridgehead::proxy
