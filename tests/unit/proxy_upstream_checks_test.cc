// Active checks of upstreams' servers, over real sockets against servers that behave in every way.
#include <atomic>
#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include <arpa/inet.h>
#include <event2/event.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/health/http_check.h"
#include "ctrl/proxy/tls/server_context.h"
#include "ctrl/proxy/upstream/server_checks.h"
#include "fmt/format.h"
#include "tests/support/certificates.h"
#include "tests/unit/publish_fake_relay.h"

namespace bridgehead::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// One connection as a server has it: cleartext, or TLS behind a greeting.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}

  bool Accept(const ServerContext& context) {
    ssl_ = context.NewConnection();
    SSL_set_fd(ssl_.get(), fd_);
    return SSL_accept(ssl_.get()) == 1;
  }
  SSL* ssl() { return ssl_.get(); }
  // False: nobody takes it any more.
  bool Say(std::string_view text) {
    if (ssl_) return SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) > 0;
    return send(fd_, text.data(), text.size(), MSG_NOSIGNAL) > 0;
  }
  // All until the end of a request's head, or until nothing more comes.
  std::string Hear() {
    std::string all;
    char data[2048];
    while (all.find("\r\n\r\n") == std::string::npos) {
      const auto size = ssl_ ? SSL_read(ssl_.get(), data, sizeof(data))
                             : static_cast<int>(recv(fd_, data, sizeof(data), 0));
      if (size <= 0) break;
      all.append(data, static_cast<size_t>(size));
    }
    return all;
  }
  // `size` bytes in front of TLS.
  std::string Greeting(size_t size) {
    std::string all(size, '\0');
    const ssize_t got = recv(fd_, all.data(), size, MSG_WAITALL);
    all.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return all;
  }
  // OpenSSL says nothing of tickets that cannot be sent.
  bool IsGone() const {
    pollfd entry{fd_, 0, 0};
    return poll(&entry, 1, 0) > 0;
  }

 private:
  const int fd_;
  SslPtr ssl_;
};

// Of 127.0.0.1: hands each connection to `serve`, on a thread of its own.
class Server {
 public:
  using Serve = std::function<void(Peer& peer)>;

