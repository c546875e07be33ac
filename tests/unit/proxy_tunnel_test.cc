// Tunnels: every byte, both ends, back-pressure and how they end.
#include <chrono>
#include <future>
#include <random>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "ctrl/proxy/l4/tunnel.h"
#include "ctrl/proxy/l4/tunnel_session.h"
#include "ctrl/proxy/net/tcp_stream.h"
#include "tests/support/tcp_pair.h"

namespace bridgehead::proxy {
namespace {

using namespace std::chrono_literals;

// A tunnel on a thread of its own between two sockets that the test holds the other ends of.
class ProxyTunnel : public testing::Test {
 protected:
  ~ProxyTunnel() override {
    loop_->Stop();
    thread_.join();
    tunnel_.reset();
    close(client_);
    close(server_);
  }

  void Start(std::chrono::milliseconds idle = 1h, const std::string& to_server = "",
             const std::string& to_client = "", std::chrono::milliseconds half_closed = 1h) {
    loop_ = *Loop::Create();
    auto [client, near_client] = test::TcpPair();
    auto [server, near_server] = test::TcpPair();
    client_ = client;
    server_ = server;
    for (int fd : {client, server}) fcntl(fd, F_SETFL, 0);
    tunnel_ = std::make_unique<Tunnel>(
        *loop_, std::make_unique<TcpStream>(*loop_, near_client, SocketAddress(), SocketAddress()),
        std::make_unique<TcpStream>(*loop_, near_server, SocketAddress(), SocketAddress()), idle,
        [this](TunnelEnd end) {
          loop_->Bury(std::move(tunnel_));
          ended_.set_value(end);
        },
        half_closed);
    loop_->Post(
        [this, to_server, to_client] { tunnel_->Start(Bytes(to_server), Bytes(to_client)); });
    thread_ = std::thread([this] { loop_->Run(); });
  }
  static std::span<const uint8_t> Bytes(const std::string& text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  }
  static void Send(int fd, const std::string& text) {
    size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t n = send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      ASSERT_GT(n, 0) << strerror(errno);
      sent += static_cast<size_t>(n);
    }
  }
  // Until the end, or an error.
  static std::string ReceiveAll(int fd, int& error) {
    std::string all;
    char part[10000];
    ssize_t n;
    while ((n = recv(fd, part, sizeof(part), 0)) > 0) all.append(part, static_cast<size_t>(n));
    error = n < 0 ? errno : 0;
    return all;
  }
  static std::string Random(size_t bytes) {
    std::mt19937 random(7);
    std::string text(bytes, '\0');
    for (char& c : text) c = static_cast<char>(random());
    return text;
  }
  // As it was; a tunnel that does not end fails the test.
  TunnelEnd End() {
    if (ended_future_.wait_for(10s) == std::future_status::ready) return ended_future_.get();
    ADD_FAILURE() << "the tunnel is still there";
    return TunnelEnd::kClosed;
  }

  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Tunnel> tunnel_;
  std::promise<TunnelEnd> ended_;
  std::future<TunnelEnd> ended_future_ = ended_.get_future();
  std::thread thread_;
  int client_ = -1, server_ = -1;
};

TEST_F(ProxyTunnel, BothDirectionsAtOnceToTheByte) {
  Start();
  const std::string text = Random(16 << 20);
  int up_error = 0, down_error = 0;
  std::string up, down;
  std::thread threads[] = {
      std::thread([&] {
        Send(client_, text);
        shutdown(client_, SHUT_WR);
      }),
      std::thread([&] {
        Send(server_, text);
        shutdown(server_, SHUT_WR);
      }),
      std::thread([&] { up = ReceiveAll(server_, up_error); }),
      std::thread([&] { down = ReceiveAll(client_, down_error); }),
  };
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(End(), TunnelEnd::kBoth);
  EXPECT_TRUE(up == text);
  EXPECT_TRUE(down == text);
  EXPECT_EQ(up_error, 0);
  EXPECT_EQ(down_error, 0);
}

TEST_F(ProxyTunnel, WhatCameBeforeGoesFirst) {
  Start(1h, "early up ", "early down ");
  Send(client_, "late up");
  Send(server_, "late down");
  shutdown(client_, SHUT_WR);
  shutdown(server_, SHUT_WR);
  int error = 0;
  EXPECT_EQ(ReceiveAll(server_, error), "early up late up");
  EXPECT_EQ(ReceiveAll(client_, error), "early down late down");
  EXPECT_EQ(End(), TunnelEnd::kBoth);
}

TEST_F(ProxyTunnel, OneDirectionMayEndLongBeforeTheOther) {
  Start();
  Send(client_, "question");
  shutdown(client_, SHUT_WR);
  int error = 0;
  EXPECT_EQ(ReceiveAll(server_, error), "question");
  Send(server_, "answer");
  shutdown(server_, SHUT_WR);
  EXPECT_EQ(ReceiveAll(client_, error), "answer");
  EXPECT_EQ(error, 0);
  EXPECT_EQ(End(), TunnelEnd::kBoth);
}

TEST_F(ProxyTunnel, AReaderThatStopsStopsItsSender) {
  Start();
  const std::string text = Random(1 << 20);
  fcntl(client_, F_SETFL, O_NONBLOCK);
  std::string taken;
  // Until nothing has been taken for a while: what is held is bounded by the sockets' buffers.
  for (int quiet = 0; quiet < 20;) {
    const ssize_t n = send(client_, text.data(), text.size(), MSG_NOSIGNAL);
    if (n > 0) {
      taken.append(text, 0, static_cast<size_t>(n));
      quiet = 0;
    } else {
      std::this_thread::sleep_for(10ms);
      ++quiet;
    }
    ASSERT_LT(taken.size(), size_t{64} << 20);
  }
  fcntl(client_, F_SETFL, 0);
  shutdown(client_, SHUT_WR);
  shutdown(server_, SHUT_WR);
  int error = 0;
  EXPECT_TRUE(ReceiveAll(server_, error) == taken);
  EXPECT_EQ(End(), TunnelEnd::kBoth);
}

TEST_F(ProxyTunnel, AResetIsPassedOn) {
  Start();
  Send(client_, "x");
  char byte;
  EXPECT_EQ(recv(server_, &byte, 1, 0), 1);
  const linger now{1, 0};
  setsockopt(client_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(client_);
  client_ = -1;
  int error = 0;
  ReceiveAll(server_, error);
  EXPECT_EQ(error, ECONNRESET);
  EXPECT_EQ(End(), TunnelEnd::kClientError);
}

// Nothing is read from it any more, and there is nothing to write.
TEST_F(ProxyTunnel, AResetBehindAnEndIsNoticed) {
  Start();
  shutdown(client_, SHUT_WR);
  int error = 0;
  EXPECT_EQ(ReceiveAll(server_, error), "");
  const linger now{1, 0};
  setsockopt(client_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(client_);
  client_ = -1;
  EXPECT_EQ(End(), TunnelEnd::kClientError);
}

TEST_F(ProxyTunnel, HalfClosedOnesAreClosedSooner) {
  Start(1h, "", "", 20ms);
  Send(client_, "x");
  char byte;
  EXPECT_EQ(recv(server_, &byte, 1, 0), 1);
  EXPECT_EQ(ended_future_.wait_for(100ms), std::future_status::timeout);
  shutdown(server_, SHUT_WR);
  int error = 0;
  EXPECT_EQ(ReceiveAll(client_, error), "");
  EXPECT_EQ(End(), TunnelEnd::kIdle);
}

// A tunnel of days does not hold the configuration of days ago.
TEST(ProxyTunnelSession, KeepsNoListener) {
  struct Owner final : SessionOwner {
    Loop& loop() override { return *its_loop; }
    std::shared_ptr<Group> FindGroup(std::string_view) override { return nullptr; }
    void Log(const AccessRecord&) override {}
    void Ended(Session&) override {}
    std::unique_ptr<Loop> its_loop = *Loop::Create();
  } owner;
  const auto new_stream = [&](int& far) {
    const auto [near, other] = test::TcpPair();
    far = other;
    return std::make_unique<TcpStream>(owner.loop(), near, SocketAddress(), SocketAddress());
  };
  config::Upstream upstream;
  upstream.name = "origin";
  upstream.servers.resize(1);
  const auto group = std::make_shared<Group>(
      owner.loop(), upstream, nullptr, Balancer::Counters{std::make_shared<ServerCounters>()});
  auto listener = std::make_shared<config::EdgeListener>();
  listener->name = "tcp";
  const std::weak_ptr<config::EdgeListener> watched = listener;
  int client = -1, server = -1;
  {
    std::string why;
    TunnelPlan plan;
    plan.server = new_stream(server);
    plan.lease = group->Choose(*config::Address::Parse("127.0.0.1"), {}, why);
    plan.idle_timeout = 1h;
    ClientInfo info;
    info.listener = std::move(listener);
    info.admission = std::make_shared<Admission>(std::make_shared<ListenerState>());
    TunnelSession session(owner, "tcp", info, new_stream(client), std::move(plan));
    info = {};
    EXPECT_TRUE(watched.expired());
    EXPECT_EQ(session.Describe().listener, "tcp");
  }
  close(client);
  close(server);
}

TEST_F(ProxyTunnel, IdleOnesAreClosed) {
  Start(20ms);
  int error = 0;
  ReceiveAll(client_, error);
  EXPECT_EQ(error, ECONNRESET);
  EXPECT_EQ(End(), TunnelEnd::kIdle);
}

}  // namespace
}  // namespace bridgehead::proxy
