// The TCP edge's metrics.
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "ctrl/admin/edge_metrics.h"
#include "ctrl/admin/metrics.h"

namespace bridgehead::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

proxy::EdgeTotals Totals() {
  proxy::EdgeTotals totals;
  totals.workers = 2;
  auto& listener = totals.listeners.emplace_back();
  listener.name = "https";
  listener.open = 3;
  listener.accepted = 10;
  listener.refused = {{"source_rate", 5}, {"access_denied", 0}};
  listener.tls_resumed = 4;
  listener.tls_failed = 1;
  listener.bytes_to_client = 1000;
  listener.unrouted[4] = 6;
  auto& route = totals.routes.emplace_back();
  route.host = "meet";
  route.name = "/ws";
  route.requests[1] = 7;
  route.tunnels_begun = 7;
  route.tunnels = 2;
  route.bytes_to_server = 11;
  auto& server = totals.servers.emplace_back();
  server.upstream = "web";
  server.name = "s1";
  server.up = false;
  server.left_alone = 1;
  server.connections = 8;
  server.kept = 9;
  api::BridgeCheck& check = *server.health.emplace().mutable_health();
  check.set_checks(20);
  check.set_last_microseconds(1500);
  api::BridgeCheck::Failures& failures = *check.add_failures();
  failures.set_reason("tls");
  failures.set_count(4);
  totals.servers.emplace_back().name = "unchecked";
  return totals;
}

TEST(AdminEdgeMetrics, ListenersRoutesAndServers) {
  std::vector<prometheus::MetricFamily> families;
  AddEdgeFamilies(families, Totals());
  const std::string text = prometheus::TextSerializer().Serialize(families);
  for (const char* line : {
           "edge_connections{listener=\"https\"} 3\n",
           "edge_accepted_connections_total{listener=\"https\"} 10\n",
           "edge_refused_connections_total{listener=\"https\",reason=\"source_rate\"} 5\n",
           "edge_refused_connections_total{listener=\"https\",reason=\"access_denied\"} 0\n",
           "edge_tls_handshakes_total{listener=\"https\",result=\"full\"} 0\n",
           "edge_tls_handshakes_total{listener=\"https\",result=\"resumed\"} 4\n",
           "edge_tls_handshakes_total{listener=\"https\",result=\"failed\"} 1\n",
           "edge_bytes_total{listener=\"https\",direction=\"to_client\"} 1000\n",
           "edge_unrouted_requests_total{listener=\"https\",status=\"4xx\"} 6\n",
           "edge_route_requests_total{host=\"meet\",route=\"/ws\",status=\"1xx\"} 7\n",
           "edge_route_requests_total{host=\"meet\",route=\"/ws\",status=\"none\"} 0\n",
           "edge_route_tunnels_begun_total{host=\"meet\",route=\"/ws\"} 7\n",
           "edge_route_tunnels{host=\"meet\",route=\"/ws\"} 2\n",
           "edge_route_bytes_total{host=\"meet\",route=\"/ws\",direction=\"to_server\"} 11\n",
           "edge_server_up{upstream=\"web\",server=\"s1\"} 0\n",
           "edge_server_draining{upstream=\"web\",server=\"s1\"} 0\n",
           "edge_server_left_alone{upstream=\"web\",server=\"s1\"} 1\n",
           "edge_server_connections{upstream=\"web\",server=\"s1\"} 8\n",
           "edge_server_kept_connections{upstream=\"web\",server=\"s1\"} 9\n",
           "edge_server_check_duration_seconds{upstream=\"web\",server=\"s1\"} 0.0015\n",
           "edge_server_checks_total{upstream=\"web\",server=\"s1\"} 20\n",
           "edge_server_check_failures_total{upstream=\"web\",server=\"s1\",reason=\"tls\"} 4\n",
           "edge_server_check_failures_total{upstream=\"web\",server=\"s1\",reason=\"status\"} 0\n",
       }) {
    EXPECT_THAT(text, HasSubstr(std::string("\nbridgehead_") + line));
  }
  EXPECT_THAT(text, Not(HasSubstr("edge_server_checks_total{upstream=\"\"")));
}

TEST(AdminEdgeMetrics, FamiliesAreWellFormed) {
  std::vector<prometheus::MetricFamily> families;
  AddEdgeFamilies(families, Totals());
  std::set<std::string> names;
  for (const auto& family : families) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name << " twice";
    EXPECT_THAT(family.name, StartsWith("bridgehead_edge_"));
    EXPECT_FALSE(family.help.empty()) << family.name;
    const bool total = family.name.ends_with("_total");
    EXPECT_EQ(family.type == prometheus::MetricType::Counter, total) << family.name;
  }
}

TEST(AdminEdgeMetrics, BesideTheOthers) {
  CounterSource source("/nonexistent/counters");
  StatusBoard board;
  EXPECT_THAT(Metrics(source, board, Totals).Text(), HasSubstr("bridgehead_edge_connections{"));
  const auto none = [] { return proxy::EdgeTotals(); };
  const std::string without = Metrics(source, board, none).Text();
  EXPECT_THAT(without, HasSubstr("bridgehead_ready"));
  EXPECT_THAT(without, Not(HasSubstr("bridgehead_edge_")));
}

}  // namespace
}  // namespace bridgehead::admin
