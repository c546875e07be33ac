// What the load generator of the edge's comparison takes for a response and for an echo.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "bench/edge/http_head.h"
#include "bench/edge/websocket.h"

namespace bridgehead::edge_load {
namespace {

using Result = ResponseReader::Result;

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST(HttpHead, FieldsAreFoundWhateverTheirCase) {
  constexpr std::string_view kHead =
      "GET /bytes/5 HTTP/1.1\r\nHost: a\r\nX-Upgrade: no\r\nuPgrade:\t websocket "
      "\r\nEmpty:\r\n\r\n";
  EXPECT_EQ(HeadBytes(kHead), kHead.size());
  EXPECT_EQ(HeadBytes(kHead.substr(0, kHead.size() - 1)), 0U);
  EXPECT_EQ(FieldOf(kHead, "upgrade"), "websocket");
  EXPECT_EQ(FieldOf(kHead, "host"), "a");
  EXPECT_EQ(FieldOf(kHead, "empty"), "");
  EXPECT_EQ(FieldOf(kHead, "hos"), "");
  EXPECT_EQ(TargetOf(kHead), "/bytes/5");
  EXPECT_EQ(TargetOf("GET /\r\n\r\n"), "");
}

TEST(HttpHead, ResponsesAreWholeHoweverTheyAreCut) {
  constexpr std::string_view kResponse = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody";
  for (size_t cut = 1; cut < kResponse.size(); ++cut) {
    ResponseReader reader;
    ASSERT_EQ(reader.Feed(Bytes(kResponse.substr(0, cut))), Result::kMore) << cut;
    ASSERT_EQ(reader.Feed(Bytes(kResponse.substr(cut))), Result::kDone) << cut;
    EXPECT_EQ(reader.status(), 200U);
    EXPECT_EQ(reader.Feed(Bytes(kResponse)), Result::kDone) << "the next one";
  }
}

TEST(HttpHead, WhatAProxySaysItselfIsNoResponseOfTheOrigin) {
  for (const std::string_view text :
       {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nbody"}) {
    ResponseReader reader;
    EXPECT_EQ(reader.Feed(Bytes(text)), Result::kMalformed) << text;
  }
  ResponseReader reader;
  EXPECT_EQ(reader.Feed(Bytes(std::string(ResponseReader::kMaxHeadBytes + 1, 'a'))),
            Result::kMalformed);
}

TEST(HttpHead, AnUpgradeHasNoBody) {
  ResponseReader reader;
  EXPECT_EQ(reader.Feed(Bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")),
            Result::kDone);
  EXPECT_EQ(reader.status(), 101U);
}

TEST(WebSocket, AcceptIsThatOfTheRfc) {
  // RFC 6455 section 1.3
  EXPECT_EQ(AcceptFor("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocket, EchoesOfWholeFramesAlone) {
  const ClientFrame first = MessageFrame(1);
  const ClientFrame second = MessageFrame(2);
  std::string input(first.begin(), first.end());
  input.append(second.begin(), second.end() - 1);
  std::string output;
  bool valid = false;
  EXPECT_EQ(Echo(Bytes(input), &output, &valid), first.size());
  EXPECT_TRUE(valid);
  const ServerFrame expected = EchoFrame(1);
  EXPECT_EQ(output, std::string(expected.begin(), expected.end()));
  EXPECT_NE(EchoFrame(1), EchoFrame(2));
}

TEST(WebSocket, OtherFramesAreNotEchoed) {
  for (const size_t place : {0, 1}) {
    ClientFrame frame = MessageFrame(1);
    frame[place] ^= 0x01;  // another opcode, another length
    std::string output;
    bool valid = true;
    EXPECT_EQ(Echo(frame, &output, &valid), 0U);
    EXPECT_FALSE(valid);
    EXPECT_TRUE(output.empty());
  }
}

}  // namespace
}  // namespace bridgehead::edge_load
