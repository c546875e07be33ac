// Requests a second and source, with the clock in the test's hands.
#include <gtest/gtest.h>

#include "ctrl/proxy/route/rate_table.h"

namespace bridgehead::proxy {
namespace {

using namespace std::chrono_literals;

config::Address At(std::string_view text) {
  return *config::Address::Parse(text);
}

const RateTable::Time kStart{1000s};

int TakeAll(RateTable& table, std::string_view source, uint32_t per_second, RateTable::Time now,
            uint32_t rule = 0) {
  int taken = 0;
  while (taken < 1000 && table.Take(At(source), rule, per_second, now)) ++taken;
  return taken;
}

TEST(ProxyRate, ASecondsWorthAtOnceThenOneAtATime) {
  RateTable table(8);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 10, kStart), 10);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 10, kStart + 99ms), 0);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 10, kStart + 100ms), 1);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 10, kStart + 350ms), 2);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 10, kStart + 60s), 10) << "no more than a full bucket";
}

TEST(ProxyRate, RefusalsDoNotPutOffTheNextRequest) {
  RateTable table(8);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 1, kStart), 1);
  for (int i = 1; i < 10; ++i) {
    EXPECT_FALSE(table.Take(At("192.0.2.1"), 0, 1, kStart + i * 100ms));
  }
  EXPECT_TRUE(table.Take(At("192.0.2.1"), 0, 1, kStart + 1s));
}

TEST(ProxyRate, SourcesAndRulesAreApart) {
  RateTable table(8);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 3, kStart), 3);
  EXPECT_EQ(TakeAll(table, "192.0.2.2", 3, kStart), 3);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 5, kStart, /*rule=*/1), 5);
  EXPECT_EQ(TakeAll(table, "2001:db8::1", 3, kStart), 3);
  EXPECT_EQ(TakeAll(table, "2001:db8::ffff:1", 3, kStart), 0) << "the same /64";
  EXPECT_EQ(TakeAll(table, "2001:db8:0:1::1", 3, kStart), 3);
}

TEST(ProxyRate, AFullTableForgetsTheLongestUnseen) {
  RateTable table(2);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 1, kStart), 1);
  EXPECT_EQ(TakeAll(table, "192.0.2.2", 1, kStart), 1);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 1, kStart), 0);
  EXPECT_EQ(TakeAll(table, "192.0.2.3", 1, kStart), 1);
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(table.forgotten(), 1u);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 1, kStart), 0) << "was seen after the second";
  EXPECT_EQ(TakeAll(table, "192.0.2.2", 1, kStart), 1);
  EXPECT_EQ(table.forgotten(), 2u);
}

TEST(ProxyRate, ManySourcesThroughASmallTable) {
  RateTable table(100);
  for (uint32_t i = 0; i < 10'000; ++i) {
    EXPECT_TRUE(table.Take(config::Address::V4(0x0a000000 + i), 0, 1, kStart));
  }
  EXPECT_EQ(table.size(), 100u);
  EXPECT_EQ(table.forgotten(), 9'900u);
  EXPECT_FALSE(table.Take(config::Address::V4(0x0a000000 + 9'999), 0, 1, kStart));
  EXPECT_FALSE(table.Take(config::Address::V4(0x0a000000 + 9'900), 0, 1, kStart));
}

TEST(ProxyRate, TheTopIsWhatWasRefusedMost) {
  RateTable table(8);
  const uint32_t rule = table.RuleOf("meet", "/");
  EXPECT_TRUE(table.Top(3).empty());
  const auto ask = [&](std::string_view source, int times) {
    int taken = 0;
    for (int i = 0; i < times; ++i) taken += table.Take(At(source), rule, 2, kStart) ? 1 : 0;
    return taken;
  };
  EXPECT_EQ(ask("192.0.2.1", 1), 1);
  EXPECT_EQ(ask("192.0.2.2", 2), 2);
  EXPECT_EQ(ask("2001:db8::1", 5), 2);
  const auto top = table.Top(2);
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0].source, "2001:db8::/64");
  EXPECT_EQ(top[0].host, "meet");
  EXPECT_EQ(top[0].route, "/");
  EXPECT_EQ(top[0].allowed, 2u);
  EXPECT_EQ(top[0].refused, 3u);
  EXPECT_EQ(top[1].source, "192.0.2.2");
  EXPECT_EQ(table.Top(9).size(), 3u);
}

TEST(ProxyRate, ARuleIsARouteByName) {
  RateTable table(8);
  const uint32_t chat = table.RuleOf("meet", "chat"), files = table.RuleOf("meet", "files");
  EXPECT_NE(chat, files);
  EXPECT_NE(chat, table.RuleOf("other", "chat"));
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 3, kStart, chat), 3);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 3, kStart, files), 3);
  // What stays keeps its number, its sources and their counts; what was taken out begins anew.
  config::Edge edge;
  config::Host& host = edge.hosts.emplace_back();
  host.name = "meet";
  host.routes.resize(2);
  host.routes[0].name = "chat";
  host.routes[0].requests_per_source = 3;
  host.routes[1].name = "files";  // without a limit
  table.Forget(edge);
  EXPECT_EQ(table.RuleOf("meet", "chat"), chat);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 3, kStart, table.RuleOf("meet", "chat")), 0);
  const auto top = table.Top(9);
  ASSERT_EQ(top.size(), 1u);
  EXPECT_EQ(top[0].route, "chat");
  EXPECT_EQ(top[0].allowed, 3u);
  EXPECT_EQ(TakeAll(table, "192.0.2.1", 3, kStart, table.RuleOf("meet", "files")), 3);
}

}  // namespace
}  // namespace bridgehead::proxy
