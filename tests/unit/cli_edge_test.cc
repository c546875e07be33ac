// `bridgehead upstreams`, `connections`, `sources`, and the edge in `status`: against a ctrl that
// says what a test wants it to.
#include <atomic>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "ctrl/cli/commands.h"
#include "ctrl/cli/edge_text.h"
#include "ctrl/config/address.h"
#include "tests/unit/publish_fake_relay.h"

namespace bridgehead::cli {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

struct Result {
  int code = 0;
  std::string out, errors;
};

Result RunIn(const std::string& run_dir, std::vector<const char*> arguments) {
  Result result;
  const Streams streams = {[&](const std::string& text) { result.out += text; },
                           [&](const std::string& text) { result.errors += text; }};
  arguments.insert(arguments.begin(), {"bridgehead", "--run-dir", run_dir.c_str()});
  result.code = Run(static_cast<int>(arguments.size()), arguments.data(), streams);
  return result;
}

api::EdgeServer Server(const std::string& upstream, const std::string& name) {
  api::EdgeServer server;
  server.set_upstream(upstream);
  server.set_server(name);
  return server;
}

api::EdgeStatus Edge() {
  api::EdgeStatus edge;
  edge.set_workers(2);
  api::EdgeListener& listener = *edge.add_listeners();
  listener.set_name("https");
  listener.set_open(1200);
  listener.set_accepted(5000);
  listener.set_refused(7);
  listener.set_bytes_to_client(2048);
  *edge.add_servers() = Server("web", "s1");
  edge.mutable_servers(0)->set_connections(12);
  edge.mutable_servers(0)->set_kept(3);
  *edge.add_servers() = Server("web", "s2");
  edge.mutable_servers(1)->set_left_alone(2);
  *edge.add_servers() = Server("web", "s3");
  edge.mutable_servers(2)->set_draining(true);
  return edge;
}

class CliEdge : public ::testing::Test {
 protected:
  CliEdge()
      : ctrl_(directory_.path() + "/" + kCtrlSocketName,
              [this](const api::Request& request) { return Answer(request); }) {}

  api::Response Answer(const api::Request& request) {
    api::Response response;
    if (request.has_ctrl()) {
      *response.mutable_ctrl()->mutable_edge() = Edge();
      auto& s1 = *response.mutable_ctrl()->mutable_edge()->mutable_servers(0);
      // One look later than asked for; then a connection ends with each look.
      s1.set_draining(std::exchange(applied_, draining_));
      s1.set_connections(s1.draining() && left_ > 0 ? left_-- : left_);
    }
    if (request.has_drain()) {
      drain_ = request.drain();
      const bool known = drain_.upstream() == "web" && drain_.server() == "s1";
      if (known) draining_ = drain_.drained();
      response.mutable_drain()->set_accepted(known);
      response.mutable_drain()->set_unknown_bridge(!known);
      if (!known) response.mutable_drain()->set_message("got it, expected another");
    }
    if (request.has_connections()) {
      query_ = request.connections();
      *response.mutable_connections() = connections_;
    }
    if (request.has_sources()) *response.mutable_sources() = sources_;
    return response;
  }
  Result Do(std::vector<const char*> arguments) {
    return RunIn(directory_.path(), std::move(arguments));
  }

