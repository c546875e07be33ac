// Metrics text, the admin address over real sockets, ctrl.sock and the lock on RUN_DIR.
#include <atomic>
#include <ctime>
#include <set>
#include <thread>

#include <arpa/inet.h>
#include <event2/event.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl/admin/ctrl_socket.h"
#include "ctrl/admin/http.h"
#include "ctrl/admin/metrics.h"
#include "ctrl/admin/run_dir.h"
#include "fmt/format.h"
#include "tests/unit/publish_fake_relay.h"

namespace bridgehead::admin {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(AdminMetrics, EveryDropReasonAndLabel) {
  TemporaryDirectory directory;
  std::string path = directory.path() + "/counters";
  auto segment = CounterSegment::Create(path, 2);
  ASSERT_TRUE(segment.ok());
  SegmentHeader& header = (*segment)->header();
  CopyName(header.port_names[0], "wan");
  header.port_count.Set(1);
  CopyName(header.listener_names[0], "meet \"quoted\"\\");
  header.listener_count.Set(1);
  CopyName(header.bridge_names[0], "jvb1");
  header.bridge_count.Set(1);
  (*segment)->worker(0).received.Add(123'456'789'012);
  (*segment)->worker(1).drops[DropIndex(Drop::kNotStun)].Add(5);
  (*segment)->worker(1).ports[0].rx_bytes.Add(77);
  (*segment)->worker(0).bridges[0].bytes_to_client.Add(88);
  (*segment)->worker(0).listeners[0].refused.Add(9);
  (*segment)->worker(1).listeners[0].refused.Add(2);
  (*segment)->worker(1).listeners[0].refused_ufrag.Add(1);
  (*segment)->worker(1).sessions_displaced.Add(6);

  header.port_state[0].has_xdp.Set(1);
  header.port_state[0].xdp_redirected.Set(30);
  header.port_state[0].xdp_passed.Set(31);
  header.port_state[0].xdp_dropped[1].Set(32);

  CounterSource source(path);
  StatusBoard board;
  std::string text = Metrics(source, board).Text();
  for (const DropInfo& info : kDropInfo) {
    EXPECT_THAT(text,
                HasSubstr(fmt::format("bridgehead_dropped_packets_total{{reason=\"{}\"}} {}\n",
                                      info.label, info.label == "not_stun" ? 5 : 0)));
  }
  EXPECT_THAT(text, HasSubstr("bridgehead_received_packets_total{worker=\"0\"} 123456789012\n"));
  EXPECT_THAT(text, HasSubstr("bridgehead_port_received_bytes_total{port=\"wan\"} 77\n"));
  EXPECT_THAT(text,
              HasSubstr("{listener=\"meet \\\"quoted\\\"\\\\\",direction=\"to_bridge\"} 0\n"));
  EXPECT_THAT(
      text,
      HasSubstr("bridgehead_bridge_bytes_total{bridge=\"jvb1\",direction=\"to_client\"} 88\n"));
  EXPECT_THAT(text, HasSubstr("bridgehead_relay_connected 0\n"));
  for (const char* line :
       {"bridgehead_listener_refused_packets_total{listener=\"meet \\\"quoted\\\"\\\\\"} 11\n",
        "bridgehead_listener_refused_ufrag_packets_total{listener=\"meet \\\"quoted\\\"\\\\\"} 1\n",
        "bridgehead_port_xdp_redirected_packets_total{port=\"wan\"} 30\n",
        "bridgehead_port_xdp_passed_packets_total{port=\"wan\"} 31\n",
        "bridgehead_port_xdp_dropped_packets_total{port=\"wan\",reason=\"denied\"} 0\n",
        "bridgehead_port_xdp_dropped_packets_total{port=\"wan\",reason=\"not_media\"} 32\n",
        "bridgehead_sessions_displaced_total{worker=\"0\"} 0\n",
        "bridgehead_sessions_displaced_total{worker=\"1\"} 6\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(AdminMetrics, OfARelayThatIsGoneOnlyWhatItCounted) {
  CounterTotals totals;
  totals.pid = 7;
  totals.workers.resize(1);
  totals.ports.push_back({"wan", 1, 1, 1, 1, 0, 0, true});
  totals.listeners.resize(1);
  api::CtrlStatus status;
  status.mutable_relay()->set_pid(7);
  status.mutable_relay()->set_forwarding(true);
  const auto text = [&] {
    return prometheus::TextSerializer().Serialize(MetricFamilies(totals, status));
  };
  const char* kGauges[] = {"sessions_active{worker", "listener_sessions_active{", "port_link_up{",
                           "session_capacity ",      "relay_start_time_seconds ", "held_packets{"};
  for (const char* gauge : kGauges) EXPECT_THAT(text(), HasSubstr(gauge));
  const auto expect_none = [&](const char* when) {
    for (const char* gauge : kGauges) EXPECT_THAT(text(), Not(HasSubstr(gauge))) << when;
    EXPECT_THAT(text(), HasSubstr("bridgehead_received_packets_total{worker")) << when;
    EXPECT_THAT(text(), HasSubstr("bridgehead_relay_connected ")) << when;
  };
  status.mutable_relay()->set_pid(8);
  expect_none("another relay forwards");
  status.mutable_relay()->set_pid(7);
  status.mutable_relay()->set_forwarding(false);
  expect_none("a relay with the same pid has not begun");
  status.clear_relay();
  expect_none("none is connected");
}

TEST(AdminMetrics, HealthOfBridges) {
  api::CtrlStatus status;
  api::BridgeHealth* down = status.add_health();
  down->set_name("jvb1");
  down->set_state(api::Bridge::DOWN);
  down->set_drained(true);
  down->mutable_health()->set_checks(9);
  down->mutable_health()->set_last_microseconds(2500);
  auto* failures = down->mutable_health()->add_failures();
  failures->set_reason("timeout");
  failures->set_count(4);
  down->mutable_drain_state();
  api::BridgeHealth* up = status.add_health();
  up->set_name("jvb2");
  const std::string text =
      prometheus::TextSerializer().Serialize(MetricFamilies(std::nullopt, status));
  for (const char* line :
       {"bridgehead_bridge_up{bridge=\"jvb1\"} 0\n", "bridgehead_bridge_up{bridge=\"jvb2\"} 1\n",
        "bridgehead_bridge_draining{bridge=\"jvb1\"} 1\n",
        "bridgehead_bridge_draining{bridge=\"jvb2\"} 0\n",
        "bridgehead_bridge_check_duration_seconds{bridge=\"jvb1\",check=\"health\"} 0.0025\n",
        "bridgehead_bridge_checks_total{bridge=\"jvb1\",check=\"health\"} 9\n",
        "bridgehead_bridge_checks_total{bridge=\"jvb1\",check=\"drain_state\"} 0\n",
        "bridgehead_bridge_check_failures_total{bridge=\"jvb1\",check=\"health\",reason="
        "\"timeout\"} 4\n",
        "bridgehead_bridge_check_failures_total{bridge=\"jvb1\",check=\"health\",reason="
        "\"refused\"} 0\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("check_duration_seconds{bridge=\"jvb1\",check=\"drain_state")));
  EXPECT_THAT(text, Not(HasSubstr("checks_total{bridge=\"jvb2\"")));
}

TEST(AdminMetrics, FamiliesAreWellFormed) {
  CounterTotals totals;
  totals.workers.resize(1);
  auto families = MetricFamilies(totals, api::CtrlStatus{});
  std::set<std::string> names;
  for (const auto& family : families) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name << " twice";
    EXPECT_THAT(family.name, StartsWith("bridgehead_"));
    EXPECT_THAT(family.help, Not(::testing::IsEmpty())) << family.name;
    bool total = family.name.ends_with("_total");
    EXPECT_EQ(family.type == prometheus::MetricType::Counter, total) << family.name;
  }
}

TEST(AdminMetrics, ANewRelaysCountersReplaceTheOldOnes) {
  TemporaryDirectory directory;
  std::string path = directory.path() + "/counters";
  CounterSource source(path);
  EXPECT_FALSE(source.Read().ok());
  auto first = CounterSegment::Create(path, 1);
  (*first)->worker(0).received.Add(10);
  EXPECT_EQ(source.Read()->total.received, 10u);
  first->reset();
  EXPECT_EQ(source.Read()->total.received, 10u) << "the last totals stay readable";
  EXPECT_TRUE(source.Read()->closed);
  auto second = CounterSegment::Create(path, 1);
  EXPECT_EQ(source.Read()->total.received, 0u);
}

// ------------------------------------------------------------------------------------------- HTTP

// A free port of the loopback interface.
uint16_t FreePort() {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(name);
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&name), size), 0);
  getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
  close(fd);
  return ntohs(name.sin_port);
}

