// Checks over real sockets against servers that behave in every way, and the monitor above them.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include <arpa/inet.h>
#include <event2/event.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/health/drain_file.h"
#include "ctrl/health/http_check.h"
#include "ctrl/health/monitor.h"
#include "ctrl/health/stun_check.h"
#include "fmt/format.h"
#include "tests/unit/publish_fake_relay.h"

namespace bridgehead::health {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// A socket of 127.0.0.1 that hands what comes to `serve`, on a thread of its own: a connection
// whose request has been read, or a socket with a datagram to read.
class Server {
 public:
  using Serve = std::function<void(int fd)>;

  Server(int type, Serve serve) : type_(type), serve_(std::move(serve)) {
    fd_ = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(name);
    if (bind(fd_, reinterpret_cast<sockaddr*>(&name), size) != 0 ||
        (type == SOCK_STREAM && listen(fd_, 16) != 0) ||
        getsockname(fd_, reinterpret_cast<sockaddr*>(&name), &size) != 0) {
      abort();
    }
    port_ = ntohs(name.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~Server() {
    stop_ = true;
    thread_.join();
    close(fd_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const { return port_; }
  // The last one, over TCP.
  std::string request() {
    std::lock_guard<std::mutex> lock(mutex_);
    return request_;
  }

 private:
  static bool Readable(int fd) {
    pollfd entry{fd, POLLIN, 0};
    return poll(&entry, 1, 5) > 0;
  }
  void Run() {
    while (!stop_) {
      if (!Readable(fd_)) continue;
      if (type_ == SOCK_DGRAM) {
        serve_(fd_);
        continue;
      }
      const int client = accept(fd_, nullptr, nullptr);
      std::string request;
      char data[2048];
      while (!stop_ && request.find("\r\n\r\n") == std::string::npos) {
        if (!Readable(client)) continue;
        const ssize_t size = recv(client, data, sizeof(data), 0);
        if (size <= 0) break;
        request.append(data, static_cast<size_t>(size));
      }
      {
        std::lock_guard<std::mutex> lock(mutex_);
        request_ = request;
      }
      serve_(client);
      close(client);
    }
  }

  const int type_;
  const Serve serve_;
  int fd_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::string request_;
  std::thread thread_;
};

void Say(int fd, std::string_view text) {
  send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}

std::string Ok(std::string_view body = "") {
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.size(), body);
}

config::CheckUrl Url(const std::string& text) {
  return *config::ParseCheckUrl(text).url;
}

struct EventBaseFree {
  void operator()(event_base* base) const { event_base_free(base); }
};

class HealthTest : public testing::Test {
 protected:
  template <typename Condition>
  bool Until(Condition done) {
    for (int i = 0; i < 2000 && !done(); ++i) {
      timeval slice{0, 2'000};
      event_base_loopexit(base_.get(), &slice);
      event_base_dispatch(base_.get());
    }
    return done();
  }
  std::unique_ptr<event_base, EventBaseFree> base_{event_base_new()};
};

class HealthCheckTest : public HealthTest {
 protected:
  struct Outcome {
    CheckResult result;
    std::string body;
    int calls = 0;
    Failure failure() const { return result.failure.value_or(Failure::kLocal); }
  };

  Outcome Ask(const std::string& url, int timeout_ms = 2000) {
    Outcome outcome;
    auto done = [&](const CheckResult& result, const std::string& body) {
      outcome.result = result;
      outcome.body = body;
      ++outcome.calls;
    };
    const std::chrono::milliseconds timeout{timeout_ms};
    std::unique_ptr<Check> check;
    if (url.starts_with("stun:")) {
      check = std::make_unique<StunCheck>(base_.get(), Url(url), timeout, done);
    } else {
      check = std::make_unique<HttpCheck>(base_.get(), Url(url), timeout, done);
    }
    check->Start();
    EXPECT_TRUE(Until([&] { return outcome.calls > 0; })) << url;
    EXPECT_EQ(outcome.calls, 1);
    return outcome;
  }
  Outcome AskHttp(Server::Serve serve, int timeout_ms = 2000) {
    Server server(SOCK_STREAM, std::move(serve));
    return Ask(fmt::format("http://127.0.0.1:{}/about/health", server.port()), timeout_ms);
  }
  Outcome AskHttp(const std::string& answer) {
    return AskHttp([&](int fd) { Say(fd, answer); });
  }
};

TEST_F(HealthCheckTest, GoodHttp) {
  Outcome outcome = AskHttp(Ok("hello"));
  EXPECT_FALSE(outcome.result.failure) << outcome.result.reason;
  EXPECT_EQ(outcome.body, "hello");
  EXPECT_EQ(outcome.result.reason, "");
  EXPECT_GT(outcome.result.took.count(), 0);
  outcome = AskHttp("HTTP/1.0 204 Fine\r\n\r\n");
  EXPECT_FALSE(outcome.result.failure) << outcome.result.reason;
}

TEST_F(HealthCheckTest, TheRequestIsWhole) {
  Server server(SOCK_STREAM, [](int fd) { Say(fd, Ok()); });
  EXPECT_FALSE(Ask(fmt::format("http://127.0.0.1:{}/a?b=c", server.port())).result.failure);
  EXPECT_EQ(server.request(),
            fmt::format("GET /a?b=c HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nUser-Agent: "
                        "bridgehead/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                        server.port(), BRIDGEHEAD_VERSION));
}

TEST_F(HealthCheckTest, StatusSaysNo) {
  Outcome outcome = AskHttp("HTTP/1.1 503 Sick\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(outcome.failure(), Failure::kStatus);
  EXPECT_EQ(outcome.result.reason, "status 503");
  // A redirect to a server that would be fine.
  std::atomic<int> followed{0};
  Server elsewhere(SOCK_STREAM, [&](int fd) {
    ++followed;
    Say(fd, Ok());
  });
  outcome =
      AskHttp(fmt::format("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{}/\r\n"
                          "Content-Length: 0\r\n\r\n",
                          elsewhere.port()));
  EXPECT_EQ(outcome.result.reason, "status 302 (redirects are not followed)");
  EXPECT_EQ(followed, 0);
}

TEST_F(HealthCheckTest, GarbageHugeAndCutOffAnswers) {
  Outcome outcome = AskHttp("SSH-2.0-OpenSSH_9.2\r\n");
  EXPECT_EQ(outcome.failure(), Failure::kMalformed);
  EXPECT_EQ(outcome.result.reason, "answer is not one of HTTP/1");
  outcome = AskHttp(std::string(5000, '\0'));
  EXPECT_EQ(outcome.failure(), Failure::kMalformed);

  outcome = AskHttp("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  EXPECT_EQ(outcome.failure(), Failure::kClosed);
  EXPECT_THAT(outcome.result.reason, HasSubstr("within the answer"));
  outcome = AskHttp("");
  EXPECT_EQ(outcome.failure(), Failure::kClosed);

  for (const char* head : {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nX: "}) {
    outcome = AskHttp([&](int fd) {
      Say(fd, head);
      const std::string much(1 << 16, 'x');
      // Until the other side has had enough.
      while (send(fd, much.data(), much.size(), MSG_NOSIGNAL) > 0) {
      }
    });
    EXPECT_EQ(outcome.failure(), Failure::kTooLong) << head;
    EXPECT_EQ(outcome.result.reason, std::string_view(head).ends_with("X: ")
                                         ? "head of an answer of more than 16384 bytes"
                                         : "answer of more than 262144 bytes");
  }
}

TEST_F(HealthCheckTest, SlownessEndsAtTheDeadlineWhateverComes) {
  Outcome outcome = AskHttp(
      [](int fd) {
        Say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while (send(fd, "x", 1, MSG_NOSIGNAL) > 0) usleep(2000);
      },
      100);
  EXPECT_EQ(outcome.failure(), Failure::kTimeout);
  EXPECT_EQ(outcome.result.reason, "timed out after 100 ms: status 200, but no end of the answer");
  EXPECT_GE(outcome.result.took.count(), 90'000);  // libevent's clock is read once a turn

  std::atomic<bool> over{false};
  const auto silent = [&](int) {
    while (!over) usleep(1000);
  };
  {
    Server server(SOCK_STREAM, silent);
    outcome = Ask(fmt::format("http://127.0.0.1:{}/", server.port()), 50);
    over = true;
  }
  EXPECT_EQ(outcome.result.reason, "timed out after 50 ms: no answer");
}

TEST_F(HealthCheckTest, RefusedAndUnreachable) {
  uint16_t closed = 0;
  {
    closed = Server(SOCK_STREAM, [](int) {}).port();
  }
  Outcome outcome = Ask(fmt::format("http://127.0.0.1:{}/", closed));
  EXPECT_EQ(outcome.failure(), Failure::kRefused);
  EXPECT_EQ(outcome.result.reason,
            fmt::format("cannot connect to 127.0.0.1:{}: Connection refused", closed));
  outcome = Ask(fmt::format("stun:127.0.0.1:{}", closed));
  EXPECT_EQ(outcome.failure(), Failure::kRefused);
}

TEST_F(HealthCheckTest, AskedAgainNothingOfTheLastAnswerIsLeft) {
  std::atomic<int> asked{0};
  Server server(SOCK_STREAM, [&](int fd) {
    Say(fd, ++asked == 1 ? "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf" : Ok("whole"));
  });
  std::vector<std::string> bodies;
  HttpCheck check(base_.get(), Url(fmt::format("http://127.0.0.1:{}/", server.port())),
                  std::chrono::milliseconds(2000),
                  [&](const CheckResult&, const std::string& body) { bodies.push_back(body); });
  check.Start();
  ASSERT_TRUE(Until([&] { return bodies.size() == 1; }));
  check.Start();
  ASSERT_TRUE(Until([&] { return bodies.size() == 2; }));
  EXPECT_THAT(bodies, ElementsAre("", "whole"));
}

// ------------------------------------------------------------------------------------------- STUN

// Answers each datagram with what `answers` makes of it.
Server::Serve Stun(std::function<std::vector<std::string>(std::string)> answers) {
  return [answers = std::move(answers)](int fd) {
    char data[2048];
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    const ssize_t got =
        recvfrom(fd, data, sizeof(data), 0, reinterpret_cast<sockaddr*>(&from), &size);
    for (const std::string& answer : answers(std::string(data, static_cast<size_t>(got)))) {
      sendto(fd, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  };
}

std::string Success(std::string request) {
  request[0] = 0x01;
  return request;
}

TEST_F(HealthCheckTest, GoodStun) {
  std::set<std::string> requests;
  Server server(SOCK_DGRAM, Stun([&](const std::string& request) {
                  requests.insert(request);
                  std::string wrong = Success(request);
                  wrong[12] = static_cast<char>(wrong[12] ^ 1);
                  // Others before it do not hide it.
                  return std::vector<std::string>{"noise", "", wrong, Success(request)};
                }));
  const std::string url = fmt::format("stun:127.0.0.1:{}", server.port());
  for (int i = 0; i < 5; ++i) {
    Outcome outcome = Ask(url);
    EXPECT_FALSE(outcome.result.failure) << outcome.result.reason;
  }
  EXPECT_EQ(requests.size(), 5u) << "each has a transaction of its own";
  EXPECT_EQ(requests.begin()->size(), 20u);
  EXPECT_THAT(*requests.begin(), StartsWith(std::string("\0\1\0\0\x21\x12\xa4\x42", 8)));
}

TEST_F(HealthCheckTest, WrongStun) {
  Server forger(SOCK_DGRAM, Stun([](const std::string& request) {
                  std::string wrong = Success(request);
                  wrong[19] = static_cast<char>(wrong[19] ^ 1);
                  return std::vector<std::string>{wrong, request, "garbage"};
                }));
  Outcome outcome = Ask(fmt::format("stun:127.0.0.1:{}", forger.port()), 100);
  EXPECT_EQ(outcome.failure(), Failure::kTimeout);
  EXPECT_EQ(outcome.result.reason,
            "timed out after 100 ms: 3 packets came, none of them the STUN answer");
  Server silent(SOCK_DGRAM, Stun([](const std::string&) { return std::vector<std::string>{}; }));
  outcome = Ask(fmt::format("stun:127.0.0.1:{}", silent.port()), 50);
  EXPECT_EQ(outcome.result.reason, "timed out after 50 ms: no answer");
}

// ---------------------------------------------------------------------------------------- monitor

class HealthMonitorTest : public HealthTest {
 protected:
  // A second of the configuration lasts 20 ms.
  static constexpr MonitorTiming kFast{2, 5, 5, 20};

  HealthMonitorTest() { Make(); }
  void Make() {
    Monitor::Hooks hooks;
    hooks.states_changed = [this] { ++told_; };
    hooks.figures_changed = [this] { ++figures_; };
    monitor_.reset();
    monitor_ = std::make_unique<Monitor>(base_.get(), file_, std::move(hooks), kFast);
  }
  config::Bridge Bridge(const std::string& name, const Server& server) {
    config::Bridge bridge;
    bridge.name = name;
    bridge.address = *config::Address::Parse("10.8.0.11");
    bridge.health = Url(fmt::format("http://127.0.0.1:{}/", server.port()));
    return bridge;
  }
  static config::Bridge Unchecked(const std::string& name) {
    config::Bridge bridge;
    bridge.name = name;
    return bridge;
  }
  void Configure(std::vector<config::Bridge> bridges) {
    config_.bridges = std::move(bridges);
    config_.health_check.timeout = std::chrono::seconds(100);
    config_.health_check.interval = std::chrono::seconds(1);
    monitor_->Configure(config_);
  }
  api::BridgeHealth Of(const std::string& name) {
    for (const api::BridgeHealth& bridge : monitor_->Describe()) {
      if (bridge.name() == name) return bridge;
    }
    ADD_FAILURE() << name;
    return {};
  }
  bool Becomes(const std::string& name, api::Bridge::State state) {
    return Until([&] { return Of(name).state() == state; });
  }

  TemporaryDirectory directory_;
  std::string file_ = directory_.path() + "/drained";
  config::Config config_;
  int told_ = 0, figures_ = 0;
  std::unique_ptr<Monitor> monitor_;
};

// An HTTP server whose answer can be changed while it runs.
struct Changing {
  void Set(const std::string& text) {
    std::lock_guard<std::mutex> lock(mutex);
    answer = text;
  }
  std::mutex mutex;
  std::string answer = Ok();
  Server server{SOCK_STREAM, [this](int fd) {
                  std::lock_guard<std::mutex> lock(mutex);
                  Say(fd, answer);
                }};
};

TEST_F(HealthMonitorTest, FollowsABridgeDownAndUp) {
  Changing one, other;
  Configure({Bridge("jvb1", one.server), Bridge("jvb2", other.server)});
  ASSERT_TRUE(Until([&] { return Of("jvb1").health().checks() >= 3; }));
  EXPECT_EQ(Of("jvb1").state(), api::Bridge::UP);
  EXPECT_TRUE(Until([&] { return told_ == 1; })) << "for the configuration";
  EXPECT_TRUE(Until([&] { return figures_ > 0; }));

  one.Set("HTTP/1.1 500 Sick\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(Becomes("jvb1", api::Bridge::DOWN));
  EXPECT_TRUE(Until([&] { return told_ == 2; }));
  EXPECT_EQ(Of("jvb1").reason(), "status 500");
  EXPECT_EQ(Of("jvb1").health().last_error(), "status 500");
  EXPECT_EQ(Of("jvb1").health().failures(0).reason(), "status");
  EXPECT_GE(Of("jvb1").health().failures(0).count(), 3u);
  EXPECT_EQ(Of("jvb2").state(), api::Bridge::UP);
  EXPECT_EQ(Of("jvb2").health().failures_size(), 0);

  one.Set(Ok());
  ASSERT_TRUE(Becomes("jvb1", api::Bridge::UP));
  EXPECT_TRUE(Until([&] { return told_ == 3; }));
}

TEST_F(HealthMonitorTest, ManyAtOnceAreToldTogether) {
  uint16_t closed = 0;
  {
    closed = Server(SOCK_STREAM, [](int) {}).port();
  }
  std::vector<config::Bridge> bridges;
  for (int i = 0; i < 50; ++i) {
    config::Bridge bridge;
    bridge.name = fmt::format("jvb{}", i);
    bridge.health = Url(fmt::format("http://127.0.0.1:{}/", closed));
    bridges.push_back(bridge);
  }
  Configure(bridges);
  ASSERT_TRUE(Until([&] {
    const auto all = monitor_->Describe();
    return std::all_of(all.begin(), all.end(),
                       [](const auto& b) { return b.state() == api::Bridge::DOWN; });
  }));
  Until([&] { return told_ > 0; });
  EXPECT_LT(told_, 25);
  EXPECT_EQ(Of("jvb0").health().failures(0).reason(), "refused");
}

TEST_F(HealthMonitorTest, FollowsTheBridgesOwnDrainState) {
  Changing health, drain;
  drain.Set(Ok(R"({"drain":false})"));
  config::Bridge bridge = Bridge("jvb1", health.server);
  bridge.drain_state = Url(fmt::format("http://127.0.0.1:{}/", drain.server.port()));
  Configure({bridge});
  ASSERT_TRUE(Until([&] { return Of("jvb1").drain_state().checks() >= 2; }));
  EXPECT_EQ(Of("jvb1").state(), api::Bridge::UP);
  drain.Set(Ok(R"({"drain":true})"));
  ASSERT_TRUE(Becomes("jvb1", api::Bridge::DRAINING));
  EXPECT_TRUE(Of("jvb1").says_draining());
  EXPECT_FALSE(Of("jvb1").drained());
  // Without a usable answer the last one holds.
  drain.Set(Ok("what?"));
  ASSERT_TRUE(Until([&] { return !Of("jvb1").drain_state().last_error().empty(); }));
  EXPECT_EQ(Of("jvb1").drain_state().failures(0).reason(), "malformed");
  EXPECT_EQ(Of("jvb1").state(), api::Bridge::DRAINING);
  drain.Set(Ok(R"({"drain":false})"));
  EXPECT_TRUE(Becomes("jvb1", api::Bridge::UP));
}

TEST_F(HealthMonitorTest, DrainIsKeptOverARestart) {
  Changing one;
  Configure({Bridge("jvb1", one.server), Unchecked("jvb2")});
  EXPECT_TRUE(monitor_->Drain("jvb2", true).ok());
  EXPECT_TRUE(monitor_->Drain("jvb2", true).ok()) << "again";
  EXPECT_EQ(Of("jvb2").state(), api::Bridge::DRAINING);
  EXPECT_EQ(Of("jvb2").reason(), "drained by the operator");
  EXPECT_THAT(*ReadDrainFile(file_), ElementsAre("jvb2"));
  const absl::Status unknown = monitor_->Drain("jvb9", true);
  EXPECT_TRUE(absl::IsNotFound(unknown));
  EXPECT_EQ(std::string(unknown.message()), "got \"jvb9\", expected one of: jvb1, jvb2");

  Make();
  monitor_->Configure(config_);
  EXPECT_EQ(Of("jvb2").state(), api::Bridge::DRAINING) << "before any check";
  EXPECT_TRUE(Of("jvb2").drained());
  EXPECT_EQ(Of("jvb1").state(), api::Bridge::UP);
  EXPECT_TRUE(monitor_->Drain("jvb2", false).ok());
  EXPECT_EQ(Of("jvb2").state(), api::Bridge::UP);
  EXPECT_THAT(*ReadDrainFile(file_), IsEmpty());
}

TEST_F(HealthMonitorTest, ADrainThatCannotBeKeptIsRefused) {
  Configure({Unchecked("jvb1")});
  std::filesystem::create_directory(file_ + ".new");
  const absl::Status status = monitor_->Drain("jvb1", true);
  EXPECT_FALSE(status.ok() || absl::IsNotFound(status));
  EXPECT_EQ(Of("jvb1").state(), api::Bridge::UP);
}

TEST_F(HealthMonitorTest, AReloadDisturbsNobodyElse) {
  Changing one, other;
  other.Set("HTTP/1.1 500 Sick\r\nContent-Length: 0\r\n\r\n");
  Configure({Bridge("jvb1", one.server), Bridge("jvb2", other.server), Unchecked("jvb3")});
  ASSERT_TRUE(Becomes("jvb2", api::Bridge::DOWN));
  ASSERT_TRUE(monitor_->Drain("jvb3", true).ok());
  const uint64_t checks = Of("jvb2").health().checks();
  // jvb1 moves, jvb4 comes, the order changes; jvb2 and jvb3 stay as they are.
  config::Bridge moved = Bridge("jvb1", one.server);
  moved.address = *config::Address::Parse("10.8.0.99");
  Configure({Unchecked("jvb4"), Bridge("jvb2", other.server), Unchecked("jvb3"), moved});
  EXPECT_EQ(Of("jvb2").state(), api::Bridge::DOWN);
  EXPECT_GE(Of("jvb2").health().checks(), checks);
  EXPECT_EQ(Of("jvb3").state(), api::Bridge::DRAINING);
  EXPECT_EQ(Of("jvb1").health().checks(), 0u) << "another bridge now";
  EXPECT_EQ(monitor_->Describe().front().name(), "jvb4");
  // Other times: what is known of the bridges stays.
  config_.health_check.interval = std::chrono::seconds(2);
  monitor_->Configure(config_);
  EXPECT_EQ(Of("jvb2").state(), api::Bridge::DOWN);
  // A drained bridge that goes is forgotten, also in the file.
  Configure({Bridge("jvb2", other.server)});
  EXPECT_THAT(*ReadDrainFile(file_), IsEmpty());
  other.Set(Ok());
  EXPECT_TRUE(Becomes("jvb2", api::Bridge::UP));
}

TEST_F(HealthMonitorTest, ADamagedDrainFileDrainsNobody) {
  std::ofstream(file_) << "nonsense";
  Make();
  Configure({Unchecked("jvb1")});
  EXPECT_EQ(Of("jvb1").state(), api::Bridge::UP);
}

}  // namespace
}  // namespace bridgehead::health
