// Which server a connection goes to, with the clock in the test's hands.
#include <array>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/proxy/upstream/balance.h"

namespace bridgehead::proxy {
namespace {

using namespace std::chrono_literals;
using config::Balance;
using ::testing::ElementsAre;
using Refusal = Balancer::Refusal;

const Balancer::Time kNow{1000s};
const config::Address kSource = config::Address::V4(0xc0000201);

config::Upstream Upstream(Balance balance, std::vector<uint32_t> weights) {
  config::Upstream upstream;
  upstream.balance = balance;
  for (const uint32_t weight : weights) {
    config::UpstreamServer server;
    server.name = "server" + std::to_string(upstream.servers.size());
    server.weight = weight;
    upstream.servers.push_back(server);
  }
  return upstream;
}

// Picks and lets go at once; "down" or "full" for none.
std::string Pick(Balancer& balancer, Balancer::Time now = kNow,
                 const config::Address& source = kSource, std::span<const size_t> tried = {}) {
  const auto choice = balancer.Pick(source, now, tried);
  EXPECT_EQ(static_cast<bool>(choice.lease), choice.refusal == Refusal::kNone);
  if (choice.lease) return std::to_string(choice.lease.server());
  return choice.refusal == Refusal::kDown ? "down" : "full";
}

void Fail(Balancer& balancer, Balancer::Time now) {
  auto choice = balancer.Pick(kSource, now);
  ASSERT_TRUE(choice.lease);
  choice.lease.Failed(now);
  EXPECT_FALSE(choice.lease);
}

TEST(ProxyBalance, RoundRobinIsSmooth) {
  Balancer balancer(Upstream(Balance::kRoundRobin, {5, 1, 1}));
  std::string order;
  for (int i = 0; i < 14; ++i) order += Pick(balancer);
  EXPECT_EQ(order, "00102000010200");
}

TEST(ProxyBalance, RoundRobinWithoutOneOfThree) {
  Balancer balancer(Upstream(Balance::kRoundRobin, {1, 1, 1}));
  balancer.SetUp(1, false);
  std::string order;
  for (int i = 0; i < 6; ++i) order += Pick(balancer);
  EXPECT_EQ(order, "020202");
  balancer.SetUp(1, true);
  balancer.SetDraining(0, true);
  order.clear();
  for (int i = 0; i < 6; ++i) order += Pick(balancer);
  EXPECT_EQ(order, "121212");
}

TEST(ProxyBalance, LeastConnectionsByWeight) {
  Balancer balancer(Upstream(Balance::kLeastConnections, {3, 1}));
  std::vector<Balancer::Lease> leases;
  std::array<int, 2> counts{};
  for (int i = 0; i < 40; ++i) {
    leases.push_back(balancer.Pick(kSource, kNow).lease);
    ++counts[leases.back().server()];
  }
  EXPECT_THAT(counts, ElementsAre(30, 10));
  std::erase_if(leases, [](const Balancer::Lease& lease) { return lease.server() == 0; });
  EXPECT_EQ(balancer.view(0, kNow).connections, 0u);
  EXPECT_EQ(balancer.view(1, kNow).connections, 10u);
  for (int i = 0; i < 20; ++i) {
    leases.push_back(balancer.Pick(kSource, kNow).lease);
    EXPECT_EQ(leases.back().server(), 0u);
  }
}

TEST(ProxyBalance, TiesOfLeastConnectionsGoRound) {
  Balancer balancer(Upstream(Balance::kLeastConnections, {1, 1, 1}));
  std::map<std::string, int> counts;
  for (int i = 0; i < 30; ++i) ++counts[Pick(balancer)];
  EXPECT_EQ(counts["0"], 10);
  EXPECT_EQ(counts["1"], 10);
  EXPECT_EQ(counts["2"], 10);
}

constexpr uint32_t kSources = 20'000;

std::vector<std::string> PickForAll(Balancer& balancer) {
  std::vector<std::string> picked;
  for (uint32_t i = 0; i < kSources; ++i) {
    picked.push_back(Pick(balancer, kNow, config::Address::V4(0x0a000000 + i * 7)));
  }
  return picked;
}

TEST(ProxyBalance, SourcesAreSharedByWeight) {
  const std::vector<uint32_t> weights = {1, 1, 2, 4, 8};
  Balancer balancer(Upstream(Balance::kSourceHash, weights));
  std::map<std::string, double> counts;
  for (const std::string& server : PickForAll(balancer)) ++counts[server];
  for (size_t i = 0; i < weights.size(); ++i) {
    const double expected = kSources * weights[i] / 16.0;
    EXPECT_NEAR(counts[std::to_string(i)], expected, expected * 0.08) << i;
  }
}

TEST(ProxyBalance, OnlyTheSourcesOfTheServerThatLeavesMove) {
  for (const size_t leaving : {0, 2, 4}) {
    Balancer balancer(Upstream(Balance::kSourceHash, {1, 2, 3, 1, 1}));
    const auto before = PickForAll(balancer);
    EXPECT_EQ(PickForAll(balancer), before);
    balancer.SetUp(leaving, false);
    const auto after = PickForAll(balancer);
    balancer.SetUp(leaving, true);
    EXPECT_EQ(PickForAll(balancer), before);
    const std::string left = std::to_string(leaving);
    std::map<std::string, int> inherited;
    for (size_t i = 0; i < before.size(); ++i) {
      if (before[i] == left) {
        EXPECT_NE(after[i], left);
        ++inherited[after[i]];
      } else {
        ASSERT_EQ(after[i], before[i]);
      }
    }
    EXPECT_EQ(inherited.size(), 4u) << "by all that are left";
  }
}

TEST(ProxyBalance, TheConfigurationsOrderDoesNotMoveSources) {
  auto upstream = Upstream(Balance::kSourceHash, {1, 1, 1});
  Balancer one(upstream);
  std::swap(upstream.servers[0], upstream.servers[2]);
  Balancer other(upstream);
  const auto a = PickForAll(one), b = PickForAll(other);
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i], b[i] == "0" ? "2" : b[i] == "2" ? "0" : b[i]);
  }
  // The same in every process and release, so that a restart moves nobody.
  EXPECT_EQ(a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7], "02212111");
}