config::Endpoint At(const std::string& address, uint16_t port) {
  return {*config::Address::Parse(address), {port, port}};
}

// Negative when nobody listens there.
template <typename Name>
int ConnectTo(const Name& name) {
  int fd = socket(reinterpret_cast<const sockaddr&>(name).sa_family, SOCK_STREAM, 0);
  timeval patience{10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0) return fd;
  close(fd);
  return -1;
}

int ConnectTo(uint16_t port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = ConnectTo(name);
  EXPECT_GE(fd, 0);
  return fd;
}

int ConnectToV6(uint16_t port) {
  sockaddr_in6 name{};
  name.sin6_family = AF_INET6;
  name.sin6_port = htons(port);
  name.sin6_addr = in6addr_loopback;
  return ConnectTo(name);
}

std::string ExchangeOn(int fd, const std::string& request) {
  send(fd, request.data(), request.size(), MSG_NOSIGNAL);
  std::string answer;
  char data[4096];
  ssize_t size = 0;
  while ((size = recv(fd, data, sizeof(data), 0)) > 0) {
    answer.append(data, static_cast<size_t>(size));
  }
  close(fd);
  return answer;
}

std::string Exchange(uint16_t port, const std::string& request) {
  return ExchangeOn(ConnectTo(port), request);
}

