// What is known of a bridge, without I/O: rise and fall, the three voices, answers taken apart,
// URLs, and the file of drained bridges.
#include <filesystem>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <time.h>

#include "ctrl/config/check_url.h"
#include "ctrl/health/drain_file.h"
#include "ctrl/health/http_check.h"
#include "ctrl/health/state.h"
#include "ctrl/health/stun_check.h"
#include "tests/unit/publish_fake_relay.h"

namespace bridgehead::health {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const CheckResult kGood{std::nullopt, "", std::chrono::microseconds(700)};
const CheckResult kBad{Failure::kRefused, "nobody there", std::chrono::microseconds(100)};
const CheckResult kOwnTrouble{Failure::kLocal, "too many open files", {}};

constexpr auto kUp = api::Bridge::UP;
constexpr auto kDown = api::Bridge::DOWN;
constexpr auto kDraining = api::Bridge::DRAINING;

const CheckResult kNoAnswer{Failure::kTimeout, "no answer", std::chrono::microseconds(1'000'000)};

TEST(HealthState, TheFirstPlainResultDecidesAlone) {
  BridgeState bad({2, 3}, 100);
  EXPECT_EQ(bad.state(), kUp);
  EXPECT_TRUE(bad.NoteHealth(kBad, 101));
  EXPECT_EQ(bad.state(), kDown);
  EXPECT_EQ(bad.since_unix(), 101u);
  EXPECT_EQ(bad.reason(), "nobody there");

  BridgeState good({2, 3}, 100);
  EXPECT_FALSE(good.NoteHealth(kGood, 101));
  EXPECT_FALSE(good.NoteHealth(kBad, 102)) << "the second one does not";
  EXPECT_EQ(good.since_unix(), 100u);
}

TEST(HealthState, AFirstCheckWithoutAnswerMayBeALostPacket) {
  BridgeState unlucky({2, 3}, 100);
  EXPECT_FALSE(unlucky.NoteHealth(kNoAnswer, 101));
  EXPECT_EQ(unlucky.reason(), "last check failed: no answer");
  EXPECT_FALSE(unlucky.NoteHealth(kGood, 102));
  EXPECT_FALSE(unlucky.NoteHealth(kBad, 103)) << "it is known to be up by now";

  BridgeState silent({2, 3}, 100);
  EXPECT_FALSE(silent.NoteHealth(kNoAnswer, 101));
  EXPECT_FALSE(silent.NoteHealth(kNoAnswer, 102));
  EXPECT_TRUE(silent.NoteHealth(kNoAnswer, 103));
  EXPECT_FALSE(silent.NoteHealth(kGood, 104)) << "it takes two";
  EXPECT_TRUE(silent.NoteHealth(kGood, 105));

  BridgeState gone({2, 3}, 100);
  EXPECT_FALSE(gone.NoteHealth(kNoAnswer, 101));
  EXPECT_TRUE(gone.NoteHealth(kBad, 102)) << "nothing is known of it until it says no";
}

TEST(HealthState, FallsAndRisesInARow) {
  BridgeState bridge({2, 3}, 100);
  bridge.NoteHealth(kGood, 101);
  EXPECT_FALSE(bridge.NoteHealth(kBad, 102));
  EXPECT_FALSE(bridge.NoteHealth(kBad, 103));
  EXPECT_EQ(bridge.reason(), "last check failed: nobody there");
  EXPECT_FALSE(bridge.NoteHealth(kGood, 104)) << "the row begins anew";
  EXPECT_EQ(bridge.reason(), "");
  EXPECT_FALSE(bridge.NoteHealth(kBad, 105));
  EXPECT_FALSE(bridge.NoteHealth(kBad, 106));
  EXPECT_TRUE(bridge.NoteHealth(kBad, 107));
  EXPECT_EQ(bridge.state(), kDown);
  EXPECT_EQ(bridge.since_unix(), 107u);

  EXPECT_FALSE(bridge.NoteHealth(kGood, 108));
  EXPECT_EQ(bridge.reason(), "answers again, 1 of 2 good checks");
  EXPECT_FALSE(bridge.NoteHealth(kBad, 109));
  EXPECT_FALSE(bridge.NoteHealth(kGood, 110));
  EXPECT_EQ(bridge.state(), kDown);
  EXPECT_TRUE(bridge.NoteHealth(kGood, 111));
  EXPECT_EQ(bridge.state(), kUp);
  EXPECT_EQ(bridge.reason(), "");
}

TEST(HealthState, ThresholdsOfOneAndNewOnes) {
  BridgeState bridge({1, 1}, 100);
  bridge.NoteHealth(kGood, 101);
  EXPECT_TRUE(bridge.NoteHealth(kBad, 102));
  EXPECT_TRUE(bridge.NoteHealth(kGood, 103));
  bridge.SetThresholds({1, 2});
  EXPECT_FALSE(bridge.NoteHealth(kBad, 104));
  EXPECT_TRUE(bridge.NoteHealth(kBad, 105));
}

TEST(HealthState, OwnTroubleSaysNothingAboutTheBridge) {
  BridgeState bridge({1, 1}, 100);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(bridge.NoteHealth(kOwnTrouble, 101));
  EXPECT_EQ(bridge.state(), kUp);
  EXPECT_TRUE(bridge.NoteHealth(kBad, 102)) << "still the first result";
  EXPECT_FALSE(bridge.NoteHealth(kOwnTrouble, 103));
  EXPECT_EQ(bridge.reason(), "nobody there");
}

TEST(HealthState, DownOutweighsDrainingAndBothAreRemembered) {
  BridgeState bridge({1, 1}, 100);
  EXPECT_TRUE(bridge.SetDrained(true, 101));
  EXPECT_EQ(bridge.state(), kDraining);
  EXPECT_EQ(bridge.reason(), "drained by the operator");
  EXPECT_FALSE(bridge.SetDrained(true, 102));
  EXPECT_FALSE(bridge.NoteSaysDraining(true, 103)) << "it drains already";
  EXPECT_EQ(bridge.since_unix(), 101u);
  EXPECT_EQ(bridge.reason(), "drained by the operator; says itself that it drains");
  EXPECT_TRUE(bridge.NoteHealth(kBad, 104));
  EXPECT_EQ(bridge.state(), kDown);
  EXPECT_FALSE(bridge.SetDrained(false, 105));
  EXPECT_TRUE(bridge.NoteHealth(kGood, 106));
  EXPECT_EQ(bridge.state(), kDraining) << "by itself";
  EXPECT_TRUE(bridge.NoteSaysDraining(false, 107));
  EXPECT_EQ(bridge.state(), kUp);
}

TEST(HealthState, FailuresHaveDifferentLabels) {
  std::set<std::string_view> labels;
  for (size_t i = 0; i < kFailureCount; ++i) labels.insert(Label(static_cast<Failure>(i)));
  EXPECT_EQ(labels.size(), kFailureCount);
}

// ------------------------------------------------------------------------------------------- HTTP

using Progress = HttpAnswer::Progress;

// What the parser makes of `text`; `parser` keeps it.
HttpAnswer Parse(HttpAnswerParser& parser, std::string_view text, bool ended) {
  parser.Clear();
  const HttpAnswer answer = parser.Append(text);
  return ended && answer.progress == Progress::kMore ? parser.End() : answer;
}
Progress ProgressOf(std::string_view text, bool ended = false) {
  HttpAnswerParser parser;
  return Parse(parser, text, ended).progress;
}

TEST(HealthHttpAnswer, EndsWithItsLengthOrWithTheConnection) {
  const std::string head = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\n";
  for (size_t size = 0; size < head.size() + 5; ++size) {
    const std::string part = (head + "hello").substr(0, size);
    EXPECT_EQ(ProgressOf(part), Progress::kMore) << size;
    EXPECT_EQ(ProgressOf(part, true), Progress::kMalformed) << size;
  }
  const std::string longer = head + "hello, and more";
  HttpAnswerParser parser;
  const HttpAnswer whole = Parse(parser, longer, false);
  EXPECT_EQ(whole.progress, Progress::kWhole);
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, "hello");

