// Requests of HTTP/1: what is read out of a good one, and bytes, first lines, names and hosts that
// are refused.
#include "tests/unit/proxy_http1_request.h"

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridgehead::proxy {
namespace {

using std::string_literals::operator""s;
using ::testing::ElementsAre;
using ::testing::Pair;

TEST(ProxyHttp1Request, IsReadIntoItsParts) {
  const std::string bytes =
      "POST /http-bind?room=x&y HTTP/1.1\r\n"
      "Host: Meet.Example.ORG:8443\r\n"
      "User-Agent:\t test \t\r\n"
      "x-empty:\r\n"
      "Content-Length: 12\r\n"
      "Cookie: a=b; c=\"d\"\r\n"
      "\r\n";
  const Request request(bytes + "hello, world");
  ASSERT_EQ(request.progress(), HeadProgress::kDone);
  EXPECT_EQ(request.taken(), bytes.size());
  const RequestHead& head = request.head();
  EXPECT_EQ(head.method(), Method::kPost);
  EXPECT_EQ(head.method_text(), "POST");
  EXPECT_EQ(head.path(), "/http-bind");
  EXPECT_TRUE(head.has_query());
  EXPECT_EQ(head.query(), "room=x&y");
  EXPECT_EQ(head.authority(), "meet.example.org:8443");
  EXPECT_EQ(head.host(), "meet.example.org");
  EXPECT_EQ(head.port(), 8443);
  EXPECT_EQ(head.version, HttpVersion::k11);
  EXPECT_EQ(head.framing, Framing::kLength);
  EXPECT_EQ(head.content_length, 12u);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(head.upgrade, Upgrade::kNone);
  EXPECT_FALSE(head.expect_continue);
  EXPECT_THAT(FieldsOf(head), ElementsAre(Pair("User-Agent", "test"), Pair("x-empty", ""),
                                          Pair("Cookie", "a=b; c=\"d\"")));
  EXPECT_EQ(head.Find(HeaderId::kUserAgent), "test");
  EXPECT_EQ(head.Find("X-Empty"), "");
  EXPECT_EQ(head.Find("X-None"), std::nullopt);
}

TEST(ProxyHttp1Request, TargetsOfEachForm) {
  struct Target {
    std::string line, host, path, query;
    bool has_query;
  };
  for (const Target& wanted : std::vector<Target>{
           {"GET / HTTP/1.1", "a.example", "/", "", false},
           {"GET /? HTTP/1.1", "a.example", "/", "", true},
           {"GET /a//b/%2e%2E/;x=1,2?a=[1]|{2}^`\\?? HTTP/1.1", "a.example", "/a//b/%2e%2E/;x=1,2",
            "a=[1]|{2}^`\\??", true},
           {"GET http://A.example/x?y HTTP/1.1", "a.example", "/x", "y", true},
           {"GET HTTPS://a.example HTTP/1.1", "a.example", "/", "", false},
           {"GET http://a.example?y HTTP/1.1", "a.example", "/", "y", true},
           {"OPTIONS * HTTP/1.1", "a.example", "*", "", false},
           {"PROPFIND /dav HTTP/1.1", "a.example", "/dav", "", false},
           {"\r\nGET /after/an/empty/line HTTP/1.1", "a.example", "/after/an/empty/line", "",
            false},
       }) {
    SCOPED_TRACE(wanted.line);
    const Request request(Line(wanted.line));
    ASSERT_EQ(request.progress(), HeadProgress::kDone);
    EXPECT_EQ(request.head().host(), wanted.host);
    EXPECT_EQ(request.head().path(), wanted.path);
    EXPECT_EQ(request.head().query(), wanted.query);
    EXPECT_EQ(request.head().has_query(), wanted.has_query);
  }
}

TEST(ProxyHttp1Request, Hosts) {
  struct Host {
    std::string text, host;
    int port;
  };
  for (const Host& wanted : std::vector<Host>{
           {"a", "a", 0},
           {"A.B-c_d.example.", "a.b-c_d.example", 0},
           {"192.0.2.1:1", "192.0.2.1", 1},
           {"[2001:DB8::1]", "[2001:db8::1]", 0},
           {"[::ffff:192.0.2.1]:65535", "[::ffff:192.0.2.1]", 65535},
       }) {
    SCOPED_TRACE(wanted.text);
    const Request request("GET / HTTP/1.1\r\nHost: " + wanted.text + "\r\n\r\n");
    ASSERT_EQ(request.progress(), HeadProgress::kDone);
    EXPECT_EQ(request.head().host(), wanted.host);
    EXPECT_EQ(request.head().port(), wanted.port);
  }
  std::vector<Refused> refused;
  for (const std::string host : {"",
                                 "user@a.example",
                                 "a.example:",
                                 "a.example:0",
                                 "a.example:080",
                                 "a.example:65536",
                                 "a.example:8x",
                                 "a.example:+8",
                                 "a.example:99999999999",
                                 "a b",
                                 "a/b",
                                 "a?b",
                                 "a#b",
                                 "a\\b",
                                 "a,b",
                                 "a%2eb",
                                 "a:1:2",
                                 "[::1",
                                 "::1",
                                 "[]",
                                 "[::g]",
                                 "[fe80::1%25eth0]",
                                 "[v1.a]",
                                 "[::1]8",
                                 "[::1]:",
                                 "..",
                                 ".",
                                 "a..b",
                                 ".a",
                                 "a.example..",
                                 "\xc3\xa4.example",
                                 "a'b",
                                 "a\"b",
                                 "a;b",
                                 "[192.0.2.1]",
                                 "a@",
                                 "@a",
                                 ":80"}) {
    refused.push_back({"GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", Refusal::kBadHost, 400});
  }
  refused.push_back(
      {"GET / HTTP/1.1\r\nHost: " + std::string(256, 'a') + "\r\n\r\n", Refusal::kBadHost, 400});
  ExpectRefused(refused);
}

TEST(ProxyHttp1Request, HostIsThereOnceAndThatOfTheTarget) {
  ExpectRefused({
      {"GET / HTTP/1.1\r\n\r\n", Refusal::kNoHost, 400},
      {"GET / HTTP/1.0\r\n\r\n", Refusal::kNoHost, 400},
      {"GET http://a.example/ HTTP/1.1\r\n\r\n", Refusal::kNoHost, 400},
      {Get("Host: a.example\r\n"), Refusal::kSeveralHosts, 400},
      {Get("HOST: b.example\r\n"), Refusal::kSeveralHosts, 400},
      {Line("GET http://b.example/ HTTP/1.1"), Refusal::kHostDiffers, 400},
      {Line("GET http://a.example:80/ HTTP/1.1"), Refusal::kHostDiffers, 400},
      {Line("GET http://a.example./ HTTP/1.1"), Refusal::kHostDiffers, 400},
  });
}

TEST(ProxyHttp1Request, RequestLinesThatAreRefused) {
  ExpectRefused({
      {Line("GET /"), Refusal::kBadRequestLine, 400},  // HTTP/0.9
      {"GET /\r\n", Refusal::kBadRequestLine, 400},
      {Line("GET"), Refusal::kBadRequestLine, 400},
      {Line("GET  / HTTP/1.1"), Refusal::kBadRequestLine, 400},
      {Line("GET /  HTTP/1.1"), Refusal::kBadRequestLine, 400},
      {Line("GET / HTTP/1.1 "), Refusal::kBadRequestLine, 400},
      {Line("GET / a HTTP/1.1"), Refusal::kBadRequestLine, 400},
      {Line(" GET / HTTP/1.1"), Refusal::kBadRequestLine, 400},
      {Line("GET\t/\tHTTP/1.1"), Refusal::kControl, 400},
      {Line("GET /\tHTTP/1.1"), Refusal::kControl, 400},
      {Line("GET HTTP/1.1"), Refusal::kBadRequestLine, 400},
      {Line("G(T / HTTP/1.1"), Refusal::kBadRequestLine, 400},
      {Line("GET / http/1.1"), Refusal::kBadRequestLine, 400},
      {Line("GET / HTTP/1"), Refusal::kBadRequestLine, 400},
      {Line("GET / HTTP/1.10"), Refusal::kBadRequestLine, 400},
      {Line("GET / HTTP/01.1"), Refusal::kBadRequestLine, 400},
      {Line("GET / HTTP/1,1"), Refusal::kBadRequestLine, 400},
      {Line("GET / ICE/1.0"), Refusal::kBadRequestLine, 400},
      {Line("GET / RTSP/1.0"), Refusal::kBadRequestLine, 400},
      {Line("GET / HTTP/0.9"), Refusal::kVersion, 505},
      {Line("GET / HTTP/1.2"), Refusal::kVersion, 505},
      {Line("GET / HTTP/2.0"), Refusal::kVersion, 505},
      {Line("GET / HTTP/3.0"), Refusal::kVersion, 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::kVersion, 505},
      {Line("PRI / HTTP/1.1"), Refusal::kMethod, 501},
      {Line("BREW / HTTP/1.1"), Refusal::kMethod, 501},
      {Line("GETX / HTTP/1.1"), Refusal::kMethod, 501},
      {Line("get / HTTP/1.1"), Refusal::kMethod, 501},
      {Line("DESCRIBE / HTTP/1.1"), Refusal::kMethod, 501},
      {Line("TRACE / HTTP/1.1"), Refusal::kMethod, 501},
      {Line("CONNECT a.example:443 HTTP/1.1"), Refusal::kMethod, 501},
      {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::kBadRequestLine, 400},
      {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::kBareLf, 400},
      {"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::kBareCr, 400},
      {"\x16\x03\x01\x02", Refusal::kControl, 400},  // a ClientHello
  });
}

TEST(ProxyHttp1Request, TargetsThatAreRefused) {
  std::vector<Refused> refused = {
      {Line("GET * HTTP/1.1"), Refusal::kTargetForm, 400},
      {Line("POST * HTTP/1.1"), Refusal::kTargetForm, 400},
  };
  for (const std::string target : {"a.example:80",
                                   "a",
                                   "?x",
                                   "*/",
                                   "*x",
                                   "ftp://a.example/",
                                   "http:/a.example/",
                                   "http://",
                                   "http:///",
                                   "http://u@a.example/",
                                   "http://u:p@a.example/",
                                   "http://a.example:x/",
                                   "http://a b/",
                                   "https:a",
                                   "/#",
                                   "/a#b",
                                   "/?#",
                                   "/\"",
                                   "/<",
                                   "/>",
                                   "/a\\b",
                                   "/\x80",
                                   "/\xc3\xa4",
                                   "/?\"",
                                   "/?<",
                                   "/?>",
                                   "/?\xff",
                                   "http://a.example#",
                                   "http://a.example\\x"}) {
    const bool has_space = target.find(' ') != std::string::npos;
    refused.push_back({Line("GET " + target + " HTTP/1.1"),
                       has_space ? Refusal::kBadRequestLine : Refusal::kBadTarget, 400});
  }
  ExpectRefused(refused);
}

TEST(ProxyHttp1Request, LineEndsAndControls) {
  std::vector<Refused> refused = {
      {"GET / HTTP/1.1\nHost: a\r\n\r\n", Refusal::kBareLf, 400},
      {"GET / HTTP/1.1\r\nHost: a\n\r\n", Refusal::kBareLf, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", Refusal::kBareLf, 400},
      {"GET / HTTP/1.1\r\n\nHost: a\r\n\r\n", Refusal::kBareLf, 400},
      {"GET / HTTP/1.1\r\nHost\n: a\r\n\r\n", Refusal::kBareLf, 400},
      {"GET / HTTP/1.1\rHost: a\r\n\r\n", Refusal::kBareCr, 400},
      {"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", Refusal::kBareCr, 400},
      {"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", Refusal::kBareCr, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", Refusal::kBareCr, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n\rX", Refusal::kBareCr, 400},
      {"GET / HTTP/1.1\r\nHost\r\n: a\r\n\r\n", Refusal::kBadName, 400},
      {Get("X: a\r\n b\r\n"), Refusal::kFolded, 400},
      {Get("X: a\r\n\tb\r\n"), Refusal::kFolded, 400},
      {Get("X:\r\n b\r\n"), Refusal::kFolded, 400},
      {Get("X: a\r\n \r\n"), Refusal::kFolded, 400},
      {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Refusal::kFolded, 400},
      {Get("Transfer-Encoding:\r\n chunked\r\n"), Refusal::kFolded, 400},
  };
  for (int c = 0; c < 0x20; ++c) {
    if (c == '\t' || c == '\r' || c == '\n') continue;
    const std::string control(1, static_cast<char>(c));
    refused.push_back({Get("X: a" + control + "b\r\n"), Refusal::kControl, 400});
    refused.push_back({Get("X" + control + ": b\r\n"), Refusal::kControl, 400});
    refused.push_back({Line("GET /" + control + " HTTP/1.1"), Refusal::kControl, 400});
  }
  refused.push_back({Get("X: \x7f\r\n"), Refusal::kControl, 400});
  refused.push_back({Get("X\x7f: b\r\n"), Refusal::kControl, 400});
  refused.push_back({Line("GET /\x7f HTTP/1.1"), Refusal::kControl, 400});
  ExpectRefused(refused);
  // What is no control.
  EXPECT_EQ(Request(Get("X: a\tb \x80\xff\r\n")).progress(), HeadProgress::kDone);
}

TEST(ProxyHttp1Request, NamesThatAreRefused) {
  std::vector<Refused> refused = {
      {Get(": b\r\n"), Refusal::kEmptyName, 400},
      {Get(":\r\n"), Refusal::kEmptyName, 400},
      {Get("X : b\r\n"), Refusal::kSpaceInName, 400},
      {Get("X\t: b\r\n"), Refusal::kSpaceInName, 400},
      {Get("X Y: b\r\n"), Refusal::kSpaceInName, 400},
      {Get("Content-Length : 5\r\n"), Refusal::kSpaceInName, 400},
      {Get("Transfer-Encoding : chunked\r\n"), Refusal::kSpaceInName, 400},
      {Get("X\r\n"), Refusal::kBadName, 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nGET /x HTTP/1.1\r\n\r\n", Refusal::kSpaceInName, 400},
      {Get("\xc5\xbf: b\r\n"), Refusal::kBadName, 400},
  };
  for (const char c : "\"(),/;<=>?@[\\]{}\x80"s) {
    if (c == '\0') continue;
    refused.push_back({Get("X"s + c + ": b\r\n"), Refusal::kBadName, 400});
  }
  for (const char* name : {"X_Forwarded_For", "x-forwarded_for", "X_Real_IP", "Content_Length",
                           "content_length", "Transfer_Encoding", "Transfer.Encoding",
                           "X-Forwarded~Proto", "X_Client_IP", "Sec_WebSocket_Key"}) {
    refused.push_back({Get(name + ": 1\r\n"s), Refusal::kAlias, 400});
  }
  ExpectRefused(refused);
}

TEST(ProxyHttp1Request, OtherNamesThatCgiWouldMixUpAreDropped) {
  const Request request(Get("X_Auth: a\r\nX-Auth: b\r\nX.Auth: c\r\nx+y: d\r\nHost_: e\r\n"));
  ASSERT_EQ(request.progress(), HeadProgress::kDone);
  EXPECT_THAT(FieldsOf(request.head()), ElementsAre(Pair("X-Auth", "b")));
}

TEST(ProxyHttp1Request, Limits) {
  const auto target = [](size_t size) {
    return Line("GET /" + std::string(size - 1, 'a') + " HTTP/1.1");
  };
  EXPECT_EQ(Request(target(RequestParser::kMaxTarget)).progress(), HeadProgress::kDone);
  const auto fields = [](size_t count) {
    std::string text;
    for (size_t i = 1; i < count; ++i) text += "X:\r\n";
    return Get(text);
  };
  EXPECT_EQ(Request(fields(RequestParser::kMaxFields)).progress(), HeadProgress::kDone);
  const auto sized = [](size_t size) {
    const std::string rest = Get("X: \r\n");
    return Get("X: " + std::string(size - rest.size(), 'a') + "\r\n");
  };
  ASSERT_EQ(sized(RequestParser::kMaxHead).size(), RequestParser::kMaxHead);
  EXPECT_EQ(Request(sized(RequestParser::kMaxHead)).progress(), HeadProgress::kDone);
  ExpectRefused({
      {target(RequestParser::kMaxTarget + 1), Refusal::kTargetTooLong, 414},
      {target(100'000), Refusal::kTargetTooLong, 414},
      {std::string(100'000, 'A'), Refusal::kTargetTooLong, 414},
      {fields(RequestParser::kMaxFields + 1), Refusal::kTooManyFields, 431},
      {sized(RequestParser::kMaxHead + 1), Refusal::kHeadTooLong, 431},
      {"GET / HTTP/1.1\r\n" + std::string(100'000, 'A'), Refusal::kHeadTooLong, 431},
      {"GET / HTTP/1.1\r\nX: " + std::string(100'000, ' '), Refusal::kHeadTooLong, 431},
  });
}

TEST(ProxyHttp1Request, OneAfterAnother) {
  const std::string first = Get("X: 1\r\n"), second = "HEAD /2 HTTP/1.1\r\nHost: b\r\n\r\n";
  RequestParser parser;
  RequestHead head;
  HeadResult result = parser.Feed(first + second, head);
  ASSERT_EQ(result.progress, HeadProgress::kDone);
  EXPECT_EQ(result.taken, first.size());
  EXPECT_FALSE(parser.begun());
  EXPECT_EQ(parser.Feed("", head).progress, HeadProgress::kMore);
  EXPECT_FALSE(parser.begun());
  EXPECT_EQ(head.Find("x"), "1");
  EXPECT_EQ(parser.Feed(second.substr(0, 5), head).progress, HeadProgress::kMore);
  EXPECT_TRUE(parser.begun());
  result = parser.Feed(second.substr(5), head);
  ASSERT_EQ(result.progress, HeadProgress::kDone);
  EXPECT_EQ(head.method(), Method::kHead);
  EXPECT_EQ(head.path(), "/2");
  EXPECT_EQ(head.authority(), "b");
  EXPECT_EQ(head.field_count(), 0u);
}

}  // namespace
}  // namespace bridgehead::proxy