TEST(ProxyBalance, AnIpv6SourceIsItsNetwork) {
  Balancer balancer(Upstream(Balance::kSourceHash, {1, 1, 1, 1, 1, 1, 1, 1}));
  const auto pick = [&](std::string_view text) {
    return Pick(balancer, kNow, *config::Address::Parse(text));
  };
  std::map<std::string, int> networks;
  for (int i = 0; i < 64; ++i) {
    const std::string network = "2001:db8:0:" + std::to_string(i);
    EXPECT_EQ(pick(network + "::1"), pick(network + ":ffff::2"));
    ++networks[pick(network + "::1")];
  }
  EXPECT_EQ(networks.size(), 8u);
}

TEST(ProxyBalance, BackupsWaitUntilNobodyElseIsLeft) {
  auto upstream = Upstream(Balance::kRoundRobin, {1, 1, 1});
  upstream.servers[1].backup = true;
  Balancer balancer(upstream);
  std::string order;
  for (int i = 0; i < 4; ++i) order += Pick(balancer);
  EXPECT_EQ(order, "0202");
  balancer.SetUp(0, false);
  EXPECT_EQ(Pick(balancer), "2");
  const size_t tried[] = {2};
  EXPECT_EQ(Pick(balancer, kNow, kSource, tried), "1");
  balancer.SetDraining(2, true);
  EXPECT_EQ(Pick(balancer), "1");
  balancer.SetUp(1, false);
  EXPECT_EQ(Pick(balancer), "down");
}

TEST(ProxyBalance, FullServersAreSkipped) {
  auto upstream = Upstream(Balance::kRoundRobin, {1, 1});
  upstream.max_connections = 2;
  Balancer balancer(upstream);
  std::vector<Balancer::Lease> leases;
  for (int i = 0; i < 4; ++i) leases.push_back(balancer.Pick(kSource, kNow).lease);
  EXPECT_EQ(Pick(balancer), "full");
  balancer.SetUp(0, false);
  EXPECT_EQ(Pick(balancer), "full");
  balancer.SetUp(1, false);
  EXPECT_EQ(Pick(balancer), "down");
  balancer.SetUp(0, true);
  leases.erase(leases.begin());
  EXPECT_EQ(Pick(balancer), "0");
}