  const std::string open = "HTTP/1.0 503 \r\n\r\nsick";
  EXPECT_EQ(ProgressOf(open), Progress::kMore);
  const HttpAnswer ended = Parse(parser, open, true);
  EXPECT_EQ(ended.progress, Progress::kWhole);
  EXPECT_EQ(ended.status, 503);
  EXPECT_EQ(ended.body, "sick");
}

TEST(HealthHttpAnswer, ComesInPiecesOfAnySize) {
  const std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  for (size_t piece = 1; piece < text.size(); ++piece) {
    HttpAnswerParser parser;
    for (size_t at = 0; at < text.size(); at += piece) {
      const HttpAnswer answer = parser.Append(std::string_view(text).substr(at, piece));
      const bool whole = at + piece >= text.size();
      ASSERT_EQ(answer.progress, whole ? Progress::kWhole : Progress::kMore) << piece;
      EXPECT_EQ(answer.body, whole ? "hello" : "") << piece;
    }
  }
}

TEST(HealthHttpAnswer, HeadAndWholeHaveALimit) {
  constexpr size_t kHead = HttpAnswerParser::kMaxHeadBytes;
  const std::string head = "HTTP/1.1 200 OK\r\nX: ";
  const std::string largest = head + std::string(kHead - head.size(), 'x');
  EXPECT_EQ(ProgressOf(largest + "\r\n\r\n"), Progress::kMore);
  EXPECT_EQ(ProgressOf(largest), Progress::kMore);
  EXPECT_EQ(ProgressOf(largest + "x"), Progress::kTooLong);
  EXPECT_EQ(ProgressOf(largest + "x\r\n\r\n"), Progress::kTooLong);
  const std::string open = "HTTP/1.1 200 OK\r\n\r\n";
  const std::string body(HttpAnswerParser::kMaxBytes - open.size(), 'x');
  EXPECT_EQ(ProgressOf(open + body), Progress::kMore);
  EXPECT_EQ(ProgressOf(open + body, true), Progress::kWhole);
  EXPECT_EQ(ProgressOf(open + body + "x"), Progress::kTooLong);
}