  explicit Server(Serve serve) : serve_(std::move(serve)) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(name);
    if (bind(fd_, reinterpret_cast<sockaddr*>(&name), size) != 0 || listen(fd_, 64) != 0 ||
        getsockname(fd_, reinterpret_cast<sockaddr*>(&name), &size) != 0) {
      abort();
    }
    port_ = ntohs(name.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~Server() {
    {
      // A check that is not over by now never will be: nobody runs its loop any more.
      const std::lock_guard lock(mutex_);
      stop_ = true;
      if (client_ >= 0) shutdown(client_, SHUT_RDWR);
    }
    thread_.join();
    close(fd_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const { return port_; }
  void Set(Serve serve) {
    const std::lock_guard lock(mutex_);
    serve_ = std::move(serve);
  }
  // What `serve` has noted last.
  std::string heard() {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  void Note(const std::string& heard) {
    const std::lock_guard lock(mutex_);
    heard_ = heard;
  }

 private:
  void Run() {
    while (!stop_) {
      pollfd entry{fd_, POLLIN, 0};
      if (poll(&entry, 1, 5) <= 0) continue;
      const int client = accept(fd_, nullptr, nullptr);
      Serve serve;
      {
        const std::lock_guard lock(mutex_);
        if (stop_) shutdown(client, SHUT_RDWR);
        client_ = client;
        serve = serve_;
      }
      {
        Peer peer(client);
        serve(peer);
      }
      const std::lock_guard lock(mutex_);
      client_ = -1;
      close(client);
    }
  }

  std::mutex mutex_;
  Serve serve_;
  std::string heard_;
  int client_ = -1;
  int fd_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

Server::Serve Answer(const std::string& status) {
  return [status](Peer& peer) {
    peer.Hear();
    peer.Say("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n\r\n");
  };
}

struct EventBaseFree {
  void operator()(event_base* base) const { event_base_free(base); }
};

class ProxyServerChecks : public testing::Test {
 protected:
  // A second of the configuration lasts 20 ms.
  static constexpr health::MonitorTiming kFast{2, 5, 5, 20};

  ProxyServerChecks() {
    signal(SIGPIPE, SIG_IGN);
    upstream_.name = "web";
    upstream_.health.emplace();
    upstream_.health->path = "/healthz?x";
    upstream_.health->interval = std::chrono::seconds(1);
    upstream_.health->timeout = std::chrono::seconds(1000);
  }
  template <typename Condition>
  bool Until(Condition done) {
    for (int i = 0; i < 10000 && !done(); ++i) {
      timeval slice{0, 2'000};
      event_base_loopexit(base_.get(), &slice);
      event_base_dispatch(base_.get());
    }
    return done();
  }
  void Add(const std::string& name, uint16_t port) {
    config::UpstreamServer& server = upstream_.servers.emplace_back();
    server.name = name;
    server.address = *config::Endpoint::Parse(fmt::format("127.0.0.1:{}", port));
  }
  void Configure() {
    config::Edge edge;
    edge.upstreams = {upstream_};
    auto snapshot = Snapshot::Build(edge, lasting_);
    ASSERT_TRUE(snapshot.ok()) << snapshot.status();
    checks_.Configure(**snapshot);
  }
  // Of the first upstream.
  api::BridgeHealth Of(const std::string& name) {
    EdgeTotals totals;
    auto& server = totals.servers.emplace_back();
    server.upstream = "web";
    server.name = name;
    checks_.AddTo(totals);
    EXPECT_TRUE(server.health) << name;
    return server.health.value_or(api::BridgeHealth());
  }
  bool IsDown(const std::string& name) { return Of(name).state() == api::Bridge::DOWN; }
  // Checks a server that behaves like this until the first result is there.
  health::Failure FailureOf(Server& server) {
    upstream_.servers.clear();
    Add("s1", server.port());
    Configure();
    EXPECT_TRUE(Until([&] { return Of("s1").health().checks() > 0; }));
    const api::BridgeCheck check = Of("s1").health();
    reason_ = check.last_error();
    if (check.failures().empty()) return health::Failure::kLocal;
    for (size_t i = 0; i < health::kFailureCount; ++i) {
      if (check.failures(0).reason() == Label(health::Failure(i))) return health::Failure(i);
    }
    ADD_FAILURE() << check.failures(0).reason();
    return health::Failure::kLocal;
  }
  bool IsGood(Server& server) {
    FailureOf(server);
    return reason_.empty();
  }
  // The edge does not know of their authorities but by `file`.
  std::shared_ptr<const ServerContext> Tls(const std::string& name) {
    const test::MadeCertificate made = test::MakeCertificate(directory_.path(), name, {name});
    file_ = made.certificate_file;
    config::ListenerTls settings;
    settings.certificates = {{made.certificate_file, made.key_file, ""}};
    return *ServerContext::Create(settings, {}, nullptr);
  }

  TemporaryDirectory directory_;
  std::string file_, reason_;
  std::unique_ptr<event_base, EventBaseFree> base_{event_base_new()};
  Lasting lasting_;
  config::Upstream upstream_;
  int changes_ = 0;
  ServerChecks checks_{base_.get(), [this] { ++changes_; }, kFast};
};

TEST_F(ProxyServerChecks, FollowAServerDownAndUp) {
  Server one(Answer("200 OK")), two(Answer("302 Found"));
  Add("s1", one.port());
  Add("s2", two.port());
  Configure();
  EXPECT_FALSE(IsDown("s1")) << "until it is known";
  ASSERT_TRUE(
      Until([&] { return Of("s1").health().checks() >= 3 && Of("s2").health().checks() >= 3; }));
  EXPECT_THAT(checks_.down(), IsEmpty());
  EXPECT_EQ(changes_, 0);
  EXPECT_EQ(Of("s2").reason(), "") << "a redirect is good by default";

  one.Set(Answer("503 Sick"));
  ASSERT_TRUE(Until([&] { return changes_ == 1; }));
  EXPECT_THAT(checks_.down(), ElementsAre("web/s1"));
  EXPECT_TRUE(IsDown("s1"));
  EXPECT_EQ(Of("s1").reason(), "status 503");
  EXPECT_GE(Of("s1").health().failures(0).count(), 3u);
  EXPECT_EQ(Of("s1").health().url(), fmt::format("http://127.0.0.1:{}/healthz?x", one.port()));
  EXPECT_EQ(Of("s2").health().failures_size(), 0);

  one.Set(Answer("204 Fine"));
  ASSERT_TRUE(Until([&] { return changes_ == 2; }));
  EXPECT_THAT(checks_.down(), IsEmpty());
  EXPECT_FALSE(IsDown("s1"));
}

TEST_F(ProxyServerChecks, AReloadKeepsTheStates) {
  Server one(Answer("500 Sick")), two(Answer("200 OK"));
  Add("s1", one.port());
  Add("s2", two.port());
  Configure();
  ASSERT_TRUE(Until([&] { return changes_ == 1; }));
  const uint64_t checks = Of("s1").health().checks();
  // Nothing of the checks: they go on.
  upstream_.keepalive = 3;
  upstream_.health->fall = 4;
  Configure();
  EXPECT_THAT(checks_.down(), ElementsAre("web/s1"));
  EXPECT_GE(Of("s1").health().checks(), checks);
  // Other checks: they begin anew, and the state stays.
  upstream_.health->path = "/other";
  upstream_.servers.erase(upstream_.servers.begin() + 1);
  Configure();
  EXPECT_THAT(checks_.down(), ElementsAre("web/s1"));
  EXPECT_EQ(Of("s1").health().checks(), 0u);
  EXPECT_THAT(Of("s1").health().url(), HasSubstr("/other"));
  EXPECT_EQ(changes_, 1);
  // By the same name at another address it is another server.
  upstream_.servers.clear();
  Add("s1", two.port());
  Configure();
  EXPECT_THAT(checks_.down(), IsEmpty());
  // And without a health nobody is asked, or down.
  upstream_.servers.clear();
  Add("s1", one.port());
  Configure();
  ASSERT_TRUE(Until([&] { return !checks_.down().empty(); }));
  upstream_.health.reset();
  Configure();
  EXPECT_THAT(checks_.down(), IsEmpty());
}

TEST_F(ProxyServerChecks, TheRequestIsOneOfHttp11) {
  Server server([&](Peer& peer) {
    server.Note(peer.Hear());
    peer.Say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  });
  const auto request = [&](const std::string& host) {
    return fmt::format(
        "GET /healthz?x HTTP/1.1\r\nHost: {}\r\nUser-Agent: bridgehead/{}\r\nAccept: */*\r\n"
        "Connection: close\r\n\r\n",
        host, BRIDGEHEAD_VERSION);
  };
  EXPECT_TRUE(IsGood(server)) << reason_;
  EXPECT_EQ(server.heard(), request(fmt::format("127.0.0.1:{}", server.port())));
  upstream_.health->host = "web.example";
  EXPECT_TRUE(IsGood(server)) << reason_;
  EXPECT_EQ(server.heard(), request("web.example"));
}

TEST_F(ProxyServerChecks, OnlyExpectedStatusesAreGood) {
  Server server(Answer("200 OK"));
  upstream_.health->expect = {204, 404};
  EXPECT_EQ(FailureOf(server), health::Failure::kStatus);
  EXPECT_EQ(reason_, "status 200");
  server.Set(Answer("404 Not Found"));
  upstream_.health->expect = {404};
  EXPECT_TRUE(IsGood(server)) << reason_;
  upstream_.health->expect.clear();
  EXPECT_EQ(FailureOf(server), health::Failure::kStatus);
  server.Set(Answer("307 Elsewhere"));
  upstream_.health->expect = {200};
  EXPECT_EQ(FailureOf(server), health::Failure::kStatus);
  EXPECT_EQ(reason_, "status 307 (redirects are not followed)");
}

TEST_F(ProxyServerChecks, AConnectionMayBeEnough) {
  upstream_.health->path.clear();
  std::atomic<int> seen{0};
  Server server([&](Peer& peer) {
    EXPECT_EQ(peer.Hear(), "");
    ++seen;
  });
  EXPECT_TRUE(IsGood(server)) << reason_;
  EXPECT_EQ(Of("s1").health().url(), fmt::format("tcp://127.0.0.1:{}", server.port()));
  EXPECT_TRUE(Until([&] { return seen > 0; }));
  uint16_t closed = 0;
  {
    closed = Server([](Peer&) {}).port();
  }
  upstream_.servers.clear();
  Add("s2", closed);
  Configure();
  ASSERT_TRUE(Until([&] { return changes_ == 1; }));
  EXPECT_EQ(Of("s2").reason(),
            fmt::format("cannot connect to 127.0.0.1:{}: Connection refused", closed));
}

// ------------------------------------------------------------------------------------------- TLS

TEST_F(ProxyServerChecks, TlsIsThatOfTheUpstream) {
  const auto tls = Tls("origin.example");
  Server server([&](Peer& peer) {
    if (!peer.Accept(*tls)) return;
    const char* name = SSL_get_servername(peer.ssl(), TLSEXT_NAMETYPE_host_name);
    server.Note(fmt::format("{}: {}", name != nullptr ? name : "none", peer.Hear()));
    peer.Say("HTTP/1.1 200 OK\r\n\r\n");
  });
  upstream_.tls.emplace();
  upstream_.tls->ca_file = file_;
  upstream_.tls->server_name = "origin.example";
  EXPECT_TRUE(IsGood(server)) << reason_;
  EXPECT_THAT(server.heard(), StartsWith("origin.example: GET /healthz?x HTTP/1.1\r\n"
                                         "Host: origin.example\r\n"));
  EXPECT_EQ(Of("s1").health().url(), fmt::format("https://127.0.0.1:{}/healthz?x", server.port()));
  // A connection alone has its handshake verified too.
  upstream_.health->path.clear();
  EXPECT_TRUE(IsGood(server)) << reason_;
  for (const char* path : {"", "/"}) {
    upstream_.health->path = path;
    upstream_.tls->server_name = "another.example";
    EXPECT_EQ(FailureOf(server), health::Failure::kTls);
    EXPECT_EQ(reason_, "TLS: certificate verify failed: hostname mismatch");
    EXPECT_TRUE(Until([&] { return IsDown("s1"); }));
    upstream_.tls->server_name = "";
    EXPECT_EQ(FailureOf(server), health::Failure::kTls);
    EXPECT_EQ(reason_, "TLS: certificate verify failed: IP address mismatch");
  }
  upstream_.tls->ca_file = "";
  upstream_.tls->server_name = "origin.example";
  EXPECT_EQ(FailureOf(server), health::Failure::kTls);
  EXPECT_THAT(reason_, StartsWith("TLS: certificate verify failed: self"));
  upstream_.tls->verify = false;
  EXPECT_TRUE(IsGood(server)) << reason_;
}

TEST_F(ProxyServerChecks, AFileOfAuthoritiesThatHasChangedCounts) {
  const auto tls = Tls("origin.example");
  const std::string good = file_;
  Server server([&](Peer& peer) {
    if (peer.Accept(*tls)) peer.Hear();
  });
  upstream_.health->path.clear();
  upstream_.tls.emplace();
  upstream_.tls->server_name = "origin.example";
  Tls("another.example");
  upstream_.tls->ca_file = file_;
  EXPECT_EQ(FailureOf(server), health::Failure::kTls);
  const uint64_t checks = Of("s1").health().checks();
  std::filesystem::copy_file(good, file_, std::filesystem::copy_options::overwrite_existing);
  Configure();
  EXPECT_GE(Of("s1").health().checks(), checks) << "they are the same checks";
  EXPECT_TRUE(Until([&] { return checks_.down().empty(); })) << Of("s1").reason();
}

TEST_F(ProxyServerChecks, WhatIsNoTls) {
  upstream_.tls.emplace();
  Server server([](Peer& peer) { peer.Say("SSH-2.0-OpenSSH_9.2\r\n"); });
  EXPECT_EQ(FailureOf(server), health::Failure::kTls);
  EXPECT_EQ(reason_, "TLS: wrong version number");
  EXPECT_TRUE(IsDown("s1")) << "at once: that is no lost packet";
  server.Set([](Peer& peer) { peer.Greeting(1); });
  upstream_.health->path = "/new";
  EXPECT_EQ(FailureOf(server), health::Failure::kClosed) << reason_;
}

// ------------------------------------------------------------------------------------ what is odd

TEST_F(ProxyServerChecks, SendProxyNamesNobody) {
  const std::string v1 = "PROXY UNKNOWN\r\n";
  const std::string v2("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16);
  const auto tls = Tls("origin.example");
  for (const bool encrypted : {false, true}) {
    for (const auto& [send, header] :
         {std::pair(config::SendProxy::kV1, v1), std::pair(config::SendProxy::kV2, v2)}) {
      Server server([&](Peer& peer) {
        server.Note(peer.Greeting(header.size()));
        if (encrypted && !peer.Accept(*tls)) return;
        if (peer.Hear().starts_with("GET ")) peer.Say("HTTP/1.1 200 OK\r\n\r\n");
      });
      upstream_.send_proxy = send;
      if (encrypted) upstream_.tls.emplace().verify = false;
      EXPECT_TRUE(IsGood(server)) << reason_;
      EXPECT_EQ(server.heard(), header);
    }
  }
  // Another port is not the traffic's.
  Server other(Answer("200 OK"));
  upstream_.health->port = other.port();
  Server unused([](Peer&) { ADD_FAILURE() << "asked"; });
  EXPECT_TRUE(IsGood(unused)) << reason_;
  EXPECT_EQ(Of("s1").health().url(), fmt::format("http://127.0.0.1:{}/healthz?x", other.port()));
}

TEST_F(ProxyServerChecks, HugeAndEndlessAnswersEnd) {
  const auto tls = Tls("origin.example");
  Server server([](Peer& peer) {
    peer.Hear();
    if (!peer.Say("HTTP/1.1 200 OK\r\n")) return;
    while (peer.Say("X: " + std::string(1000, 'x') + "\r\n")) {
    }
  });
  EXPECT_EQ(FailureOf(server), health::Failure::kTooLong);
  EXPECT_EQ(reason_, "head of an answer of more than 16384 bytes");
  server.Set([](Peer& peer) {
    peer.Hear();
    while (peer.Say("HTTP/1.1 103 Early Hints\r\n\r\n")) {
    }
  });
  upstream_.health->path = "/hints";
  EXPECT_EQ(FailureOf(server), health::Failure::kTooLong) << reason_;
  // Of a body nothing is wanted.
  server.Set([](Peer& peer) {
    peer.Hear();
    if (!peer.Say("HTTP/1.1 200 OK\r\n\r\n")) return;
    while (peer.Say(std::string(10000, 'x'))) {
    }
  });
  upstream_.health->path = "/body";
  EXPECT_TRUE(IsGood(server)) << reason_;
  // TLS itself is endless: session tickets, one after another.
  server.Set([&](Peer& peer) {
    if (!peer.Accept(*tls)) return;
    peer.Hear();
    while (!peer.IsGone() && SSL_new_session_ticket(peer.ssl()) == 1) {
      if (SSL_do_handshake(peer.ssl()) != 1) break;
    }
  });
  upstream_.tls.emplace().verify = false;
  EXPECT_EQ(FailureOf(server), health::Failure::kTooLong);
  EXPECT_EQ(reason_, "more than 196608 bytes of TLS");
}

TEST_F(ProxyServerChecks, SlowServersEndAtTheDeadline) {
  upstream_.health->timeout = std::chrono::seconds(10);
  Server server([](Peer& peer) {
    // A byte now and then, for longer than anybody waits.
    if (!peer.Say("HTTP/1.1 200 OK\r\nX: ")) return;
    while (peer.Say("x")) usleep(1000);
  });
  EXPECT_EQ(FailureOf(server), health::Failure::kTimeout);
  EXPECT_EQ(reason_, "timed out after 200 ms: only a part of the answer");
  server.Set([](Peer& peer) { peer.Greeting(100'000); });
  upstream_.tls.emplace();
  EXPECT_EQ(FailureOf(server), health::Failure::kTimeout);
  EXPECT_EQ(reason_, "timed out after 200 ms: no end of the TLS handshake");
}

// Whatever pieces it comes in.
TEST(ProxyServerChecksAnswer, HeadsOf1xxArePassedOver) {
  const std::string text =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
      "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    health::HttpAnswerParser parser(/*head_only=*/true);
    health::HttpAnswer answer;
    size_t at = 0;
    while (at < text.size() && answer.progress == health::HttpAnswer::Progress::kMore) {
      answer = parser.Append(std::string_view(text).substr(at, piece));
      at += piece;
    }
    EXPECT_EQ(answer.progress, health::HttpAnswer::Progress::kWhole) << piece;
    EXPECT_EQ(answer.status, 404) << piece;
    EXPECT_GE(at, text.size());
  }
  health::HttpAnswerParser upgraded(/*head_only=*/true);
  EXPECT_EQ(upgraded.Append("HTTP/1.1 101 Switching Protocols\r\n\r\n").status, 101);
  health::HttpAnswerParser garbage(/*head_only=*/true);
  EXPECT_EQ(garbage.Append("HTTP/1.1 100 Continue\r\n\r\nSSH-2").progress,
            health::HttpAnswer::Progress::kMalformed);
}

}  // namespace
}  // namespace bridgehead::proxy
