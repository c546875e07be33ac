// What workers count, by name and from one configuration to the next; and the log of refusals.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ctrl/proxy/accept/refusal_log.h"
#include "ctrl/proxy/stats/edge_counters.h"
#include "ctrl/proxy/upstream/balance.h"

namespace bridgehead::proxy {
namespace {

using std::chrono::seconds;
using Time = std::chrono::steady_clock::time_point;

constexpr Time kNow = Time(seconds(1000));

config::Edge EdgeOf(const std::string& route, const std::string& server) {
  config::Edge edge;
  edge.hosts.emplace_back().name = "meet";
  edge.hosts[0].routes.emplace_back().name = route;
  edge.upstreams.emplace_back().name = "web";
  edge.upstreams[0].servers.emplace_back().name = server;
  return edge;
}

TEST(ProxyStats, WorkersAreSummed) {
  EdgeCounters one, other;
  EdgeTotals totals;
  for (EdgeCounters* worker : {&other, &one}) {
    auto state = std::make_shared<ListenerState>();
    state->counters.Open();
    state->counters.CountAccepted();
    state->counters.Count(AcceptRefusal::kSourceRate);
    state->more.tls_resumed.Add(2);
    state->more.bytes.to_client.Add(100);
    state->more.unrouted.Count(404);
    worker->AddListener("https", state);
    worker->Route("meet", "/b")->requests.Count(101);
    worker->Route("meet", "/a")->requests.Count(0);
    worker->Route("meet", "/a")->requests.Count(599);
    worker->Route("meet", "/a")->bytes.to_server.Add(7);
    worker->Server("web", "s1")->kept.Add(3);
    worker->Server("web", "s1")->draining.Set(1);
    worker->AddTo(totals, kNow);
  }
  EXPECT_EQ(totals.workers, 2u);
  ASSERT_EQ(totals.listeners.size(), 1u);
  const EdgeTotals::Listener& listener = totals.listeners[0];
  EXPECT_EQ(listener.name, "https");
  EXPECT_EQ(listener.open, 2u);
  EXPECT_EQ(listener.accepted, 2u);
  EXPECT_EQ(listener.tls_resumed, 4u);
  EXPECT_EQ(listener.bytes_to_client, 200u);
  EXPECT_EQ(listener.unrouted, (StatusTotals{0, 0, 0, 0, 2, 0}));
  ASSERT_EQ(listener.refused.size(), kRefusalCount);
  for (const EdgeTotals::Refused& reason : listener.refused) {
    EXPECT_EQ(reason.connections, reason.label == "source_rate" ? 2u : 0u) << reason.label;
  }
  ASSERT_EQ(totals.routes.size(), 2u);
  EXPECT_EQ(totals.routes[0].name, "/a");
  EXPECT_EQ(totals.routes[0].requests, (StatusTotals{2, 0, 0, 0, 0, 2}));
  EXPECT_EQ(totals.routes[0].bytes_to_server, 14u);
  EXPECT_EQ(totals.routes[1].requests, (StatusTotals{0, 2, 0, 0, 0, 0}));
  ASSERT_EQ(totals.servers.size(), 1u);
  EXPECT_EQ(totals.servers[0].kept, 6u);
  EXPECT_EQ(totals.servers[0].draining, 2u);
}

TEST(ProxyStats, WhatIsGoneStaysAsLongAsItIsUsed) {
  EdgeCounters worker;
  worker.Route("meet", "/old")->tunnels_begun.Add(1);
  const auto used = worker.Route("meet", "/used");
  worker.Server("web", "old")->picked.Add(1);
  worker.Server("web", "stays")->picked.Add(1);
  worker.AddListener("old", std::make_shared<ListenerState>());
  const auto state = std::make_shared<ListenerState>();
  worker.AddListener("renamed", state);
  worker.AddListener("https", state);
  worker.Forget(EdgeOf("/new", "stays"));
  EdgeTotals totals;
  worker.AddTo(totals, kNow);
  ASSERT_EQ(totals.routes.size(), 1u);
  EXPECT_EQ(totals.routes[0].name, "/used");
  ASSERT_EQ(totals.servers.size(), 1u);
  EXPECT_EQ(totals.servers[0].name, "stays");
  EXPECT_EQ(totals.servers[0].picked, 1u);
  ASSERT_EQ(totals.listeners.size(), 1u);
  EXPECT_EQ(totals.listeners[0].name, "https");
}

TEST(ProxyStats, AListenersCountsStayWithItsName) {
  EdgeCounters worker;
  config::Edge edge = EdgeOf("/a", "s1");
  edge.listeners.emplace_back().name = "web";
  const auto accepted = [&](EdgeTotals totals = {}) {
    worker.AddTo(totals, kNow);
    return totals.listeners.empty() ? 0 : totals.listeners[0].accepted;
  };
  auto first = std::make_shared<ListenerState>(), second = std::make_shared<ListenerState>();
  first->counters.CountAccepted();
  first->counters.Count(AcceptRefusal::kSourceRate);
  worker.AddListener("web", first);
  worker.Forget(edge);
  EXPECT_EQ(accepted(), 1u);
  first.reset();
  second->counters.CountAccepted();
  worker.AddListener("web", second);  // at another address, or after a rest
  for (int reload = 0; reload < 2; ++reload) {
    EXPECT_EQ(accepted(), 2u);
    worker.Forget(edge);
  }
  EdgeTotals totals;
  worker.AddTo(totals, kNow);
  EXPECT_EQ(totals.listeners[0].refused[RefusalIndex(AcceptRefusal::kSourceRate)].connections, 1u);
  second.reset();
  worker.Forget(EdgeOf("/a", "s1"));
  EXPECT_EQ(accepted(), 0u);
}

TEST(ProxyStats, AWorkerThatRestsSaysNothingOfServers) {
  EdgeCounters works, rests;
  for (EdgeCounters* worker : {&works, &rests}) {
    worker->AddListener("web", std::make_shared<ListenerState>());
    worker->Server("web", "s1")->connections.Add(1);
  }
  rests.Server("web", "s1")->down.Set(1);
  rests.Server("web", "s1")->draining.Set(1);
  rests.Rest();
  EdgeTotals totals;
  works.AddTo(totals, kNow);
  rests.AddTo(totals, kNow);
  EXPECT_EQ(totals.workers, 1u);
  EXPECT_EQ(totals.servers[0].connections, 2u);
  EXPECT_EQ(totals.servers[0].draining, 0u);
  EXPECT_TRUE(totals.servers[0].up);
  rests.AddListener("web", std::make_shared<ListenerState>());
  totals = {};
  rests.AddTo(totals, kNow);
  EXPECT_EQ(totals.workers, 1u);
  EXPECT_FALSE(totals.servers[0].up);
}

// What operators see of a server is what its balancer goes by, and a new group begins afresh.
TEST(ProxyStats, BalancersCountTheirServers) {
  EdgeCounters worker;
  config::Upstream upstream;
  upstream.name = "web";
  upstream.max_failures = 1;
  for (const char* name : {"s1", "s2"}) upstream.servers.emplace_back().name = name;
  const auto counters = [&] {
    return Balancer::Counters{worker.Server("web", "s1"), worker.Server("web", "s2")};
  };
  const auto server = [&](size_t index, Time now) {
    EdgeTotals totals;
    worker.AddTo(totals, now);
    return totals.servers[index];
  };
  Balancer balancer(upstream, counters());
  auto kept = balancer.Pick({}, kNow).lease;
  auto fails = balancer.Pick({}, kNow).lease;
  ASSERT_EQ(kept.server(), 0u);
  ASSERT_EQ(fails.server(), 1u);
  fails.Failed(kNow);
  EXPECT_EQ(server(0, kNow).connections, 1u);
  EXPECT_EQ(server(1, kNow).connections, 0u);
  EXPECT_EQ(server(1, kNow).picked, 1u);
  EXPECT_EQ(server(1, kNow).failed, 1u);
  EXPECT_EQ(server(1, kNow).left_alone, 1u);
  EXPECT_EQ(server(1, kNow + upstream.failure_timeout).left_alone, 0u);
  balancer.SetUp(0, false);
  balancer.SetDraining(1, true);
  EXPECT_FALSE(server(0, kNow).up);
  EXPECT_EQ(server(0, kNow).draining, 0u);
  EXPECT_TRUE(server(1, kNow).up);
  EXPECT_EQ(server(1, kNow).draining, 1u);
  // The old one's connection is still there.
  Balancer next(upstream, counters());
  EXPECT_TRUE(server(0, kNow).up);
  EXPECT_EQ(server(1, kNow).draining, 0u);
  EXPECT_EQ(server(1, kNow).left_alone, 0u);
  EXPECT_EQ(server(0, kNow).connections, 1u);
  kept = {};
  EXPECT_EQ(server(0, kNow).connections, 0u);
}

TEST(ProxyRefusalLog, AFewLinesAndTheRestInOne) {
  std::vector<std::string> lines;
  AcceptRefusalLog log([&](const std::string& line) { lines.push_back(line); });
  const auto client = [](uint16_t port) {
    return SocketAddress(*config::Address::Parse("203.0.113.5"), port);
  };
  const auto note = [&](uint16_t port, AcceptRefusal refusal) {
    return log.Note("web", client(port), refusal);
  };
  EXPECT_FALSE(note(1, AcceptRefusal::kClosedEarly));
  EXPECT_TRUE(note(1, AcceptRefusal::kSourceRate));
  for (uint16_t port = 2; port <= 10; ++port) EXPECT_FALSE(note(port, AcceptRefusal::kSourceRate));
  EXPECT_FALSE(note(11, AcceptRefusal::kAccessDenied));
  log.EndWindow();
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "edge: refused 203.0.113.5:1 (listener web): source_rate",
                       "edge: refused 203.0.113.5:2 (listener web): source_rate",
                       "edge: refused 203.0.113.5:3 (listener web): source_rate",
                       "edge: refused 203.0.113.5:11 (listener web): access_denied",
                       "edge: refused 203.0.113.5:10 (listener web): source_rate; 6 more in the "
                       "last 10 s",
                   }));
  lines.clear();
  EXPECT_TRUE(note(12, AcceptRefusal::kSourceRate));
  log.EndWindow();
  EXPECT_EQ(lines.size(), 1u);
}

}  // namespace
}  // namespace bridgehead::proxy
