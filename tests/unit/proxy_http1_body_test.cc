// Bodies of HTTP/1: where they end, and chunks that are refused.
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "ctrl/proxy/http/body.h"
#include "ctrl/proxy/http/write.h"

namespace bridgehead::proxy {
namespace {

struct Decoded {
  std::string body;
  size_t taken = 0;
  bool done = false;
  Refusal refusal = Refusal::kNone;
  bool operator==(const Decoded&) const = default;
};

Decoded DecodeIn(size_t step, Framing framing, uint64_t length, std::string_view bytes) {
  BodyDecoder decoder;
  decoder.Begin(framing, length);
  Decoded decoded;
  while (!bytes.empty() && !decoder.done() && decoded.refusal == Refusal::kNone) {
    const std::string_view piece = bytes.substr(0, step);
    const BodyDecoder::Result result = decoder.Next(piece);
    // The body's bytes are those that were given, not copies.
    EXPECT_TRUE(result.body.empty() ||
                (result.body.data() >= piece.data() &&
                 result.body.data() + result.body.size() == piece.data() + result.taken));
    decoded.body += result.body;
    decoded.taken += result.taken;
    decoded.refusal = result.refusal;
    bytes.remove_prefix(result.taken);
  }
  decoded.done = decoder.done();
  return decoded;
}

Decoded Decode(Framing framing, uint64_t length, const std::string& bytes) {
  const Decoded whole = DecodeIn(bytes.size(), framing, length, bytes);
  for (const size_t step : {1, 2, 3, 7}) {
    const Decoded pieces = DecodeIn(step, framing, length, bytes);
    EXPECT_EQ(pieces.body, whole.body) << step;
    EXPECT_EQ(pieces.done, whole.done) << step;
    EXPECT_EQ(pieces.refusal, whole.refusal) << step;
    if (whole.refusal != Refusal::kNone) continue;
    EXPECT_EQ(pieces.taken, whole.taken) << step;
  }
  return whole;
}

Decoded Chunks(const std::string& bytes) {
  return Decode(Framing::kChunked, 0, bytes);
}

TEST(ProxyHttp1Body, WithoutOne) {
  BodyDecoder decoder;
  decoder.Begin(Framing::kNone, 0);
  EXPECT_TRUE(decoder.done());
  EXPECT_EQ(decoder.Next("GET").taken, 0u);
  decoder.Begin(Framing::kLength, 0);
  EXPECT_TRUE(decoder.done());
}

TEST(ProxyHttp1Body, OfALength) {
  EXPECT_EQ(Decode(Framing::kLength, 5, "helloGET / HTTP/1.1"),
            (Decoded{"hello", 5, true, Refusal::kNone}));
  EXPECT_EQ(Decode(Framing::kLength, 6, "hello"), (Decoded{"hello", 5, false, Refusal::kNone}));
}

TEST(ProxyHttp1Body, UntilTheConnectionCloses) {
  EXPECT_EQ(Decode(Framing::kUntilClose, 0, "0\r\n\r\n"),
            (Decoded{"0\r\n\r\n", 5, false, Refusal::kNone}));
}

TEST(ProxyHttp1Body, InChunks) {
  const std::string bytes = "5\r\nhello\r\n00A\r\n, world\r\n!\r\n000\r\n\r\n";
  EXPECT_EQ(Chunks(bytes + "GET"),
            (Decoded{"hello, world\r\n!", bytes.size(), true, Refusal::kNone}));
  EXPECT_EQ(Chunks("0\r\n\r\n"), (Decoded{"", 5, true, Refusal::kNone}));
  EXPECT_EQ(Chunks("aB\r\n" + std::string(0xab, 'x') + "\r\n0\r\n\r\n").body.size(), 0xabu);
  EXPECT_FALSE(Chunks("5\r\nhello\r\n0\r\n").done);
  EXPECT_FALSE(Chunks("ffffffffffffffff\r\nhello").done);
}

TEST(ProxyHttp1Body, TrailersAreDropped) {
  const std::string bytes = "1\r\nx\r\n0\r\nX-Sum: 1\r\nContent-Length: 5\r\n\r\n";
  EXPECT_EQ(Chunks(bytes + "GET"), (Decoded{"x", bytes.size(), true, Refusal::kNone}));
}

TEST(ProxyHttp1Body, ChunksThatAreRefused) {
  struct Refused {
    std::string bytes;
    Refusal refusal;
    int status;
  };
  std::string many;
  for (size_t i = 0; i <= BodyDecoder::kMaxTrailerFields; ++i) many += "X:\r\n";
  for (const auto& [bytes, refusal, status] : std::vector<Refused>{
           {"\r\n", Refusal::kChunkSize, 400},
           {"x\r\n", Refusal::kChunkSize, 400},
           {"-1\r\n", Refusal::kChunkSize, 400},
           {"+1\r\n", Refusal::kChunkSize, 400},
           {" 1\r\n", Refusal::kChunkSize, 400},
           {"1 \r\n", Refusal::kChunkSize, 400},
           {"0x1\r\n", Refusal::kChunkSize, 400},
           {"1_0\r\n", Refusal::kChunkSize, 400},
           {"1\x80\r\n", Refusal::kChunkSize, 400},
           {"10000000000000000\r\n", Refusal::kChunkSize, 400},
           {"00000000000000001\r\n", Refusal::kChunkSize, 400},
           {";a\r\n", Refusal::kChunkSize, 400},
           {"1;a=b\r\nx\r\n", Refusal::kChunkExtension, 400},
           {"0;\r\n\r\n", Refusal::kChunkExtension, 400},
           {"1\nx\r\n", Refusal::kBareLf, 400},
           {"\n", Refusal::kChunkSize, 400},
           {"1\rx", Refusal::kBareCr, 400},
           {"1\r\nxy\r\n", Refusal::kChunkEnd, 400},
           {"2\r\nx\r\n", Refusal::kChunkEnd, 400},
           {"1\r\nx\n", Refusal::kChunkEnd, 400},
           {"1\r\nx\rx", Refusal::kChunkEnd, 400},
           {"1\r\nx0\r\n\r\n", Refusal::kChunkEnd, 400},
           {"0\r\n\n", Refusal::kBareLf, 400},
           {"0\r\nX: a\n\r\n", Refusal::kBareLf, 400},
           {"0\r\nX: a\r\n b\r\n\r\n", Refusal::kFolded, 400},
           {"0\r\nGET / HTTP/1.1\r\n", Refusal::kSpaceInName, 400},
           {"0\r\n: a\r\n", Refusal::kEmptyName, 400},
           {std::string("0\r\nX: \0\r\n", 9), Refusal::kControl, 400},
           {"0\r\n" + many, Refusal::kTrailersTooLong, 431},
           {"0\r\nX: " + std::string(BodyDecoder::kMaxTrailerBytes, 'a'), Refusal::kTrailersTooLong,
            431},
       }) {
    SCOPED_TRACE(testing::PrintToString(bytes.substr(0, 100)));
    const Decoded decoded = Chunks(bytes);
    EXPECT_FALSE(decoded.done);
    EXPECT_EQ(TextOf(decoded.refusal), TextOf(refusal));
    EXPECT_EQ(StatusOf(decoded.refusal), status);
  }
}

TEST(ProxyHttp1Body, ChunksAsTheyAreWritten) {
  EXPECT_EQ(MakeChunkHeader(1).text(), "1\r\n");
  EXPECT_EQ(MakeChunkHeader(0xabc).text(), "abc\r\n");
  EXPECT_EQ(MakeChunkHeader(UINT64_MAX).text(), "ffffffffffffffff\r\n");
  std::string bytes(MakeChunkHeader(5).text());
  bytes.append("hello").append(kChunkEnd).append(kLastChunk);
  EXPECT_EQ(Chunks(bytes), (Decoded{"hello", bytes.size(), true, Refusal::kNone}));
}

}  // namespace
}  // namespace bridgehead::proxy