class AdminHttp : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server =
        AdminServer::Start(At("127.0.0.1", port_), pages_, config::IfAbsent::kFail, kPatience);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::string Request(const std::string& line) {
    return Exchange(port_, line + " HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  static constexpr std::chrono::milliseconds kPatience{500};
  TemporaryDirectory directory_;
  uint16_t port_ = FreePort();
  CounterSource source_{directory_.path() + "/counters"};
  StatusBoard board_;
  AdminPages pages_{source_, board_};
  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminHttp, Pages) {
  EXPECT_THAT(Request("GET /healthz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Request("GET /readyz"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(Request("GET /readyz"), HasSubstr("relay is not connected"));
  EXPECT_THAT(Request("GET /metrics?x=1"), HasSubstr("bridgehead_ready 0"));
  EXPECT_THAT(Request("GET /api/v1/drops"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(Request("GET /api/v1/status"), HasSubstr("\"not_ready_reason\""));
  EXPECT_THAT(Request("GET /nonsense"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Request("GET /healthz/../metrics"), Not(HasSubstr("500")));
  api::CtrlStatus status;
  status.set_relay_connected(true);
  status.set_snapshot_id(1);
  status.set_snapshot_accepted(true);
  status.set_relay_forwarding(true);
  board_.Set(status);
  EXPECT_THAT(Request("GET /readyz"), StartsWith("HTTP/1.1 200 "));
  status.mutable_relay()->add_ports()->set_name("wan");
  board_.Set(status);
  EXPECT_THAT(Request("GET /readyz"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(Request("GET /readyz"), HasSubstr("port wan: its link is down\n"));
}

TEST_F(AdminHttp, OnlyGetAndHead) {
  std::string head = Request("HEAD /healthz");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
  EXPECT_THAT(head, HasSubstr("Content-Length: 3"));
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    EXPECT_THAT(Request(fmt::format("{} /healthz", method)), StartsWith("HTTP/1.1 405 ")) << method;
  }
}

TEST_F(AdminHttp, LongRequestIsRefused) {
  std::string answer = Exchange(
      port_, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + std::string(20'000, 'a') + "\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 431 "));
}

TEST_F(AdminHttp, RequestsComeInPiecesAndWithMore) {
  int fd = ConnectTo(port_);
  for (const char* piece : {"GE", "T /heal", "thz HTTP/1.1\r", "\nHost: x\r\n", "\r"}) {
    send(fd, piece, strlen(piece), MSG_NOSIGNAL);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_THAT(ExchangeOn(fd, "\n"), StartsWith("HTTP/1.1 200 "));
  // A body and a second request behind the first: one answer, whole.
  std::string answer =
      Exchange(port_, "POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + std::string(100'000, 'b'));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 "));
  EXPECT_TRUE(answer.ends_with("only GET and HEAD\n")) << answer;
  // Who closes its side after the request gets the answer too.
  fd = ConnectTo(port_);
  constexpr char kRequest[] = "GET /metrics HTTP/1.0\r\n\r\n";
  send(fd, kRequest, strlen(kRequest), MSG_NOSIGNAL);
  shutdown(fd, SHUT_WR);
  EXPECT_THAT(ExchangeOn(fd, ""), HasSubstr("bridgehead_ready 0"));
}

TEST_F(AdminHttp, WhatIsNoHttpIsRefused) {
  for (const char* line :
       {"", " ", "GET", "GET /healthz", "GET /healthz HTTP/2.0", "\x16\x03\x01", "GET  HTTQ/1.1"}) {
    EXPECT_THAT(Exchange(port_, std::string(line) + "\r\n\r\n"), StartsWith("HTTP/1.1 400 "))
        << line;
  }
}

TEST_F(AdminHttp, WhatRfc9112HasServersTake) {
  for (const char* request :
       {"GET http://x/healthz HTTP/1.1\r\n\r\n", "GET HTTP://x:9100/healthz?a=/b HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\nHost: x\n\n", "GET /healthz HTTP/1.1\n\r\n"}) {
    EXPECT_THAT(Exchange(port_, request), StartsWith("HTTP/1.1 200 ")) << request;
  }
  EXPECT_THAT(Exchange(port_, "GET http://x HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
}

TEST_F(AdminHttp, EndsAtOnceWithClientsThatWait) {
  int slow = ConnectTo(port_);
  send(slow, "GET /hea", 8, MSG_NOSIGNAL);
  EXPECT_THAT(Request("GET /healthz"), StartsWith("HTTP/1.1 200 "));
  auto start = std::chrono::steady_clock::now();
  server_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(400));
  char byte = 0;
  EXPECT_LE(recv(slow, &byte, 1, 0), 0);
  close(slow);
}

TEST_F(AdminHttp, SlowClientsDoNotKeepOthersOut) {
  std::vector<int> slow;
  for (size_t i = 0; i < AdminServer::kMaxClients - 1; ++i) {
    slow.push_back(ConnectTo(port_));
    send(slow.back(), "GET /hea", 8, MSG_NOSIGNAL);
  }
  EXPECT_THAT(Request("GET /healthz"), StartsWith("HTTP/1.1 200 "));
  for (int fd : slow) close(fd);
}

TEST_F(AdminHttp, SlowClientsMakeRoom) {
  std::vector<int> slow;
  for (size_t i = 0; i < AdminServer::kMaxClients + 4; ++i) {
    slow.push_back(ConnectTo(port_));
    send(slow.back(), "GET /hea", 8, MSG_NOSIGNAL);
  }
  // All places wait for a request that never ends. The oldest go, long before their time.
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(Request("GET /healthz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience / 2);
  EXPECT_THAT(ExchangeOn(slow.back(), "lthz HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(ExchangeOn(slow.front(), ""), "");
  slow.erase(slow.begin());
  slow.pop_back();
  for (int fd : slow) close(fd);
}

TEST_F(AdminHttp, WithoutFileDescriptorsItRests) {
  const int client = ConnectTo(port_);
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  const int waiting = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_THAT(ExchangeOn(client, "GET /healthz HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  const rlimit none{0, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port_);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(waiting, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  const std::clock_t begin = std::clock();  // of all threads
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(std::clock() - begin, CLOCKS_PER_SEC / 10);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_THAT(ExchangeOn(waiting, "GET /healthz HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminHttp, AddressInUseIsNamed) {
  auto second = AdminServer::Start(At("127.0.0.1", port_), pages_);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("admin.listen: 127.0.0.1:" + fmt::format("{}", port_)));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use"));
  auto foreign = AdminServer::Start(At("192.0.2.77", port_), pages_);
  ASSERT_FALSE(foreign.ok());
  EXPECT_THAT(std::string(foreign.status().message()), HasSubstr("no interface has this address"));
}

TEST_F(AdminHttp, AnAddressMayComeLater) {
  for (const char* address : {"192.0.2.77", "2001:db8:ffff::77"}) {
    auto server = AdminServer::Start(At(address, port_), pages_, config::IfAbsent::kListen);
    EXPECT_TRUE(server.ok()) << address << server.status();
  }
}

TEST_F(AdminHttp, Ipv6) {
  constexpr char kRequest[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
  EXPECT_LT(ConnectToV6(port_), 0) << "only 127.0.0.1 was asked for";
  // The same port, beside the server of IPv4; each ends without the other.
  for (const char* address : {"::1", "::"}) {
    auto server = AdminServer::Start(At(address, port_), pages_);
    ASSERT_TRUE(server.ok()) << server.status();
    int fd = ConnectToV6(port_);
    ASSERT_GE(fd, 0);
    EXPECT_THAT(ExchangeOn(fd, kRequest), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(Request("GET /healthz"), StartsWith("HTTP/1.1 200 "));
    auto second = AdminServer::Start(At("::1", port_), pages_);
    ASSERT_FALSE(second.ok());
    EXPECT_THAT(std::string(second.status().message()),
                HasSubstr(fmt::format("admin.listen: [::1]:{}: cannot bind", port_)));
  }
  EXPECT_LT(ConnectToV6(port_), 0);
}

// -------------------------------------------------------------------------------------- ctrl.sock

struct EventBaseFree {
  void operator()(event_base* base) const { event_base_free(base); }
};

class CtrlSocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CtrlSocket::Handlers handlers;
    handlers.status = [] {
      api::CtrlStatus status;
      status.set_pid(42);
      return status;
    };
    handlers.reload = [this](auto done) {
      if (later_) {
        done_ = done;
      } else {
        done(false, "because");
      }
    };
    handlers.drain = [](const api::CtrlDrain& drain) {
      api::CtrlDrainResult result;
      result.set_accepted(drain.drained());
      result.set_message(drain.bridge());
      return result;
    };
    auto socket = CtrlSocket::Open(base_.get(), path_, std::move(handlers));
    ASSERT_TRUE(socket.ok()) << socket.status();
    socket_ = *std::move(socket);
  }
  // Runs `client` on a thread of its own while the loop turns.
  template <typename Client>
  void With(Client client) {
    std::atomic<bool> ended{false};
    std::thread thread([&] {
      client();
      ended = true;
    });
    while (!ended) {
      timeval slice{0, 5'000};
      event_base_loopexit(base_.get(), &slice);
      event_base_dispatch(base_.get());
      if (done_) std::exchange(done_, nullptr)(true, "done later");
    }
    thread.join();
  }
  TemporaryDirectory directory_;
  std::string path_ = directory_.path() + "/ctrl.sock";
  std::unique_ptr<event_base, EventBaseFree> base_{event_base_new()};
  bool later_ = false;
  std::function<void(bool, const std::string&)> done_;
  std::unique_ptr<CtrlSocket> socket_;
};

TEST_F(CtrlSocketTest, StatusAndReload) {
  With([&] {
    auto client = ApiClient::Connect(path_, "test");
    ASSERT_TRUE(client.ok()) << client.status();
    api::Request request;
    request.mutable_ctrl();
    auto response = client->Call(request);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->ctrl().pid(), 42u);
    request.mutable_reload();
    response = client->Call(request);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_FALSE(response->reload().accepted());
    EXPECT_EQ(response->reload().message(), "because");
    later_ = true;
    response = client->Call(request);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->reload().message(), "done later");
    request.mutable_sessions();
    EXPECT_FALSE(client->Call(request).ok()) << "the relay's request";
  });
}

TEST(ApiClientTimeout, AServerThatHangsIsGivenUp) {
  TemporaryDirectory directory;
  FakeRelay relay(directory.path() + "/relay.sock",
                  [](const api::Request&) { return api::Response{}; });
  auto client = ApiClient::Connect(directory.path() + "/relay.sock", "test");
  ASSERT_TRUE(client.ok()) << client.status();
  api::Request request;
  request.mutable_status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(client->Call(request, 50).status()));
}

TEST(ApiClientTimeout, HelloHasOneToo) {
  TemporaryDirectory directory;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::string path = directory.path() + "/relay.sock";
  memcpy(name.sun_path, path.data(), path.size());
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  ASSERT_EQ(listen(fd, 4), 0);
  EXPECT_TRUE(absl::IsDeadlineExceeded(ApiClient::Connect(path, "test", 50).status()));
  close(fd);
}

TEST_F(CtrlSocketTest, Drain) {
  With([&] {
    auto client = ApiClient::Connect(path_, "test");
    ASSERT_TRUE(client.ok()) << client.status();
    for (bool drained : {true, false}) {
      api::Request request;
      request.mutable_drain()->set_bridge("jvb1");
      request.mutable_drain()->set_drained(drained);
      auto response = client->Call(std::move(request));
      ASSERT_TRUE(response.ok()) << response.status();
      EXPECT_EQ(response->drain().accepted(), drained);
      EXPECT_EQ(response->drain().message(), "jvb1");
    }
  });
}

TEST_F(CtrlSocketTest, RawBytesEndTheConnectionOnly) {
  With([&] {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    memcpy(name.sun_path, path_.data(), path_.size());
    for (const std::string& bytes :
         {std::string("\xff\xff\xff\xff", 4), std::string("\0\0\0\4\xff\xff\xff\xff", 8),
          std::string("\0\1\0\0", 4) + std::string(70'000, 'x'),
          // A status request without Hello gets an error, not a status.
          std::string("\0\0\0\2\x3a\0", 6)}) {
      int fd = socket(AF_UNIX, SOCK_STREAM, 0);
      timeval patience{0, 200'000};
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
      ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
      send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      char answer[256];
      ssize_t size = recv(fd, answer, sizeof(answer), 0);
      if (size > 0) {
        EXPECT_THAT(std::string(answer, static_cast<size_t>(size)), HasSubstr("Hello"));
      }
      close(fd);
    }
    EXPECT_TRUE(ApiClient::Connect(path_, "test").ok());
  });
}

TEST_F(CtrlSocketTest, AnswersThatNobodyTakesHaveALimit) {
  constexpr size_t kRequests = 200'000;
  With([&] {
    auto client = ApiClient::Connect(path_, "test");
    ASSERT_TRUE(client.ok());
    api::Request request;
    request.mutable_drain()->set_bridge(std::string(1000, 'x'));
    const std::string bytes = *Frame(request);
    // Until the socket's own buffers are full too, since ctrl has stopped reading.
    size_t asked = 0, sent = 0;
    const timeval patience{0, 300'000};
    setsockopt(client->fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    for (; asked < kRequests; ++asked) {
      const ssize_t size = send(client->fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size > 0) sent += static_cast<size_t>(size);
      if (size != static_cast<ssize_t>(bytes.size())) break;
    }
    EXPECT_LT(asked, 8 * CtrlSocket::kMaxAnswerBytes / bytes.size());
    // Once they are taken, all are answered, the ones that waited too.
    const size_t whole = sent / bytes.size();
    Deframer deframer;
    std::string payload;
    std::vector<char> data(1 << 16);
    size_t answers = 0;
    while (answers < whole) {
      const ssize_t size = recv(client->fd(), data.data(), data.size(), 0);
      ASSERT_GT(size, 0) << answers << " of " << whole;
      deframer.Append(data.data(), static_cast<size_t>(size));
      while (*deframer.Next(payload)) ++answers;
    }
    EXPECT_EQ(answers, whole);
  });
}

TEST_F(CtrlSocketTest, ClientThatLeavesBeforeItsAnswer) {
  later_ = true;
  With([&] {
    auto client = ApiClient::Connect(path_, "test");
    ASSERT_TRUE(client.ok());
    api::Request request;
    request.set_id(9);
    request.mutable_reload();
    std::string bytes = *Frame(request);
    send(client->fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  });
  With([&] { EXPECT_TRUE(ApiClient::Connect(path_, "test").ok()); });
}

TEST_F(CtrlSocketTest, ReplacesAStaleSocketAndGuardsIt) {
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660u);
  // What a killed process leaves behind: a socket that nobody listens on.
  auto again = CtrlSocket::Open(base_.get(), path_, {});
  EXPECT_TRUE(again.ok());
}

TEST(RunDir, OneOwner) {
  TemporaryDirectory directory;
  std::string path = directory.path() + "/run";
  auto first = RunDir::Take(path);
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = RunDir::Take(path);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another bridgehead-ctrl"));
  first->reset();
  EXPECT_TRUE(RunDir::Take(path).ok());
  EXPECT_FALSE(RunDir::Take("/nonexistent/run").ok());
}

}  // namespace
}  // namespace bridgehead::admin