  TemporaryDirectory directory_;
  api::CtrlConnectionsQuery query_;
  api::CtrlConnections connections_;
  api::CtrlSources sources_;
  api::CtrlDrain drain_;
  bool draining_ = false, applied_ = false;
  uint64_t left_ = 12;
  FakeRelay ctrl_;
};

TEST_F(CliEdge, Upstreams) {
  const Result text = Do({"upstreams"});
  EXPECT_EQ(text.code, kOk);
  EXPECT_EQ(text.out,
            "UPSTREAM  SERVER  STATE     SINCE  CHECK  CONNECTIONS  KEPT  PICKED  FAILED  "
            "REQUESTS  WHY\n"
            "web       s1      up                               12     3       0       0  "
            "       0\n"
            "web       s2      failing                           0     0       0       0  "
            "       0  connections failed: left alone by 2 of 2 cores\n"
            "web       s3      draining                          0     0       0       0  "
            "       0  drained by the operator\n");
  const Result result = Do({"upstreams", "--json"});
  const Json servers = Json::parse(result.out)["servers"];
  ASSERT_EQ(servers.size(), 3u);
  EXPECT_EQ(servers[0]["connections"], 12);
  EXPECT_TRUE(servers[0]["why"].is_null());
  EXPECT_EQ(servers[1]["state"], "failing");
}

TEST(CliEdgeText, HealthChecksSaySinceWhenAndWhy) {
  api::EdgeStatus edge;
  edge.set_workers(1);
  for (const char* name : {"good", "bad", "drained", "unchecked"}) {
    *edge.add_servers() = Server("web", name);
    if (edge.servers_size() == 4) break;
    api::BridgeHealth& health = *edge.mutable_servers()->rbegin()->mutable_health();
    health.set_since_unix(1000);
    health.mutable_health()->set_url("tcp://10.0.0.1:80");
    health.mutable_health()->set_checks(7);
    health.mutable_health()->set_last_microseconds(2500);
  }
  edge.mutable_servers(0)->mutable_health()->set_reason("last check failed: status 500");
  edge.mutable_servers(0)->set_left_alone(1);
  for (int down : {1, 2}) {
    edge.mutable_servers(down)->set_down(true);
    edge.mutable_servers(down)->mutable_health()->set_reason("TLS: no\x1b");
  }
  edge.mutable_servers(2)->set_draining(true);
  const std::string text = UpstreamsText(edge, 1200);
  EXPECT_THAT(text, HasSubstr("web       good       failing           2.5 ms "));
  EXPECT_THAT(text, HasSubstr("  last check failed: status 500; connections failed: left alone by "
                              "1 of 1 cores\n"));
  EXPECT_THAT(text, HasSubstr("web       bad        down      3m 20s  2.5 ms "));
  EXPECT_THAT(text, HasSubstr("  fails its health check: TLS: no?\n"));
  EXPECT_THAT(text, HasSubstr("web       drained    draining          2.5 ms "));
  EXPECT_THAT(text, HasSubstr("  drained by the operator; fails its health check: TLS: no?\n"));
  EXPECT_THAT(text, HasSubstr("web       unchecked  up                       "));
  const Json servers = Json::parse(view::UpstreamsJson(edge))["servers"];
  EXPECT_EQ(servers[1]["health_since_unix"], 1000);
  EXPECT_EQ(servers[1]["health"]["checks"], 7);
  EXPECT_TRUE(servers[3]["health"].is_null());
  EXPECT_TRUE(servers[3]["health_since_unix"].is_null());
}

TEST_F(CliEdge, Connections) {
  api::EdgeConnection& tunnel = *connections_.add_connections();
  tunnel.set_kind("websocket");
  tunnel.set_listener("https");
  tunnel.set_client("192.0.2.1:4000");
  tunnel.set_upstream("jvb");
  tunnel.set_server("jvb1");
  tunnel.set_route("/colibri-ws");
  tunnel.set_bytes_to_client(2048);
  tunnel.set_age_seconds(200);
  connections_.add_connections()->set_kind("handshake");
  connections_.set_more(true);
  connections_.set_silent_workers(1);
  const Result text = Do({"connections", "--listener", "https", "--upstream", "jvb", "--client",
                          "192.0.2.1", "--limit", "2"});
  EXPECT_EQ(text.code, kOk);
  EXPECT_EQ(query_.listener(), "https");
  EXPECT_EQ(query_.upstream(), "jvb");
  EXPECT_EQ(query_.client(), config::Address::Parse("192.0.2.1")->bytes());
  EXPECT_EQ(query_.limit(), 2u);
  EXPECT_THAT(text.out, HasSubstr("websocket  https     192.0.2.1:4000  jvb/jvb1  /colibri-ws"));
  EXPECT_THAT(text.out, HasSubstr("2.00 KiB  3m 20s\n"));
  EXPECT_THAT(text.out, HasSubstr("\nthe first 2; more with --limit\n"));
  EXPECT_THAT(text.out, HasSubstr("\n1 core did not answer in time"));
  const Json json = Json::parse(Do({"connections", "--json"}).out);
  EXPECT_EQ(json["connections"][0]["server"], "jvb1");
  EXPECT_TRUE(json["connections"][1]["server"].is_null());
  EXPECT_EQ(json["more"], true);
  EXPECT_EQ(json["silent_cores"], 1);
}

TEST_F(CliEdge, ConnectionsOfNobody) {
  EXPECT_EQ(Do({"connections"}).out, "no connections\n");
  EXPECT_EQ(Do({"connections", "--client", "nobody"}).code, kUsage);
  EXPECT_EQ(Do({"connections", "--limit", "0"}).code, kUsage);
  connections_.set_error("--upstream: got x, expected one of: web");
  const Result unknown = Do({"connections", "--upstream", "x"});
  EXPECT_EQ(unknown.code, kUsage);
  EXPECT_EQ(unknown.errors, "--upstream: got x, expected one of: web\n");
}

TEST_F(CliEdge, Sources) {
  EXPECT_THAT(Do({"sources"}).out, HasSubstr("no sources"));
  api::EdgeSource& source = *sources_.add_by_connections();
  source.set_listener("https");
  source.set_source("192.0.2.1");
  source.set_used(40);
  source.set_refused(1000);
  api::EdgeSource& asking = *sources_.add_by_requests();
  asking.set_source("2001:db8::/64");
  asking.set_host("meet");
  asking.set_route("/http-bind");
  EXPECT_EQ(Do({"sources"}).out,
            "BY CONNECTIONS  LISTENER  CONNECTIONS  REFUSED\n"
            "192.0.2.1       https              40    1,000\n"
            "\n"
            "BY REQUESTS    HOST  ROUTE       REQUESTS  REFUSED\n"
            "2001:db8::/64  meet  /http-bind         0        0\n");
  const Json json = Json::parse(Do({"sources", "--json"}).out);
  EXPECT_EQ(json["by_connections"][0]["connections"], 40);
  EXPECT_EQ(json["by_requests"][0]["source"], "2001:db8::/64");
  EXPECT_EQ(json["by_requests"][0]["host"], "meet");
  EXPECT_EQ(json["by_requests"][0]["route"], "/http-bind");
}

TEST_F(CliEdge, Status) {
  const Result text = Do({"status"});
  EXPECT_THAT(text.out, HasSubstr("edge      2 cores, 1,200 connections, 1 of 3 servers up\n"));
  EXPECT_THAT(text.out, HasSubstr("https                1,200     5,000        7"));
  const Json json = Json::parse(Do({"status", "--json"}).out);
  EXPECT_EQ(json["ctrl"]["edge"]["cores"], 2);
  EXPECT_EQ(json["ctrl"]["edge"]["listeners"][0]["refused"], 7);
  EXPECT_EQ(EdgeText(api::EdgeStatus()), "");
}

TEST_F(CliEdge, DrainsAServer) {
  Result result = Do({"drain", "web/s1"});
  EXPECT_EQ(result.code, kOk) << result.errors;
  EXPECT_EQ(result.out, "web/s1 takes no new connections; 12 connections left\n");
  EXPECT_EQ(drain_.bridge(), "");
  EXPECT_TRUE(drain_.drained());
  left_ = 2;
  result = Do({"drain", "web/s1", "--wait"});
  EXPECT_EQ(result.code, kOk) << result.errors;
  EXPECT_EQ(result.out,
            "web/s1: 2 connections left\nweb/s1: 1 connection left\n"
            "web/s1 takes no new connections; no connections left\n");
  left_ = 1000;
  result = Do({"drain", "web/s1", "--wait", "0.3"});
  EXPECT_EQ(result.code, kRefused);
  EXPECT_THAT(result.errors, HasSubstr("left after 0.3 s\n"));
  result = Do({"undrain", "web/s1", "--json"});
  EXPECT_EQ(result.code, kOk) << result.errors;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["server"], "web/s1");
  EXPECT_EQ(json["drained"], false);
  EXPECT_FALSE(draining_);
}

TEST_F(CliEdge, DrainsNoServerOfAnotherName) {
  for (const char* name : {"web/s9", "web/", "/s1", "s1/web", "web/s1/"}) {
    const Result result = Do({"drain", name});
    EXPECT_EQ(result.code, kUsage) << name;
    EXPECT_EQ(result.errors, "UPSTREAM/SERVER: got it, expected another\n");
  }
  EXPECT_FALSE(draining_);
}

TEST(CliEdgeWithoutCtrl, IsNotReachable) {
  TemporaryDirectory empty;
  for (const char* command : {"upstreams", "connections", "sources"}) {
    EXPECT_EQ(RunIn(empty.path(), {command}).code, kUnreachable) << command;
  }
  EXPECT_EQ(RunIn(empty.path(), {"drain", "web/s1"}).code, kUnreachable);
}

}  // namespace
}  // namespace bridgehead::cli