TEST(HealthHttpAnswer, AByteAtATimeCostsNoMoreThanItsSize) {
  // A head and a body that never end; parsed anew with each byte they would take minutes.
  std::string text = "HTTP/1.1 200 OK\r\n";
  while (text.size() < HttpAnswerParser::kMaxHeadBytes - 10) text += "a:b\r\n";
  text += "\r\n";
  text.resize(HttpAnswerParser::kMaxBytes, 'x');
  HttpAnswerParser parser;
  timespec begin{}, end{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
  for (const char& c : text) ASSERT_EQ(parser.Append({&c, 1}).progress, Progress::kMore);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
  EXPECT_LT(end.tv_sec - begin.tv_sec, 5);
}

TEST(HealthHttpAnswer, WithoutABody) {
  for (const char* text : {"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304\r\n\r\n",
                           "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n"}) {
    EXPECT_EQ(ProgressOf(text), Progress::kWhole) << text;
  }
}

TEST(HealthHttpAnswer, GarbageIsToldAtOnce) {
  for (const char* text :
       {"x", "SSH-2.0-OpenSSH\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 -20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 600 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\n: empty\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}) {
    EXPECT_EQ(ProgressOf(text), Progress::kMalformed) << text;
  }
}

TEST(HealthDrainState, OfJson) {
  EXPECT_EQ(ParseDrainState(R"({"drain":true})"), true);
  EXPECT_EQ(ParseDrainState("  {\"drain\": false}\r\n"), false);
  EXPECT_EQ(ParseDrainState(R"({"drain":false,"graceful_shutdown":true,"x":1})"), true);
  EXPECT_EQ(ParseDrainState(R"({"graceful_shutdown":false})"), false);
  for (const char* text : {"", " \n", "{", "{}", R"({"drain":1})", R"({"drain":"true"})",
                           R"({"other":true})", R"([{"drain":true}])", "\xff\xfe"}) {
    EXPECT_EQ(ParseDrainState(text), std::nullopt) << text;
  }
}

TEST(HealthDrainState, OfMetrics) {
  const std::string head = "# HELP jitsi_jvb_drain_mode 1\n# TYPE jitsi_jvb_drain_mode gauge\n";
  EXPECT_EQ(ParseDrainState(head + "jitsi_jvb_drain_mode 0.0\njitsi_jvb_stress 0.3\n"), false);
  EXPECT_EQ(ParseDrainState(head + "jitsi_jvb_drain_mode 1.0"), true);
  EXPECT_EQ(ParseDrainState("jitsi_jvb_drain_mode{a=\"b c\"} 1 1700000000\n"), true);
  EXPECT_EQ(ParseDrainState("jitsi_jvb_drain_mode{a=\"} 0\"} 1\n"), true);
  EXPECT_EQ(ParseDrainState("jitsi_jvb_drain_mode\t1\t1700000000\n"), true);
  EXPECT_EQ(ParseDrainState("jitsi_jvb_drain_mode 0\njitsi_jvb_graceful_shutdown 1\n"), true);
  for (const char* text :
       {"jitsi_jvb_stress 1\n", "# jitsi_jvb_drain_mode 1\n", "jitsi_jvb_drain_mode\n",
        "jitsi_jvb_drain_mode x\n", "jitsi_jvb_drain_mode NaN\n", "jitsi_jvb_drain_mode{",
        "drain_mode_x 1"}) {
    EXPECT_EQ(ParseDrainState(text), std::nullopt) << text;
  }
}

// ------------------------------------------------------------------------------------------- STUN

TEST(HealthStunAnswer, OnlyAnAnswerOfTheTransactionIsGood) {
  const StunTransaction id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const std::vector<uint8_t> good = {0x01, 0x01, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1,  2,
                                     3,    4,    5, 6, 7,    8,    9,    10,   11, 12,
                                     0x80, 0x22, 0, 3, 'a',  'b',  'c',  0};
  EXPECT_EQ(JudgeStunAnswer(good, id), StunAnswer::kGood);
  const auto with = [&](size_t at, uint8_t value) {
    std::vector<uint8_t> message = good;
    message[at] = value;
    return JudgeStunAnswer(message, id);
  };
  EXPECT_EQ(with(1, 0x11), StunAnswer::kGood) << "an error is an answer";
  EXPECT_EQ(with(0, 0x00), StunAnswer::kOther) << "a request";
  EXPECT_EQ(with(1, 0x03), StunAnswer::kOther) << "another method";
  EXPECT_EQ(with(8, 99), StunAnswer::kOther) << "another transaction";
  EXPECT_EQ(with(19, 99), StunAnswer::kOther);
  EXPECT_EQ(with(0, 0x81), StunAnswer::kMalformed) << "not STUN";
  EXPECT_EQ(with(3, 4), StunAnswer::kMalformed) << "length";
  EXPECT_EQ(with(4, 0), StunAnswer::kMalformed) << "cookie";
  EXPECT_EQ(with(23, 5), StunAnswer::kMalformed) << "attribute past the end";
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(JudgeStunAnswer(std::span(good).first(size), id), StunAnswer::kMalformed) << size;
  }
}

// ------------------------------------------------------------------------------------------- URLs

TEST(HealthCheckUrl, GoodOnes) {
  const auto text = [](const char* url) {
    const config::ParsedCheckUrl parsed = config::ParseCheckUrl(url);
    return parsed.url ? parsed.url->text() : "none" + parsed.why;
  };
  EXPECT_EQ(text("http://10.8.0.11:8080/about/health"), "http://10.8.0.11:8080/about/health");
  EXPECT_EQ(text("http://10.8.0.11"), "http://10.8.0.11:80/");
  EXPECT_EQ(text("http://10.8.0.11?a=b"), "http://10.8.0.11:80/?a=b");
  EXPECT_EQ(text("http://[2001:db8::1]/x@y?q:1"), "http://[2001:db8::1]:80/x@y?q:1");
  EXPECT_EQ(text("http://[::1]:8080/"), "http://[::1]:8080/");
  EXPECT_EQ(text("http://127.0.0.1:8080"), "http://127.0.0.1:8080/");
  EXPECT_EQ(text("stun:10.8.0.11"), "stun:10.8.0.11:3478");
  EXPECT_EQ(text("stun:[2001:db8::1]:10000"), "stun:[2001:db8::1]:10000");
}

TEST(HealthCheckUrl, BadOnesSayWhy) {
  const auto why = [](const std::string& url) {
    const config::ParsedCheckUrl parsed = config::ParseCheckUrl(url);
    EXPECT_FALSE(parsed.url) << url;
    return parsed.why;
  };
  EXPECT_EQ(why(""), "");
  EXPECT_EQ(why("ftp://10.8.0.11/"), "");
  EXPECT_EQ(why("10.8.0.11:8080"), "");
  EXPECT_THAT(why("https://10.8.0.11/"), HasSubstr("TLS"));
  EXPECT_THAT(why("stuns:10.8.0.11"), HasSubstr("TLS"));
  EXPECT_THAT(why("http://a:b@10.8.0.11/"), HasSubstr("user"));
  EXPECT_THAT(why("http://10.8.0.11/#a"), HasSubstr("fragment"));
  EXPECT_THAT(why("http://10.8.0.11/\r\nHost: x"), HasSubstr("blank"));
  EXPECT_THAT(why("http://10.8.0.11/a b"), HasSubstr("blank"));
  EXPECT_THAT(why("http://10.8.0.11/\xc3\xa9"), HasSubstr("encoded"));
  EXPECT_THAT(why("http://10.8.0.11/" + std::string(1024, 'a')), HasSubstr("characters"));
  EXPECT_THAT(why("http://0.0.0.0/"), HasSubstr("unspecified"));
  EXPECT_THAT(why("http://224.0.0.1/"), HasSubstr("multicast"));
  for (const char* url :
       {"http://jvb1.example.com/", "http://10.8.0.11:0/", "http://10.8.0.11:65536/",
        "http://10.8.0.11:80-81/", "http://10.8.0.11:/", "http:///", "http://2001:db8::1/",
        "http://[10.8.0.11]/", "http://[2001:db8::1", "stun:10.8.0.11/path", "stun:"}) {
    EXPECT_THAT(why(url), HasSubstr("numeric")) << url;
  }
}

// ----------------------------------------------------------------------------------- drained file

class HealthDrainFile : public testing::Test {
 protected:
  void Write(const std::string& text) const { std::ofstream(path_) << text; }
  TemporaryDirectory directory_;
  std::string path_ = directory_.path() + "/drained";
};

TEST_F(HealthDrainFile, KeepsTheNames) {
  EXPECT_THAT(*ReadDrainFile(path_), IsEmpty()) << "no file";
  ASSERT_TRUE(WriteDrainFile(path_, {"jvb1", "jvb-2.a_b"}).ok());
  EXPECT_THAT(*ReadDrainFile(path_), ElementsAre("jvb-2.a_b", "jvb1"));
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u & ~0640u, 0u);
  ASSERT_TRUE(WriteDrainFile(path_, {}).ok());
  EXPECT_THAT(*ReadDrainFile(path_), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(HealthDrainFile, ADamagedOneIsNamed) {
  for (const char* text : {"", "jvb1\n", "bridgehead drained 2\njvb1\n",
                           "bridgehead drained 1\njvb1", "bridgehead drained 1"}) {
    Write(text);
    EXPECT_THAT(std::string(ReadDrainFile(path_).status().message()),
                HasSubstr("not a list of what is drained"))
        << text;
  }
}

TEST_F(HealthDrainFile, WhatCannotBeWrittenLeavesTheOldOne) {
  ASSERT_TRUE(WriteDrainFile(path_, {"jvb1"}).ok());
  std::filesystem::create_directory(path_ + ".new");
  EXPECT_THAT(std::string(WriteDrainFile(path_, {"jvb2"}).message()), HasSubstr("drained.new"));
  EXPECT_THAT(*ReadDrainFile(path_), ElementsAre("jvb1"));
  EXPECT_FALSE(WriteDrainFile(directory_.path() + "/none/drained", {"jvb1"}).ok());
}

}  // namespace
}  // namespace bridgehead::health
