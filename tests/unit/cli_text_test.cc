// Formatting, tables, JSON and grammar of the command line.
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "ctrl/cli/command_line.h"
#include "ctrl/cli/format.h"
#include "ctrl/cli/text.h"
#include "ctrl/config/address.h"
#include "fmt/format.h"
#include "tests/unit/publish_fake_relay.h"

namespace bridgehead::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(CliFormat, Thousands) {
  EXPECT_EQ(Thousands(uint64_t{0}), "0");
  EXPECT_EQ(Thousands(uint64_t{999}), "999");
  EXPECT_EQ(Thousands(uint64_t{1000}), "1,000");
  EXPECT_EQ(Thousands(uint64_t{1234567}), "1,234,567");
  EXPECT_EQ(Thousands(UINT64_MAX), "18,446,744,073,709,551,615");
  EXPECT_EQ(Thousands(int64_t{-1234}), "-1,234");
  EXPECT_EQ(Thousands(INT64_MIN), "-9,223,372,036,854,775,808");
}

TEST(CliFormat, Bytes) {
  EXPECT_EQ(Bytes(0), "0 B");
  EXPECT_EQ(Bytes(1023), "1023 B");
  EXPECT_EQ(Bytes(1024), "1.00 KiB");
  EXPECT_EQ(Bytes(1536), "1.50 KiB");
  EXPECT_EQ(Bytes(10240), "10.0 KiB");
  EXPECT_EQ(Bytes(1023 * 1024), "1.00 MiB");
  EXPECT_EQ(Bytes(999 * 1024), "999 KiB");
  EXPECT_EQ(Bytes(UINT64_MAX), "16.0 EiB");
}

TEST(CliFormat, Duration) {
  EXPECT_EQ(Duration(0), "0s");
  EXPECT_EQ(Duration(59), "59s");
  EXPECT_EQ(Duration(200), "3m 20s");
  EXPECT_EQ(Duration(18120), "5h 2m");
  EXPECT_EQ(Duration(12 * 86400 + 4 * 3600), "12d 4h");
}

TEST(CliFormat, TableIsAlignedWithoutTrailingBlanks) {
  Table table({{"NAME"}, {"COUNT", Table::Align::kRight}, {"TEXT"}});
  table.Add({"a", "1", "short"});
  table.Add({"longer-name", "1,000", ""});
  EXPECT_EQ(table.Text(),
            "NAME         COUNT  TEXT\n"
            "a                1  short\n"
            "longer-name  1,000\n");
}

TEST(CliFormat, NoControlCharactersReachTheTerminal) {
  EXPECT_EQ(Printable("a\x1b[2Jb\nc\x7f"), "a?[2Jb\nc?");
}

std::string Bytes16(const char* ipv6) {
  return config::Address::Parse(ipv6)->bytes();
}

