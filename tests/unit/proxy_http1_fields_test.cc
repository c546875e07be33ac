// Requests of HTTP/1: what fields say about the body, the connection, expectations and upgrades.
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/proxy_http1_request.h"

namespace bridgehead::proxy {
namespace {

using std::string_literals::operator""s;
using ::testing::ElementsAre;
using ::testing::Pair;

TEST(ProxyHttp1Fields, LengthsThatAreRefused) {
  std::vector<Refused> refused;
  for (const std::string length :
       {"", "+5", "-5", "5,5", "5, 5", "5 5", "0x5", "5.0", "five", "5;", "\"5\"", "5\t",
        "18446744073709551616", "99999999999999999999999999"}) {
    refused.push_back({Get("Content-Length: " + length + "\r\n"), Refusal::kBadLength, 400});
  }
  refused.push_back(
      {Get("Content-Length: 5\r\nContent-Length: 5\r\n"), Refusal::kLengthConflict, 400});
  refused.push_back(
      {Get("Content-Length: 5\r\ncontent-length: 6\r\n"), Refusal::kLengthConflict, 400});
  ExpectRefused(refused);
}

TEST(ProxyHttp1Fields, Lengths) {
  const Request most(Get("Content-Length: 18446744073709551615\r\n"));
  ASSERT_EQ(most.progress(), HeadProgress::kDone);
  EXPECT_EQ(most.head().content_length, UINT64_MAX);
  const Request zero(Get("Content-Length: 000 \r\n"));
  ASSERT_EQ(zero.progress(), HeadProgress::kDone);
  EXPECT_EQ(zero.head().framing, Framing::kLength);
  EXPECT_EQ(zero.head().content_length, 0u);
}

// CL.TE, TE.CL, TE.TE and what hides a Transfer-Encoding from one of two programs.
TEST(ProxyHttp1Fields, TransferCodingsThatAreRefused) {
  const std::string te = "Transfer-Encoding: ", cl = "Content-Length: 6\r\n";
  std::vector<Refused> refused = {
      {Get(cl + te + "chunked\r\n"), Refusal::kLengthConflict, 400},
      {Get(te + "chunked\r\n" + cl), Refusal::kLengthConflict, 400},
      {Get(te + "identity\r\n" + cl), Refusal::kLengthConflict, 400},
      {Get(te + "xchunked\r\n" + cl), Refusal::kLengthConflict, 400},
      {Get(te + "\r\n" + cl), Refusal::kBadTransferCoding, 400},
      {Get(te + "\r\n"), Refusal::kBadTransferCoding, 400},
      {Get(te + "chunked\r\n" + te + "chunked\r\n"), Refusal::kBadTransferCoding, 400},
      {Get(te + "chunked\r\n" + te + "identity\r\n"), Refusal::kBadTransferCoding, 400},
      {Get(te + "identity\r\n" + te + "chunked\r\n"), Refusal::kBadTransferCoding, 400},
      {Get(te + "gzip\r\n" + te + "chunked\r\n"), Refusal::kBadTransferCoding, 400},
      {Get(te + "\r\n" + te + "chunked\r\n"), Refusal::kBadTransferCoding, 400},
      {Get(te + "chunked\r\n" + te + "\r\n"), Refusal::kBadTransferCoding, 400},
      {Get(te + "chunked, chunked\r\n"), Refusal::kBadTransferCoding, 400},
      {Get(te + "chunked, identity\r\n"), Refusal::kBadTransferCoding, 400},
      {Get(te + "chunked,\r\n"), Refusal::kBadTransferCoding, 400},
      {Get(te + "\x0b" + "chunked\r\n"), Refusal::kControl, 400},
      {Get(te + "\n chunked\r\n"), Refusal::kBareLf, 400},
      {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::kUnframed, 400},
  };
  for (const char* coding :
       {"identity", "xchunked", "chunkedx", "gzip", "gzip, chunked", ",chunked", "chunked;q=1",
        "\"chunked\"", "'chunked'", "chunked \x80", "x chunked"}) {
    refused.push_back({Get(te + coding + "\r\n"), Refusal::kTransferCoding, 501});
  }
  ExpectRefused(refused);
}

TEST(ProxyHttp1Fields, ChunkedAloneIsTaken) {
  for (const char* coding : {"chunked", "CHUNKED", "\t chunked"}) {
    SCOPED_TRACE(coding);
    const Request request(Get("Transfer-Encoding: "s + coding + "\r\n"));
    ASSERT_EQ(request.progress(), HeadProgress::kDone);
    EXPECT_EQ(request.head().framing, Framing::kChunked);
    EXPECT_TRUE(FieldsOf(request.head()).empty());
  }
}

TEST(ProxyHttp1Fields, ConnectionOptions) {
  struct Case {
    std::string version, fields;
    bool keep_alive;
  };
  for (const Case& wanted : std::vector<Case>{{"1.1", "", true},
                                              {"1.1", "Connection: close\r\n", false},
                                              {"1.1", "Connection: , Keep-Alive ,CLOSE\r\n", false},
                                              {"1.1", "Connection: keep-alive\r\n", true},
                                              {"1.1", "Connection: closed\r\n", true},
                                              {"1.0", "", false},
                                              {"1.0", "Connection: keep-alive\r\n", false}}) {
    SCOPED_TRACE(wanted.version + wanted.fields);
    const Request request("GET / HTTP/" + wanted.version + "\r\nHost: a\r\n" + wanted.fields +
                          "\r\n");
    ASSERT_EQ(request.progress(), HeadProgress::kDone);
    EXPECT_EQ(request.head().keep_alive, wanted.keep_alive);
  }
  std::string many = "Connection: a";
  for (int i = 0; i < 16; ++i) many += ",a";
  ExpectRefused({
      {Get("Connection: close;x\r\n"), Refusal::kBadConnection, 400},
      {Get("Connection: a b\r\n"), Refusal::kBadConnection, 400},
      {Get("Connection: Host\r\n"), Refusal::kBadConnection, 400},
      {Get("Connection: close, content-length\r\n"), Refusal::kBadConnection, 400},
      {Get("Connection: Transfer-Encoding\r\n"), Refusal::kBadConnection, 400},
      {Get(many + "\r\n"), Refusal::kBadConnection, 400},
  });
}

TEST(ProxyHttp1Fields, WhatIsForOneConnectionIsRemoved) {
  const Request request(
      Get("Connection: X-Mine, te\r\nX-Mine: 1\r\nX-Other: 2\r\nx-mine: 3\r\nTE: trailers\r\n"
          "Keep-Alive: 5\r\nProxy-Connection: close\r\nTrailer: X\r\nUpgrade: h2c\r\n"
          "HTTP2-Settings: AAA\r\nProxy-Authorization: Basic x\r\nProxy: http://evil/\r\n"
          "Expect: 100-continue\r\nAuthorization: Basic y\r\n"));
  ASSERT_EQ(request.progress(), HeadProgress::kDone);
  EXPECT_THAT(FieldsOf(request.head()),
              ElementsAre(Pair("X-Other", "2"), Pair("Authorization", "Basic y")));
}

TEST(ProxyHttp1Fields, Expectations) {
  const auto expects = [](const std::string& fields) {
    const Request request(Get(fields));
    EXPECT_EQ(request.progress(), HeadProgress::kDone);
    return request.head().expect_continue;
  };
  EXPECT_TRUE(expects("Expect: 100-Continue\r\nContent-Length: 1\r\n"));
  EXPECT_TRUE(expects("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_FALSE(expects("Expect: 100-continue\r\n"));
  EXPECT_FALSE(expects("Expect: 100-continue\r\nContent-Length: 0\r\n"));
  ExpectRefused({
      {Get("Expect: 200-ok\r\n"), Refusal::kExpectation, 417},
      {Get("Expect:\r\n"), Refusal::kExpectation, 417},
      {Get("Expect: 100-continue\r\nExpect: 100-continue\r\n"), Refusal::kExpectation, 417},
  });
}

const char kKey[] = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const char kVersion[] = "Sec-WebSocket-Version: 13\r\n";
const char kUpgrade[] = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";

TEST(ProxyHttp1Fields, WebSocketHandshake) {
  const std::string bytes = Get(kUpgrade + std::string(kKey) + kVersion + "Content-Length: 0\r\n");
  const Request request(bytes + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(request.progress(), HeadProgress::kDone);
  EXPECT_EQ(request.taken(), bytes.size());
  EXPECT_EQ(request.head().upgrade, Upgrade::kWebSocket);
  EXPECT_EQ(request.head().framing, Framing::kNone);
  EXPECT_FALSE(request.head().keep_alive);
  EXPECT_EQ(request.head().field_count(), 2u);
}

TEST(ProxyHttp1Fields, OfSomeThereIsOne) {
  for (const std::string name :
       {"Authorization", "Cookie", "Origin", "Content-Type", "Content-Range", "Range", "If-Range",
        "If-Modified-Since", "If-Unmodified-Since", "Sec-WebSocket-Key"}) {
    ExpectRefused({{Get(name + ": a\r\n" + name + ": a\r\n"), Refusal::kSeveral, 400}});
  }
  const Request lists(Get("Accept: a\r\nAccept: b\r\nX-Own: a\r\nX-Own: b\r\n"));
  EXPECT_EQ(lists.progress(), HeadProgress::kDone);
}

TEST(ProxyHttp1Fields, WebSocketHandshakesThatAreRefused) {
  const std::string key = kKey, version = kVersion, upgrade = kUpgrade;
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n" + upgrade + key + version + "\r\n";
  ExpectRefused({
      {post, Refusal::kBadUpgrade, 400},
      {Get(upgrade + version), Refusal::kBadUpgrade, 400},
      {Get(upgrade + key), Refusal::kBadUpgrade, 400},
      {Get(upgrade + key + key + version), Refusal::kSeveral, 400},
      {Get(upgrade + key + version + version), Refusal::kSeveral, 400},
      {Get(upgrade + key + "Sec-WebSocket-Version: 8\r\n"), Refusal::kWebSocketVersion, 426},
      {Get(upgrade + key + "Sec-WebSocket-Version: 13, 8\r\n"), Refusal::kWebSocketVersion, 426},
      {Get(upgrade + "Sec-WebSocket-Key: short==\r\n" + version), Refusal::kBadUpgrade, 400},
      {Get(upgrade + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n" + version),
       Refusal::kBadUpgrade, 400},
      {Get(upgrade + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n" + version),
       Refusal::kBadUpgrade, 400},
      {Get(upgrade + key + version + "Content-Length: 5\r\n"), Refusal::kBadUpgrade, 400},
      {Get(upgrade + key + version + "Transfer-Encoding: chunked\r\n"), Refusal::kBadUpgrade, 400},
      {Get("Connection: upgrade\r\nUpgrade: h2c, websocket\r\n" + key + version),
       Refusal::kBadUpgrade, 400},
      {Get(upgrade + "Upgrade: h2c\r\n" + key + version), Refusal::kBadUpgrade, 400},
  });
}

TEST(ProxyHttp1Fields, UpgradesThatMeanNothing) {
  const std::string handshake = std::string(kKey) + kVersion;
  for (const std::string& bytes :
       {Get("Upgrade: websocket\r\n" + handshake), Get("Connection: upgrade\r\n" + handshake),
        Get("Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"),
        "GET / HTTP/1.0\r\nHost: a\r\n" + std::string(kUpgrade) + handshake + "\r\n"}) {
    SCOPED_TRACE(bytes);
    const Request request(bytes);
    ASSERT_EQ(request.progress(), HeadProgress::kDone);
    EXPECT_EQ(request.head().upgrade, Upgrade::kNone);
    EXPECT_FALSE(request.head().Has(HeaderId::kUpgrade));
  }
}

}  // namespace
}  // namespace bridgehead::proxy
