// ClientHellos: those of OpenSSL's client, and those that nobody should believe.
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "ctrl/proxy/accept/client_hello.h"
#include "tests/support/client_hello.h"

namespace bridgehead::proxy {
namespace {

using test::Extension;
using test::HandMadeHello;
using test::HostName;
using test::Number;
using test::Records;
using test::ServerNames;
using test::Sni;
using test::Vector;
using Progress = HelloProgress;

constexpr uint16_t kAlpn = 16, kVersions = 43;

struct Read {
  std::vector<uint8_t> bytes, scratch;  // what the hello shows
  HelloResult result;
  ClientHello hello;
  std::vector<std::string> alpn;
};

Read Parse(std::string_view bytes) {
  Read read;
  read.bytes.assign(bytes.begin(), bytes.end());
  read.scratch.resize(kMaxClientHelloBytes);
  read.result = ParseClientHello(read.bytes, read.scratch, read.hello);
  read.hello.alpn.ForEach([&](std::string_view name) { read.alpn.emplace_back(name); });
  return read;
}

std::optional<std::string> OpensslsName(std::string_view bytes) {
  return test::OpensslReader().NameIn(
      {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

Progress With(const std::string& extensions) {
  HandMadeHello hello;
  hello.extensions = extensions;
  return Parse(Records(hello.Message())).result.progress;
}

TEST(ProxyClientHello, OfOpensslsClients) {
  const std::string alpn = Vector(1, "h2") + Vector(1, "http/1.1");
  for (const int max : {TLS1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION}) {
    const std::string bytes = test::OpensslHello("Meet.Example.ORG", alpn, TLS1_VERSION, max);
    const Read read = Parse(bytes);
    EXPECT_EQ(read.result.progress, Progress::kDone);
    EXPECT_TRUE(read.result.tls);
    EXPECT_EQ(read.result.bytes, bytes.size());
    EXPECT_EQ(read.hello.sni, "meet.example.org");
    EXPECT_EQ(read.hello.version, max);
    EXPECT_THAT(read.alpn, testing::ElementsAre("h2", "http/1.1"));
    EXPECT_TRUE(read.hello.alpn.Offers("h2"));
    EXPECT_FALSE(read.hello.alpn.Offers("h"));
    EXPECT_EQ(OpensslsName(bytes), "Meet.Example.ORG");
  }
}

TEST(ProxyClientHello, WithoutNameAndProtocols) {
  const Read read = Parse(test::OpensslHello(nullptr, "", TLS1_2_VERSION, TLS1_3_VERSION));
  EXPECT_EQ(read.result.progress, Progress::kDone);
  EXPECT_EQ(read.hello.sni, "");
  EXPECT_TRUE(read.hello.alpn.empty());
}

// Each prefix waits, and for no more than there is; what follows changes nothing.
TEST(ProxyClientHello, InPiecesAndInManyRecords) {
  HandMadeHello hello;
  hello.extensions = Sni("a.example.org") + Extension(kAlpn, Vector(2, Vector(1, "h2")));
  const std::string message = hello.Message();
  for (const size_t record : {1u, 2u, 3u, 5u, 50u, 16384u}) {
    const std::string bytes = Records(message, record);
    size_t looks = 0, wanted = 0;
    for (size_t size = 0; size < bytes.size(); ++size) {
      const Read read = Parse(bytes.substr(0, size));
      ASSERT_EQ(read.result.progress, Progress::kMore) << size;
      ASSERT_GT(read.result.bytes, size);
      ASSERT_LE(read.result.bytes, bytes.size());
      ASSERT_EQ(read.result.tls, size > 5);
      ASSERT_GE(read.result.bytes, wanted);
      if (size >= wanted) ++looks;
      wanted = read.result.bytes;
    }
    EXPECT_LE(looks, 40u);  // of up to 900 bytes
    for (const std::string behind : {"", "x", "\x16\x03\x01"}) {
      const Read read = Parse(bytes + behind);
      EXPECT_EQ(read.result.progress, Progress::kDone);
      EXPECT_EQ(read.result.bytes, bytes.size());
      EXPECT_EQ(read.hello.sni, "a.example.org");
      EXPECT_THAT(read.alpn, testing::ElementsAre("h2"));
    }
    EXPECT_EQ(OpensslsName(bytes), "a.example.org");
  }
}

TEST(ProxyClientHello, WhatIsNotTls) {
  for (const std::string_view bytes :
       {std::string_view("GET / HTTP/1.1\r\n"), std::string_view("\x80\x2e\x01\x03\x01"),
        std::string_view("\0\x14\x01\x13", 4), std::string_view("\x16\xfe\xfd"),
        std::string_view("\x15\x03\x01\0\x02\x02\x28", 7), std::string_view("SSH-2.0-x\r\n")}) {
    const Read read = Parse(bytes);
    EXPECT_EQ(read.result.progress, Progress::kNotTls);
    EXPECT_FALSE(read.result.tls);
  }
  EXPECT_EQ(Parse("\x16").result.progress, Progress::kMore);
}

TEST(ProxyClientHello, RecordsThatLie) {
  using namespace std::string_literals;
  EXPECT_EQ(Parse("\x16\x03\x01\0\0"s).result.progress, Progress::kMalformed);
  EXPECT_EQ(Parse("\x16\x03\x01\x40\x01"s).result.progress, Progress::kMalformed);
  EXPECT_EQ(Parse("\x16\x03\x01\0\x04\x02"s).result.progress, Progress::kMalformed);
  const std::string message = HandMadeHello().Message();
  // The message ends within a record; another record within the message.
  EXPECT_EQ(Parse(Records(message + "x")).result.progress, Progress::kMalformed);
  const std::string half = Records(message.substr(0, 20));
  EXPECT_EQ(Parse(half + "\x14\x03\x03\0\x01\x01"s).result.progress, Progress::kMalformed);
  EXPECT_EQ(Parse(half + "\x16\x02"s).result.progress, Progress::kMalformed);
}

TEST(ProxyClientHello, TooLongIsKnownFromTheFirstBytes) {
  using namespace std::string_literals;
  EXPECT_EQ(Parse("\x16\x03\x01\x40\0"s).result.progress, Progress::kTooLong);
  const Read read = Parse("\x16\x03\x01\0\x04\x01\0\x40\0"s);
  EXPECT_EQ(read.result.progress, Progress::kTooLong);
  EXPECT_TRUE(read.result.tls);
  // 3000 bytes fit, but not with the heads of 3000 records.
  HandMadeHello hello;
  hello.extensions = Extension(21, std::string(3000, '\0'));
  EXPECT_EQ(Parse(Records(hello.Message())).result.progress, Progress::kDone);
  EXPECT_EQ(Parse(Records(hello.Message(), 1)).result.progress, Progress::kTooLong);
}

TEST(ProxyClientHello, FieldsOfTheMessage) {
  const auto parse = [](auto change) {
    HandMadeHello hello;
    hello.extensions = Sni("a.example.org");
    change(hello);
    return Parse(Records(hello.Message())).result.progress;
  };
  using Hello = HandMadeHello;
  EXPECT_EQ(parse([](Hello&) {}), Progress::kDone);
  EXPECT_EQ(parse([](Hello& h) { h.session.assign(32, 's'); }), Progress::kDone);
  EXPECT_EQ(parse([](Hello& h) { h.version = 0x0200; }), Progress::kMalformed);
  EXPECT_EQ(parse([](Hello& h) { h.session.assign(33, 's'); }), Progress::kMalformed);
  EXPECT_EQ(parse([](Hello& h) { h.ciphers.clear(); }), Progress::kMalformed);
  EXPECT_EQ(parse([](Hello& h) { h.ciphers += 'x'; }), Progress::kMalformed);
  EXPECT_EQ(parse([](Hello& h) { h.compressions.clear(); }), Progress::kMalformed);
  EXPECT_EQ(parse([](Hello& h) { h.behind = "x"; }), Progress::kMalformed);
  for (int Hello::*length : {&Hello::more_session, &Hello::more_ciphers, &Hello::more_compressions,
                             &Hello::more_extensions}) {
    for (const int more : {-1, 1, 2, 200}) {
      EXPECT_EQ(parse([&](Hello& h) { h.*length = more; }), Progress::kMalformed) << more;
    }
  }
  EXPECT_EQ(parse([](Hello& h) { h.more_message = -1; }), Progress::kMalformed);
  EXPECT_EQ(parse([](Hello& h) { h.more_message = 1; }), Progress::kMore);
  EXPECT_EQ(Parse(Records(Number(1, 1) + Vector(3, ""))).result.progress, Progress::kMalformed);
}

TEST(ProxyClientHello, HelloWithoutABlockOfExtensions) {
  const std::string body = Number(2, 0x0303) + std::string(32, 'r') + Vector(1, "") +
                           Vector(2, Number(2, 0xc02f)) + Vector(1, Number(1, 0));
  const Read read = Parse(Records(Number(1, 1) + Vector(3, body)));
  EXPECT_EQ(read.result.progress, Progress::kDone);
  EXPECT_EQ(read.hello.version, 0x0303);
}

TEST(ProxyClientHello, NamesThatAreNone) {
  using namespace std::string_literals;
  const std::string ok = "a.example.org", label(63, 'l');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'l');
  for (const std::string& name : {ok, "xn--bcher-kva.example"s, "a_b.c"s, "localhost"s, longest}) {
    EXPECT_EQ(With(Sni(name)), Progress::kDone) << name;
  }
  for (const std::string& name :
       {""s, "."s, "a."s, ".a"s, "a..b"s, "a\0b"s, "a.example.org\0"s, "\0"s, "a b"s, "a/b"s,
        "[::1]"s, "b\xc3\xbc"s, "*.example.org"s, longest + "l", label + "l.org"}) {
    EXPECT_EQ(With(Sni(name)), Progress::kMalformed) << name;
  }
}

TEST(ProxyClientHello, ServerNameListsThatLie) {
  const std::string host = HostName("a.example.org"), other = HostName("b.example.org");
  EXPECT_EQ(With(ServerNames(host)), Progress::kDone);
  EXPECT_EQ(With(Sni("a.example.org") + Sni("b.example.org")), Progress::kMalformed);
  EXPECT_EQ(With(Sni("a.example.org") + Sni("a.example.org")), Progress::kMalformed);
  EXPECT_EQ(With(ServerNames(host + other)), Progress::kMalformed);
  EXPECT_EQ(With(ServerNames("")), Progress::kMalformed);
  EXPECT_EQ(With(ServerNames(host + "x")), Progress::kMalformed);
  EXPECT_EQ(With(ServerNames(Number(1, 1) + Vector(2, "x") + host)), Progress::kMalformed);
  EXPECT_EQ(With(Extension(0, "")), Progress::kMalformed);
  for (const int more : {-1, 1, 300}) {
    EXPECT_EQ(With(Extension(0, Vector(2, host, more))), Progress::kMalformed);
    EXPECT_EQ(With(Extension(0, Vector(2, host), more)), Progress::kMalformed);
    EXPECT_EQ(With(ServerNames(Number(1, 0) + Vector(2, "a.example", more))), Progress::kMalformed);
  }
}

TEST(ProxyClientHello, AlpnAndVersionsThatLie) {
  const std::string h2 = Vector(1, "h2");
  EXPECT_EQ(With(Extension(kAlpn, Vector(2, h2 + h2))), Progress::kDone);
  EXPECT_EQ(With(Extension(kAlpn, Vector(2, ""))), Progress::kMalformed);
  EXPECT_EQ(With(Extension(kAlpn, Vector(2, h2 + Vector(1, "")))), Progress::kMalformed);
  EXPECT_EQ(With(Extension(kAlpn, Vector(2, h2) + "x")), Progress::kMalformed);
  EXPECT_EQ(With(Extension(kAlpn, Vector(2, Vector(1, "h2", 1)))), Progress::kMalformed);
  EXPECT_EQ(With(Extension(kAlpn, Vector(2, h2)) + Extension(kAlpn, Vector(2, h2))),
            Progress::kMalformed);
  const std::string tls13 = Number(2, 0x0304);
  EXPECT_EQ(With(Extension(kVersions, Vector(1, tls13))), Progress::kDone);
  EXPECT_EQ(With(Extension(kVersions, Vector(1, ""))), Progress::kMalformed);
  EXPECT_EQ(With(Extension(kVersions, Vector(1, tls13 + "x"))), Progress::kMalformed);
  EXPECT_EQ(With(Extension(kVersions, Vector(1, tls13, 1))), Progress::kMalformed);
  EXPECT_EQ(With(Extension(kVersions, Vector(1, tls13)) + Extension(kVersions, Vector(1, tls13))),
            Progress::kMalformed);
  EXPECT_EQ(With(Number(1, 0)), Progress::kMalformed);
}

TEST(ProxyClientHello, UnknownVersionsAreNotOffered) {
  HandMadeHello hello;
  hello.extensions = Extension(kVersions, Vector(1, Number(2, 0x7a7a) + Number(2, 0x0303)));
  EXPECT_EQ(Parse(Records(hello.Message())).hello.version, 0x0303);
  hello.extensions = Extension(kVersions, Vector(1, Number(2, 0x7a7a)));
  EXPECT_EQ(Parse(Records(hello.Message())).hello.version, 0);
}

// Whoever reads the hello after us sees the name that we saw, or takes no hello.
TEST(ProxyClientHello, OpensslNeverSeesAnotherName) {
  test::OpensslReader openssl;
  std::mt19937 random(1);
  const std::string alpn = Vector(1, "h2");
  HandMadeHello by_hand;
  by_hand.extensions = Sni("a.example.org") + Extension(kAlpn, Vector(2, alpn));
  const std::string hellos[] = {
      Records(by_hand.Message()), Records(by_hand.Message(), 20),
      test::OpensslHello("a.example.org", alpn, TLS1_VERSION, TLS1_3_VERSION),
      test::OpensslHello(nullptr, "", TLS1_VERSION, TLS1_2_VERSION)};
  size_t both = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = hellos[random() % std::size(hellos)];
    for (size_t changes = random() % 4; changes > 0; --changes) {
      bytes[random() % bytes.size()] =
          static_cast<char>(random() % 3 == 0 ? random() : random() % 4);
    }
    const auto theirs =
        openssl.NameIn({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    const Read ours = Parse(bytes);
    if (ours.result.progress == Progress::kDone && theirs) {
      ASSERT_EQ(ours.hello.sni, absl::AsciiStrToLower(*theirs));
      ++both;
    }
    if (ours.result.progress == Progress::kNotTls) {
      ASSERT_EQ(theirs.value_or(""), "");
    }
    if (ours.result.progress == Progress::kMore) {
      ASSERT_FALSE(theirs.has_value());
    }
  }
  EXPECT_GT(both, 5000u);
}

}  // namespace
}  // namespace bridgehead::proxy