TEST(ProxyBalance, FailuresInARowThenAloneThenOneProbe) {
  auto upstream = Upstream(Balance::kRoundRobin, {1, 1});
  upstream.max_failures = 3;
  upstream.failure_timeout = 10s;
  Balancer balancer(upstream);
  balancer.SetUp(1, false);
  Fail(balancer, kNow);
  Fail(balancer, kNow);
  balancer.Pick(kSource, kNow).lease.Connected();  // not in a row
  Fail(balancer, kNow);
  Fail(balancer, kNow);
  EXPECT_FALSE(balancer.view(0, kNow).left_alone);
  Fail(balancer, kNow + 1s);
  EXPECT_TRUE(balancer.view(0, kNow + 1s).left_alone);
  EXPECT_EQ(Pick(balancer, kNow + 10s), "down");
  // One probe at a time; one that is given up leaves its place to the next.
  {
    auto probe = balancer.Pick(kSource, kNow + 11s);
    EXPECT_TRUE(probe.lease);
    EXPECT_EQ(Pick(balancer, kNow + 11s), "down");
  }
  EXPECT_EQ(Pick(balancer, kNow + 11s), "0");
  Fail(balancer, kNow + 12s);
  EXPECT_EQ(Pick(balancer, kNow + 21s), "down") << "alone again";
  auto probe = balancer.Pick(kSource, kNow + 22s);
  probe.lease.Connected();
  EXPECT_EQ(Pick(balancer, kNow + 22s), "0");
  EXPECT_FALSE(balancer.view(0, kNow + 22s).left_alone);
  Fail(balancer, kNow + 22s);
  EXPECT_EQ(Pick(balancer, kNow + 22s), "0") << "the row has begun anew";
  EXPECT_EQ(balancer.view(0, kNow).failed, 7u);
  EXPECT_EQ(balancer.view(0, kNow).connections, 1u);
}

TEST(ProxyBalance, ConnectionsThatFailTogetherCountTogether) {
  auto upstream = Upstream(Balance::kRoundRobin, {1, 1});
  upstream.max_failures = 2;
  Balancer balancer(upstream);
  balancer.SetUp(1, false);
  std::vector<Balancer::Lease> leases;
  for (int i = 0; i < 4; ++i) leases.push_back(balancer.Pick(kSource, kNow).lease);
  for (auto& lease : leases) lease.Failed(kNow);
  EXPECT_EQ(Pick(balancer, kNow), "down");
  EXPECT_EQ(balancer.view(0, kNow).connections, 0u);
}

TEST(ProxyBalance, FailuresAloneTakeNobodyOutWhenThatIsOffOrItIsTheOnlyOne) {
  auto off = Upstream(Balance::kRoundRobin, {1, 1});
  off.max_failures = 0;
  Balancer never(off);
  never.SetUp(1, false);
  Balancer single(Upstream(Balance::kRoundRobin, {1}));
  for (int i = 0; i < 10; ++i) {
    Fail(never, kNow);
    Fail(single, kNow);
  }
  EXPECT_EQ(Pick(never), "0");
  EXPECT_EQ(Pick(single), "0");
}

TEST(ProxyBalance, LeasesMove) {
  Balancer balancer(Upstream(Balance::kRoundRobin, {1}));
  Balancer::Lease first = balancer.Pick(kSource, kNow).lease;
  Balancer::Lease second = std::move(first);
  EXPECT_EQ(balancer.view(0, kNow).connections, 1u);
  second = balancer.Pick(kSource, kNow).lease;
  EXPECT_EQ(balancer.view(0, kNow).connections, 1u);
  second = {};
  EXPECT_EQ(balancer.view(0, kNow).connections, 0u);
  EXPECT_EQ(balancer.view(0, kNow).picked, 2u);
}

}  // namespace
}  // namespace bridgehead::proxy