// Two workers, two drops, one port, one listener, one bridge.
CounterTotals MakeTotals() {
  CounterTotals totals;
  totals.total.received = 10000;
  totals.total.forwarded = 9980;
  totals.total.dropped = 18;
  totals.total.held = 2;
  totals.session_capacity = 131072;
  totals.workers.resize(2);
  for (const DropInfo& info : kDropInfo) totals.drops.push_back({std::string(info.label), 0});
  totals.drops[DropIndex(Drop::kNotStun)].packets = 18;
  totals.ports.push_back({"wan", 10000, 2'000'000, 9980, 1'990'000, 0, 0, true});
  CounterTotals::Traffic traffic{"meet", 5000, 1'000'000, 4980, 990'000, 3, 2, 41, 17};
  totals.listeners.push_back(traffic);
  traffic.name = "jvb1";
  totals.bridges.push_back(traffic);
  return totals;
}

TEST(CliText, DropsAddUp) {
  CounterTotals totals = MakeTotals();
  std::string text = DropsText(totals, false);
  EXPECT_THAT(text, HasSubstr("not_stun       18  first packet of a media flow"));
  EXPECT_THAT(text, Not(HasSubstr("table_full")));
  EXPECT_THAT(text, HasSubstr("received 10,000 = forwarded 9,980 + dropped 18 + held 2: adds up"));
  EXPECT_THAT(DropsText(totals, true), HasSubstr("table_full"));
  totals.total.received += 3;
  EXPECT_THAT(DropsText(totals, false), HasSubstr("3 on their way"));
}

TEST(CliText, DropsOfTheXdpProgramsAreNotAmongTheReceived) {
  CounterTotals totals = MakeTotals();
  EXPECT_THAT(DropsText(totals, true), Not(HasSubstr("IN XDP")));  // no port has one
  CounterTotals::PortTotal lan;
  lan.name = "lan";
  lan.has_xdp = totals.ports[0].has_xdp = true;
  totals.ports[0].xdp_dropped = {1200, 0, 3};
  totals.ports.push_back(lan);
  const std::string text = DropsText(totals, false);
  EXPECT_THAT(text, HasSubstr("received 10,000 = forwarded 9,980 + dropped 18 + held 2: adds up"));
  EXPECT_THAT(text, HasSubstr("\ndenied     wan     1,200  the access list of the listener"));
  EXPECT_THAT(text, HasSubstr("\nstun_rate  wan         3  this source address sends"));
  EXPECT_THAT(text, HasSubstr("\nnot among the received\n"));
  EXPECT_THAT(text, Not(HasSubstr("not_media")));
  EXPECT_THAT(text, Not(HasSubstr("lan")));
  EXPECT_THAT(DropsText(totals, true), HasSubstr("\nnot_media  lan         0  to a media"));
  auto json = nlohmann::json::parse(view::DropsJson(totals));
  ASSERT_EQ(json["xdp_drops"].size(), 2 * kEarlyDropCount);
  EXPECT_EQ(json["xdp_drops"][0]["port"], "wan");
  EXPECT_EQ(json["xdp_drops"][0]["label"], "denied");
  EXPECT_EQ(json["xdp_drops"][0]["packets"], 1200);
  EXPECT_EQ(json["dropped"], 18);
}

TEST(CliText, DropsJsonHasEveryReason) {
  auto json = nlohmann::json::parse(view::DropsJson(MakeTotals()));
  EXPECT_EQ(json["drops"].size(), kDropCount);
  EXPECT_EQ(json["received"], 10000);
  EXPECT_EQ(json["difference"], 0);
  EXPECT_TRUE(json["adds_up"]);
  EXPECT_EQ(json["drops"][DropIndex(Drop::kNotStun)]["packets"], 18);
}

TEST(CliText, StatusSaysWhatIsDown) {
  view::Inputs inputs;
  inputs.relay_error = "no relay\x1b[2J";
  inputs.ctrl_error = "no ctrl";
  inputs.counters_error = "no counters";
  std::string text = StatusText(inputs, 1000);
  EXPECT_THAT(text, HasSubstr("relay     DOWN: no relay?[2J"));
  EXPECT_THAT(text, HasSubstr("ctrl      DOWN: no ctrl"));
  EXPECT_THAT(text, HasSubstr("counters  none: no counters"));
  auto json = nlohmann::json::parse(view::StatusJson(inputs));
  EXPECT_TRUE(json["relay"].is_null());
  EXPECT_EQ(json["ctrl_error"], "no ctrl");
}

TEST(CliText, StatusOfARunningPair) {
  view::Inputs inputs;
  inputs.counters = MakeTotals();
  inputs.relay.emplace().set_forwarding(true);
  inputs.relay->set_start_time_unix(800);
  inputs.relay->add_worker_cores(1);
  inputs.relay->add_worker_cores(2);
  api::CtrlStatus& ctrl = inputs.ctrl.emplace();
  ctrl.set_relay_connected(true);
  ctrl.set_snapshot_id(5);
  ctrl.set_snapshot_accepted(true);
  ctrl.set_relay_forwarding(true);
  ctrl.add_warnings("media[0].listen: nobody answers");
  std::string text = StatusText(inputs, 1000);
  EXPECT_THAT(text, HasSubstr("relay     forwarding"));
  EXPECT_THAT(text, HasSubstr("up 3m 20s"));
  EXPECT_THAT(text, HasSubstr("workers on cores 1,2"));
  EXPECT_THAT(text, HasSubstr("ctrl      ready"));
  EXPECT_THAT(text, HasSubstr("warning   media[0].listen"));
  EXPECT_THAT(text, HasSubstr("wan   up      10,000  1.91 MiB"));
  EXPECT_THAT(text, HasSubstr("1.91 MiB"));
}

TEST(CliText, ReadinessNamesTheFirstObstacle) {
  api::CtrlStatus status;
  EXPECT_EQ(view::ReadinessOf(status).reason, "relay is not connected");
  status.set_relay_connected(true);
  EXPECT_THAT(view::ReadinessOf(status).reason, HasSubstr("not answered"));
  status.set_snapshot_id(1);
  status.set_relay_problem("dataplane.ports: busy");
  EXPECT_EQ(view::ReadinessOf(status).reason,
            "relay refused the configuration: dataplane.ports: busy");
  status.set_snapshot_accepted(true);
  EXPECT_THAT(view::ReadinessOf(status).reason, HasSubstr("not forwarding"));
  status.set_relay_forwarding(true);
  EXPECT_TRUE(view::ReadinessOf(status).ready);
  status.mutable_relay()->add_ports()->set_link_up(true);
  EXPECT_TRUE(view::ReadinessOf(status).ready);
  status.mutable_relay()->add_ports()->set_name("lan");
  EXPECT_EQ(view::ReadinessOf(status).reason, "port lan: its link is down");
}

TEST(CliText, CountersBelongToTheRelayThatWritesThem) {
  CounterTotals totals;
  totals.pid = 7;
  api::RelayStatus relay;
  relay.set_pid(7);
  EXPECT_FALSE(view::AreOf(totals, relay)) << "it has not begun";
  relay.set_forwarding(true);
  EXPECT_TRUE(view::AreOf(totals, relay));
  totals.closed = true;
  EXPECT_FALSE(view::AreOf(totals, relay));
  totals.closed = false;
  totals.pid = 8;
  EXPECT_FALSE(view::AreOf(totals, relay));
}

TEST(CliText, RemovedListenerIsCalledSo) {
  view::Inputs inputs;
  inputs.counters = MakeTotals();
  EXPECT_THAT(StatusText(inputs, 0), Not(HasSubstr("(removed)"))) << "nobody knows";
  inputs.ctrl.emplace();
  EXPECT_THAT(StatusText(inputs, 0), HasSubstr("meet      (removed)"));
}

TEST(CliText, ListenersOfEachKind) {
  view::Inputs inputs;
  inputs.counters = MakeTotals();
  inputs.counters->total.sessions_displaced = 1234;
  auto& listeners = inputs.counters->listeners;
  for (const char* name : {"fleet", "old", "new", "gone", "outbound"}) {
    listeners.push_back(listeners[0]);
    listeners.back().name = name;
  }
  api::CtrlStatus& ctrl = inputs.ctrl.emplace();
  const auto add = [&](const char* name, api::MediaListener::Kind kind,
                       api::MediaListener::OctoVersion version) {
    api::MediaListener& listener = *ctrl.add_media();
    listener.set_name(name);
    listener.set_address(std::string("\xc6\x33\x64\x0a", 4));
    listener.mutable_ports()->set_first(4096);
    listener.mutable_ports()->set_last(4096);
    listener.set_kind(kind);
    listener.set_octo_version(version);
  };
  add("meet", api::MediaListener::KIND_MEDIA, api::MediaListener::OCTO_ANY);
  add("fleet", api::MediaListener::KIND_OCTO, api::MediaListener::OCTO_ANY);
  add("old", api::MediaListener::KIND_OCTO, api::MediaListener::OCTO_V0);
  add("new", api::MediaListener::KIND_OCTO, api::MediaListener::OCTO_V1);
  std::string text = StatusText(inputs, 1000);
  for (const char* row : {"LISTENER  ADDRESS             KIND      SESSIONS ",
                          "meet      198.51.100.10:4096  media            2 ",
                          "fleet     198.51.100.10:4096  octo             2 ",
                          "old       198.51.100.10:4096  octo v0          2 ",
                          "new       198.51.100.10:4096  octo v1          2 ",
                          "gone      (removed)                            2 ",
                          "outbound                      outbound         2 ",
                          " REFUSED  UNKNOWN UFRAG\n", "      41             17\n"}) {
    EXPECT_THAT(text, HasSubstr(row));
  }
  EXPECT_THAT(text, HasSubstr(" expired (1,234 to make room), "));
  auto counters = nlohmann::json::parse(view::StatusJson(inputs))["counters"];
  EXPECT_EQ(counters["total"]["sessions_displaced"], 1234);
  EXPECT_EQ(counters["listeners"][0]["kind"], "media");
  EXPECT_EQ(counters["listeners"][0]["refused"], 41);
  EXPECT_EQ(counters["listeners"][0]["refused_ufrag"], 17);
  EXPECT_EQ(counters["listeners"][3]["kind"], "octo v1");
  EXPECT_TRUE(counters["listeners"][4]["kind"].is_null());
  EXPECT_EQ(counters["listeners"][5]["kind"], "outbound");
}

constexpr uint64_t kNow = 1'700'000'000;

TEST(CliText, BridgesWithTheirHealth) {
  api::CtrlStatus ctrl;
  for (const char* name : {"jvb1", "jvb2"}) ctrl.add_bridges()->set_name(name);
  api::BridgeHealth* down = ctrl.add_health();
  down->set_name("jvb1");
  down->set_state(api::Bridge::DOWN);
  down->set_since_unix(kNow - 200);
  down->set_reason("status 503");
  down->mutable_health()->set_url("http://10.0.0.11:8080/about/health");
  down->mutable_health()->set_checks(7);
  down->mutable_health()->set_last_microseconds(1234);
  down->mutable_health()->set_last_error("status 503");
  auto* failures = down->mutable_health()->add_failures();
  failures->set_reason("status");
  failures->set_count(3);
  api::BridgeHealth* draining = ctrl.add_health();
  draining->set_name("jvb2");
  draining->set_state(api::Bridge::DRAINING);
  draining->set_since_unix(kNow);
  draining->set_drained(true);
  draining->set_reason("drained by the operator");
  const std::string text = BridgesText(MakeTotals(), ctrl, kNow);
  EXPECT_THAT(text, StartsWith("BRIDGE  ADDRESS  STATE      SINCE   CHECK  SESSIONS"));
  EXPECT_THAT(text, HasSubstr("jvb1             down      3m 20s  1.2 ms "));
  EXPECT_THAT(text, HasSubstr("jvb2             draining      0s "));
  EXPECT_THAT(text, HasSubstr("status 503\n"));
  EXPECT_THAT(text, HasSubstr("drained by the operator\n"));

  auto json = nlohmann::json::parse(view::BridgesJson(MakeTotals(), ctrl))["bridges"];
  EXPECT_EQ(json[0]["state"], "down");
  EXPECT_EQ(json[0]["state_since_unix"], kNow - 200);
  EXPECT_EQ(json[0]["reason"], "status 503");
  EXPECT_EQ(json[0]["drained"], false);
  EXPECT_EQ(json[0]["health"]["url"], "http://10.0.0.11:8080/about/health");
  EXPECT_EQ(json[0]["health"]["checks"], 7);
  EXPECT_EQ(json[0]["health"]["last_ms"], 1.234);
  EXPECT_EQ(json[0]["health"]["last_error"], "status 503");
  EXPECT_EQ(json[0]["health"]["failures"], nlohmann::json({{"status", 3}}));
  EXPECT_TRUE(json[0]["drain_state"].is_null());
  EXPECT_EQ(json[1]["state"], "draining");
  EXPECT_EQ(json[1]["drained"], true);
  EXPECT_TRUE(json[1]["health"].is_null());
  // Without ctrl nothing is known of it.
  json = nlohmann::json::parse(view::BridgesJson(MakeTotals(), std::nullopt))["bridges"];
  EXPECT_TRUE(json[0]["state"].is_null() && json[0]["drained"].is_null());
}

TEST(CliText, BridgesWithAndWithoutCounters) {
  api::CtrlStatus ctrl;
  api::Bridge* bridge = ctrl.add_bridges();
  bridge->set_name("jvb2");
  bridge->set_address(std::string("\x0a\x00\x00\x0c", 4));
  std::string text = BridgesText(MakeTotals(), ctrl, kNow);
  EXPECT_THAT(text, HasSubstr("jvb1    (removed)"));
  EXPECT_THAT(text, HasSubstr("jvb2    10.0.0.12"));
  EXPECT_THAT(BridgesText(std::nullopt, ctrl, kNow), HasSubstr("jvb2"));
  auto json = nlohmann::json::parse(view::BridgesJson(MakeTotals(), ctrl));
  EXPECT_EQ(json["bridges"][1]["address"], "10.0.0.12");
  EXPECT_TRUE(json["bridges"][0]["address"].is_null());
  EXPECT_TRUE(json["bridges"][1]["ufrag_prefix"].is_null());
  EXPECT_THAT(text, Not(HasSubstr("UFRAG PREFIX")));
}

TEST(CliText, BridgesWithUfragPrefixes) {
  api::CtrlStatus ctrl;
  api::Bridge* bridge = ctrl.add_bridges();
  bridge->set_name("jvb2");
  bridge->set_address(Bytes16("2001:db8::c"));
  bridge->set_ufrag_prefix("jvb2/");
  std::string text = BridgesText(MakeTotals(), ctrl, kNow);
  EXPECT_THAT(text,
              StartsWith("BRIDGE  ADDRESS      STATE  SINCE  CHECK  UFRAG PREFIX  SESSIONS "));
  EXPECT_THAT(text, HasSubstr("jvb1    (removed)                                              2 "));
  EXPECT_THAT(text, HasSubstr("jvb2    2001:db8::c                       jvb2/                0 "));
  auto json = nlohmann::json::parse(view::BridgesJson(MakeTotals(), ctrl));
  EXPECT_TRUE(json["bridges"][0]["ufrag_prefix"].is_null());
  EXPECT_EQ(json["bridges"][1]["address"], "2001:db8::c");
  EXPECT_EQ(json["bridges"][1]["ufrag_prefix"], "jvb2/");
}

TEST(CliText, Ipv6StandsInBracketsBeforeAPort) {
  api::SessionsPage page;
  api::Session* session = page.add_sessions();
  session->set_client_address(Bytes16("2001:db8:7::1"));
  session->set_client_port(40000);
  session->set_listener("meet");
  session->set_listener_address(Bytes16("2001:db8::10"));
  session->set_listener_port(10000);
  session->set_nat_address(std::string("\x0a\x08\x00\x02", 4));
  session->set_nat_port(20007);
  std::string text = SessionsText(page);
  EXPECT_THAT(text, HasSubstr("[2001:db8:7::1]:40000  meet [2001:db8::10]:10000  10.8.0.2:20007"));
  auto json = nlohmann::json::parse(view::SessionsJson(page));
  EXPECT_EQ(json["sessions"][0]["client_address"], "2001:db8:7::1");

  view::Inputs inputs;
  inputs.counters = MakeTotals();
  api::MediaListener* listener = inputs.ctrl.emplace().add_media();
  listener->set_name("meet");
  listener->set_address(Bytes16("2001:db8::10"));
  listener->mutable_ports()->set_first(10000);
  listener->mutable_ports()->set_last(10050);
  EXPECT_THAT(StatusText(inputs, 1000), HasSubstr("[2001:db8::10]:10000-10050"));
}

TEST(CliText, Sessions) {
  api::SessionsPage page;
  EXPECT_EQ(SessionsText(page), "no sessions\n");
  api::Session* session = page.add_sessions();
  session->set_client_address(std::string("\xc6\x33\x64\x07", 4));
  session->set_client_port(40000);
  session->set_listener("meet");
  session->set_confirmed(true);
  page.set_next_cursor(9);
  EXPECT_THAT(SessionsText(page), HasSubstr("198.51.100.7:40000"));
  EXPECT_THAT(SessionsText(page), HasSubstr("the first 1; more with --limit"));
  auto json = nlohmann::json::parse(view::SessionsJson(page));
  EXPECT_EQ(json["sessions"][0]["client_address"], "198.51.100.7");
  EXPECT_TRUE(json["more"]);
}

// ------------------------------------------------------------------------------------- whole runs

struct Result {
  int code = -1;
  std::string out, error;
};

Result RunCommand(std::vector<const char*> arguments) {
  Result result;
  Streams streams;
  streams.out = [&](const std::string& text) { result.out += text; };
  streams.error = [&](const std::string& text) { result.error += text; };
  arguments.insert(arguments.begin(), "bridgehead");
  result.code = Run(static_cast<int>(arguments.size()), arguments.data(), streams);
  return result;
}

TEST(CliRun, UsageErrors) {
  EXPECT_EQ(RunCommand({}).code, kUsage);
  EXPECT_EQ(RunCommand({"nonsense"}).code, kUsage);
  EXPECT_EQ(RunCommand({"check"}).code, kUsage);
  EXPECT_EQ(RunCommand({"sessions", "--limit", "0"}).code, kUsage);
  for (const char* client : {"nonsense", "10.0.0.256", "2001:db8::1::", "fe80::1%eth0", "::1"}) {
    Result result = RunCommand({"sessions", "--client", client});
    EXPECT_EQ(result.code, kUsage) << client;
    EXPECT_THAT(result.error, HasSubstr("expected an IPv4 or IPv6 address")) << client;
  }
  EXPECT_THAT(RunCommand({"sessions", "--client", "::ffff:10.0.0.1"}).error,
              HasSubstr("write it as IPv4, 10.0.0.1"));
  Result help = RunCommand({"--help"});
  EXPECT_EQ(help.code, kOk);
  EXPECT_THAT(help.out, HasSubstr("Exit codes:"));
}

TEST(CliRun, NobodyThere) {
  TemporaryDirectory directory;
  const char* dir = directory.path().c_str();
  for (const char* command : {"status", "sessions", "drops", "bridges", "reload"}) {
    Result result = RunCommand({command, "--run-dir", dir});
    EXPECT_EQ(result.code, kUnreachable) << command;
    EXPECT_THAT(result.out + result.error, HasSubstr("is it running")) << command;
    Result json = RunCommand({command, "--json", "--run-dir", dir});
    EXPECT_EQ(json.code, kUnreachable) << command;
    if (std::string(command) != "reload") {
      EXPECT_TRUE(nlohmann::json::accept(json.out)) << command << json.out;
    }
  }
  EXPECT_EQ(RunCommand({"version", "--run-dir", dir}).code, kOk);
}

TEST(CliRun, Check) {
  TemporaryDirectory directory;
  std::string file = directory.path() + "/bad.yaml";
  std::ofstream(file) << "dataplane: {workers: [x]}\n";
  Result result = RunCommand({"check", file.c_str()});
  EXPECT_EQ(result.code, kRefused);
  EXPECT_THAT(result.error, HasSubstr(file + ":1:"));
  Result json = RunCommand({"check", "--json", file.c_str()});
  EXPECT_EQ(json.code, kRefused);
  auto parsed = nlohmann::json::parse(json.out);
  EXPECT_FALSE(parsed["ok"]);
  EXPECT_EQ(parsed["errors"][0]["line"], 1);

  file = directory.path() + "/good.yaml";
  std::ofstream(file) << "dataplane:\n  workers: [1]\n  nat_addresses: [192.0.2.1]\n"
                         "  ports:\n    - {name: wan, device: eth0}\n"
                         "bridges:\n  - {name: b, address: 10.0.0.11}\n"
                         "media:\n  - {name: m, listen: \"192.0.2.1:10000\", nat: source, "
                         "bridges: [b]}\ntimeouts: {idle: 60s}\n";
  result = RunCommand({"check", file.c_str()});
  EXPECT_EQ(result.code, kOk) << result.error;
  EXPECT_THAT(result.out,
              testing::StartsWith(file + ": ok; the relay will take about 19.9 MiB for sessions, "
                                         "and 138 MiB of hugepages or ordinary ones: 74.0 MiB for "
                                         "packets, 64.0 MiB for DPDK itself\n"));
  EXPECT_THAT(result.error, HasSubstr("warning: ")) << "of the short timeout";
}

TEST(CliRun, CheckPrintsTheReference) {
  Result result = RunCommand({"check", "--reference"});
  EXPECT_EQ(result.code, kOk);
  EXPECT_THAT(result.out, HasSubstr("max_sessions"));
  EXPECT_EQ(RunCommand({"check", "--reference", "x.yaml"}).code, kUsage);
}

TEST(CliRun, CountersAreReadWithoutAnyProcess) {
  TemporaryDirectory directory;
  auto segment = CounterSegment::Create(directory.path() + "/counters", 1);
  ASSERT_TRUE(segment.ok());
  (*segment)->worker(0).received.Add(7);
  (*segment)->worker(0).drops[DropIndex(Drop::kNotIp)].Add(7);
  Result result = RunCommand({"drops", "--run-dir", directory.path().c_str()});
  EXPECT_EQ(result.code, kOk);
  EXPECT_THAT(result.out, HasSubstr("not_ip"));
  EXPECT_THAT(result.out, HasSubstr("adds up"));
  EXPECT_THAT(result.error, HasSubstr("relay is down"));
  EXPECT_THAT(result.error, HasSubstr("ctrl is down"));
}

TEST(CliRun, CountersOfAKilledRelayAreNotItsSuccessors) {
  TemporaryDirectory directory;
  auto segment = CounterSegment::Create(directory.path() + "/counters", 1);
  ASSERT_TRUE(segment.ok());
  FakeRelay relay(directory.path() + "/relay.sock", [](const api::Request&) {
    api::Response response;
    response.mutable_status()->set_pid(1);
    response.mutable_status()->set_problem("waiting");
    return response;
  });
  Result result = RunCommand({"status", "--run-dir", directory.path().c_str()});
  EXPECT_THAT(result.out,
              HasSubstr(fmt::format("the last ones of the relay with pid {}\n", getpid())));
  result = RunCommand({"status", "--json", "--run-dir", directory.path().c_str()});
  EXPECT_TRUE(nlohmann::json::parse(result.out)["counters"]["final"]);
}

TEST(CliRun, SessionsOfAnUnknownBridge) {
  TemporaryDirectory directory;
  const char* dir = directory.path().c_str();
  FakeRelay relay(directory.path() + "/relay.sock");
  EXPECT_EQ(RunCommand({"sessions", "--bridge", "jvb9", "--run-dir", dir}).code, kOk)
      << "nobody can say which there are";
  auto segment = CounterSegment::Create(directory.path() + "/counters", 1);
  ASSERT_TRUE(segment.ok());
  CopyName((*segment)->header().bridge_names[0], "jvb1");
  (*segment)->header().bridge_count.Set(1);
  Result result = RunCommand({"sessions", "--bridge", "jvb9", "--run-dir", dir});
  EXPECT_EQ(result.code, kUsage);
  EXPECT_EQ(result.error, "--bridge: got jvb9, expected one of: jvb1\n");
  EXPECT_EQ(RunCommand({"sessions", "--bridge", "jvb1", "--run-dir", dir}).code, kOk);
}

TEST(CliRun, SessionsFromPages) {
  TemporaryDirectory directory;
  FakeRelay relay(directory.path() + "/relay.sock", [](const api::Request& request) {
    api::Response response;
    for (uint32_t i = 0; i < 2; ++i) response.mutable_sessions()->add_sessions()->set_worker(i);
    // Three pages of two.
    uint64_t cursor = request.sessions().cursor();
    response.mutable_sessions()->set_next_cursor(cursor == 2 ? 0 : cursor + 1);
    return response;
  });
  Result result = RunCommand({"sessions", "--json", "--run-dir", directory.path().c_str()});
  EXPECT_EQ(result.code, kOk) << result.error;
  EXPECT_EQ(nlohmann::json::parse(result.out)["sessions"].size(), 6u);
  result =
      RunCommand({"sessions", "--limit", "4", "--json", "--run-dir", directory.path().c_str()});
  EXPECT_EQ(nlohmann::json::parse(result.out)["sessions"].size(), 4u);
  EXPECT_TRUE(nlohmann::json::parse(result.out)["more"]);
}

TEST(CliRun, SessionsOfOneClient) {
  TemporaryDirectory directory;
  std::string asked;
  {
    FakeRelay relay(directory.path() + "/relay.sock", [&](const api::Request& request) {
      asked = request.sessions().client();
      return FakeRelay::AcceptAll(request);
    });
    Result result = RunCommand(
        {"sessions", "--client", "2001:DB8:0::7", "--run-dir", directory.path().c_str()});
    EXPECT_EQ(result.code, kOk) << result.error;
  }
  EXPECT_EQ(asked, Bytes16("2001:db8::7"));
}

// ------------------------------------------------------------------------------------- completion

// What bash offers when the last of `words` is being typed.
std::set<std::string> Complete(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += fmt::format(" '{}'", word);
  std::string command = fmt::format(
      "bash -c '. {}/deploy/completion/bridgehead.bash; COMP_WORDS=(bridgehead \"$@\"); "
      "COMP_CWORD=$#; _bridgehead; printf \"%s\\n\" \"${{COMPREPLY[@]}}\"' completion {}",
      BRIDGEHEAD_SOURCE, line);
  FILE* pipe = popen(command.c_str(), "r");  // NOLINT(cert-env33-c)
  std::set<std::string> offered;
  char buffer[256];
  while (fgets(buffer, sizeof(buffer), pipe) != nullptr) {
    std::string word(buffer, strcspn(buffer, "\n"));
    if (!word.empty()) offered.insert(word);
  }
  pclose(pipe);
  return offered;
}

std::set<std::string> LongOptions(const CLI::App& app) {
  std::set<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.insert("--" + name);
  }
  return names;
}

TEST(CliCompletion, OffersExactlyWhatTheCommandTakes) {
  Options options;
  int (*command)(const Options&, const Streams&) = nullptr;
  auto app = MakeCommandLine(options, command);
  std::set<std::string> first = LongOptions(*app);
  std::set<std::string> inherited = first;
  inherited.erase("--version");
  for (const CLI::App* subcommand : app->get_subcommands(nullptr)) {
    first.insert(subcommand->get_name());
    std::set<std::string> own = LongOptions(*subcommand);
    own.insert(inherited.begin(), inherited.end());
    EXPECT_EQ(Complete({subcommand->get_name(), "--"}), own) << subcommand->get_name();
    EXPECT_EQ(Complete({"--run-dir", "/x", subcommand->get_name(), "--"}), own);
  }
  EXPECT_EQ(Complete({""}), first);
  EXPECT_EQ(Complete({"dro"}), std::set<std::string>{"drops"});
}

}  // namespace
}  // namespace bridgehead::cli
