// The PROXY protocol: headers read and written, and those that are none.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ctrl/proxy/accept/proxy_header.h"

namespace bridgehead::proxy {
namespace {

using namespace std::string_literals;
using Progress = ProxyHeader::Progress;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

ProxyHeader Parse(const std::string& text) {
  return ParseProxyHeader(std::vector<uint8_t>(text.begin(), text.end()));
}

SocketAddress At(const char* address, uint16_t port) {
  return {*config::Address::Parse(address), port};
}

std::string V2(uint8_t command, uint8_t family, const std::string& rest, int more = 0) {
  const size_t size = rest.size() + static_cast<size_t>(more);
  return kSignature + static_cast<char>(command) + static_cast<char>(family) +
         static_cast<char>(size >> 8) + static_cast<char>(size) + rest;
}

std::string Tlv(uint8_t type, const std::string& value, int more = 0) {
  const size_t size = value.size() + static_cast<size_t>(more);
  return std::string{static_cast<char>(type), static_cast<char>(size >> 8),
                     static_cast<char>(size)} +
         value;
}

const std::string kV4Block = "\xc0\0\x02\x01\xc0\0\x02\x02\x12\x34\x01\xbb"s;

void ExpectPrefixesWait(const std::string& header) {
  for (size_t size = 0; size < header.size(); ++size) {
    const ProxyHeader prefix = Parse(header.substr(0, size));
    ASSERT_EQ(prefix.progress, Progress::kMore) << size;
    ASSERT_GT(prefix.bytes, size);
    ASSERT_LE(prefix.bytes, header.size());
  }
  for (const char* behind : {"", "\r\n", "PROXY ", "\x16\x03\x01"}) {
    const ProxyHeader whole = Parse(header + behind);
    ASSERT_EQ(whole.progress, Progress::kDone);
    ASSERT_EQ(whole.bytes, header.size());
  }
}

void ExpectLine(const std::string& line, const SocketAddress& source,
                const SocketAddress& destination) {
  const ProxyHeader header = Parse(line);
  EXPECT_EQ(header.progress, Progress::kDone) << line;
  EXPECT_EQ(header.source, source) << line;
  EXPECT_EQ(header.destination, destination) << line;
  ExpectPrefixesWait(line);
}

TEST(ProxyHeaderV1, Lines) {
  ExpectLine("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", At("192.0.2.1", 56324),
             At("198.51.100.2", 443));
  ExpectLine("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
             At("255.255.255.255", 65535), At("255.255.255.255", 65535));
  ExpectLine("PROXY TCP6 2001:DB8::1 2001:db8::2 0 1\r\n", At("2001:db8::1", 0),
             At("2001:db8::2", 1));
  ExpectLine("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2\r\n", At("192.0.2.1", 1),
             At("192.0.2.2", 2));
  ExpectLine("PROXY UNKNOWN\r\n", {}, {});
  const std::string address(39, 'f');
  const std::string longest = "PROXY UNKNOWN " + address + " " + address + " 65535 65535\r\n";
  ASSERT_EQ(longest.size(), kMaxProxyV1Bytes);
  ExpectLine(longest, {}, {});
  EXPECT_EQ(Parse("PROXY UNKNOWN " + std::string(92, 'f') + "\r\n").progress, Progress::kBad);
  // It is known before the line's end comes.
  EXPECT_EQ(Parse("PROXY UNKNOWN " + std::string(92, 'f')).progress, Progress::kBad);
}

TEST(ProxyHeaderV1, LinesThatAreNone) {
  for (const std::string& rest : {"TCP4 192.0.2.1 192.0.2.2 1 2\n"s,
                                  "TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n"s,
                                  "TCP4  192.0.2.1 192.0.2.2 1 2\r\n"s,
                                  "TCP4 192.0.2.1  192.0.2.2 1 2\r\n"s,
                                  "TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"s,
                                  "TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"s,
                                  "TCP4 192.0.2.1 192.0.2.2 1\r\n"s,
                                  "TCP4 192.0.2.1 192.0.2.2 1 65536\r\n"s,
                                  "TCP4 192.0.2.1 192.0.2.2 01 2\r\n"s,
                                  "TCP4 192.0.2.1 192.0.2.2 1 +2\r\n"s,
                                  "TCP4 192.0.2.1 192.0.2.2 1 \r\n"s,
                                  "TCP4 192.0.2.01 192.0.2.2 1 2\r\n"s,
                                  "TCP4 192.0.2 192.0.2.2 1 2\r\n"s,
                                  "TCP4 192.0.2.256 192.0.2.2 1 2\r\n"s,
                                  "TCP4 2001:db8::1 2001:db8::2 1 2\r\n"s,
                                  "TCP6 192.0.2.1 192.0.2.2 1 2\r\n"s,
                                  "TCP6 2001:db8::1%lo 2001:db8::2 1 2\r\n"s,
                                  "TCP6 2001:db8:: 192.0.2.2 1 2\r\n"s,
                                  "TCP4\t192.0.2.1 192.0.2.2 1 2\r\n"s,
                                  "UDP4 192.0.2.1 192.0.2.2 1 2\r\n"s,
                                  "tcp4 192.0.2.1 192.0.2.2 1 2\r\n"s,
                                  "UNKNOWNX\r\n"s,
                                  "UNKNOWN x\ry\r\n"s,
                                  "\r\n"s,
                                  "TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"s,
                                  "TCP4 \r\n"s}) {
    EXPECT_EQ(Parse("PROXY " + rest).progress, Progress::kBad) << rest;
  }
  EXPECT_EQ(Parse("PROXYTCP4 ").progress, Progress::kNone);
  EXPECT_EQ(Parse("proxy TCP4 ").progress, Progress::kNone);
  EXPECT_EQ(Parse("POST / HTTP/1.1\r\n").progress, Progress::kNone);
  EXPECT_EQ(Parse("\r\n\r\nGET").progress, Progress::kNone);
}

TEST(ProxyHeaderV2, Addresses) {
  const std::string v4 = V2(0x21, 0x11, kV4Block);
  const ProxyHeader header = Parse(v4);
  EXPECT_EQ(header.source, At("192.0.2.1", 0x1234));
  EXPECT_EQ(header.destination, At("192.0.2.2", 443));
  ExpectPrefixesWait(v4);
  const std::string from = config::Address::Parse("2001:db8::1")->bytes();
  const std::string to = config::Address::Parse("::ffff:192.0.2.7")->bytes();
  const std::string v6 = V2(0x21, 0x21, from + to + "\0\x07\0\x08"s);
  EXPECT_EQ(Parse(v6).source, At("2001:db8::1", 7));
  EXPECT_EQ(Parse(v6).destination, At("192.0.2.7", 8));
  ExpectPrefixesWait(v6);
}

TEST(ProxyHeaderV2, WhatKeepsTheConnectionsAddresses) {
  const std::string noise = "not a TLV, nor an address";
  for (const std::string& header :
       {V2(0x20, 0, ""), V2(0x20, 0x11, kV4Block), V2(0x20, 0xff, noise), V2(0x21, 0, noise),
        V2(0x21, 0x12, kV4Block), V2(0x21, 0x31, std::string(216, 'u')), V2(0x21, 0x10, "")}) {
    EXPECT_TRUE(Parse(header).source.empty());
    ExpectPrefixesWait(header);
  }
}

TEST(ProxyHeaderV2, HeadersThatAreNone) {
  for (const uint8_t command : {0x00, 0x01, 0x11, 0x22, 0x2f, 0x31}) {
    EXPECT_EQ(Parse(kSignature + static_cast<char>(command)).progress, Progress::kBad);
  }
  for (const uint8_t family : {0x13, 0x41, 0xf1, 0x1f}) {
    EXPECT_EQ(Parse(kSignature + '\x21' + static_cast<char>(family)).progress, Progress::kBad);
  }
  EXPECT_EQ(Parse(V2(0x21, 0x11, kV4Block.substr(1))).progress, Progress::kBad);
  EXPECT_EQ(Parse(V2(0x21, 0x21, std::string(35, '\0'))).progress, Progress::kBad);
  EXPECT_EQ(Parse(kSignature.substr(0, 11) + "x").progress, Progress::kNone);
}

TEST(ProxyHeaderV2, LengthHasALimit) {
  const size_t most = kMaxProxyHeaderBytes - 16;
  const std::string noop = Tlv(4, std::string(most - kV4Block.size() - 3, '\0'));
  EXPECT_EQ(Parse(V2(0x21, 0x11, kV4Block + noop)).progress, Progress::kDone);
  EXPECT_EQ(Parse(V2(0x21, 0x11, kV4Block + noop + "x")).progress, Progress::kBad);
  EXPECT_EQ(Parse(V2(0x20, 0, "", static_cast<int>(most) + 1)).progress, Progress::kBad);
  EXPECT_EQ(Parse(V2(0x20, 0, "", static_cast<int>(most))).progress, Progress::kMore);
}

TEST(ProxyHeaderV2, Tlvs) {
  const auto parse = [](const std::string& tlvs) {
    return Parse(V2(0x21, 0x11, kV4Block + tlvs)).progress;
  };
  EXPECT_EQ(parse(Tlv(1, "h2") + Tlv(0xea, "") + Tlv(2, "a.example.org")), Progress::kDone);
  EXPECT_EQ(parse("x"), Progress::kBad);
  EXPECT_EQ(parse("\x04\0"s), Progress::kBad);
  EXPECT_EQ(parse(Tlv(4, "ab", 1)), Progress::kBad);
  EXPECT_EQ(parse(Tlv(4, "ab", -1)), Progress::kBad);
}

// Bit by bit, after RFC 4960 appendix B; known sums are those of RFC 3720 appendix B.4.
uint32_t SlowCrc32c(const std::string& bytes) {
  uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

TEST(ProxyHeaderV2, ASumMustBeRight) {
  ASSERT_EQ(SlowCrc32c(std::string(32, '\0')), 0x8a9136aau);
  const std::string behind = Tlv(4, "x");
  const std::string zeros = V2(0x21, 0x11, kV4Block + Tlv(3, "\0\0\0\0"s) + behind);
  const uint32_t crc = SlowCrc32c(zeros);
  std::string right = zeros;
  for (size_t i = 0; i < 4; ++i) right[16 + 12 + 3 + i] = static_cast<char>(crc >> (24 - 8 * i));
  EXPECT_EQ(Parse(right).progress, Progress::kDone);
  ExpectPrefixesWait(right);
  for (size_t at = 16; at < right.size(); ++at) {
    if (at == 16 + kV4Block.size()) continue;  // its type: without it there is no sum
    std::string wrong = right;
    wrong[at] ^= 0x10;
    EXPECT_EQ(Parse(wrong).progress, Progress::kBad) << at;
  }
  EXPECT_EQ(Parse(V2(0x21, 0x11, kV4Block + Tlv(3, ""))).progress, Progress::kBad);
  EXPECT_EQ(Parse(V2(0x21, 0x11, kV4Block + Tlv(3, "12345"))).progress, Progress::kBad);
}

std::string Written(ProxyVersion version, const SocketAddress& source,
                    const SocketAddress& destination, std::string_view authority = {}) {
  const WrittenProxyHeader header(version, source, destination, authority);
  return {header.bytes().begin(), header.bytes().end()};
}

TEST(ProxyHeaderWritten, Bytes) {
  const auto source = At("192.0.2.1", 0x1234), destination = At("192.0.2.2", 443);
  EXPECT_EQ(Written(ProxyVersion::k1, source, destination),
            "PROXY TCP4 192.0.2.1 192.0.2.2 4660 443\r\n");
  EXPECT_EQ(Written(ProxyVersion::k2, source, destination), V2(0x21, 0x11, kV4Block));
  EXPECT_EQ(Written(ProxyVersion::k2, source, destination, "a.example.org"),
            V2(0x21, 0x11, kV4Block + Tlv(2, "a.example.org")));
  EXPECT_EQ(Written(ProxyVersion::k1, At("2001:db8::1", 1), At("2001:db8::2", 2)),
            "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n");
  EXPECT_EQ(Written(ProxyVersion::k1, {}, destination), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(Written(ProxyVersion::k2, source, {}), V2(0x20, 0, ""));
}

TEST(ProxyHeaderWritten, IsReadAsItWas) {
  const SocketAddress addresses[] = {At("192.0.2.1", 0), At("255.255.255.255", 65535),
                                     At("2001:db8::1", 1),
                                     At("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535)};
  for (const ProxyVersion version : {ProxyVersion::k1, ProxyVersion::k2}) {
    for (const auto& source : addresses) {
      for (const auto& destination : addresses) {
        for (const size_t authority : {0, 1, 255, 256}) {
          const std::string bytes =
              Written(version, source, destination, std::string(authority, 'a'));
          const ProxyHeader header = Parse(bytes);
          EXPECT_EQ(header.progress, Progress::kDone);
          EXPECT_EQ(header.bytes, bytes.size());
          EXPECT_EQ(header.source, source);
          EXPECT_EQ(header.destination, destination);
        }
      }
    }
  }
}

}  // namespace
}  // namespace bridgehead::proxy
