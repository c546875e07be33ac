// Connections that end while something else of theirs happens in the same turn of the loop.
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ctrl/proxy/http/h1_connection.h"
#include "ctrl/proxy/upstream/pool.h"
#include "tests/unit/proxy_http_scene.h"

namespace bridgehead::proxy {
namespace {

using namespace test;

class ProxyEnds : public HttpScene {
 protected:
  // Forwards.
  Arrival& MakeArrival() {
    listener_->hosts.clear();
    listener_->forward = "origin";
    ClientInfo info;
    const int fd = Connect(info);
    AcceptedConnection accepted{std::make_unique<TcpStream>(loop(), fd, info.peer, info.local),
                                listener_, std::move(*info.admission)};
    return Add(std::make_unique<Arrival>(static_cast<Arrival::Owner&>(*this), std::move(accepted),
                                         nullptr, nullptr));
  }
  // By a reset or not; without a byte.
  bool UpstreamGetsNothing() {
    AcceptUpstream();
    return UpstreamBytes(1).empty();
  }
};

TEST_F(ProxyEnds, ADrainMeetsAForwardedConnectionThatIsThere) {
  Arrival& arrival = MakeArrival();
  Send("what is for a tunnel only");
  InOneTurn([&] { arrival.Start(); }, [&] { arrival.BeginDrain(); });
  EXPECT_EQ(Sessions(), 0u);
  EXPECT_TRUE(UpstreamGetsNothing());
}

TEST_F(ProxyEnds, AClientGoesWhenItsUpstreamIsThere) {
  H1Connection& connection = Make<H1Connection>(/*tls=*/false);
  Send("GET /api HTTP/1.1\r\nHost: meet.example\r\n\r\n");
  InOneTurn([&] { connection.Start(); }, [&] { connection.Close(); });
  EXPECT_EQ(Sessions(), 0u);
  EXPECT_TRUE(UpstreamGetsNothing());
}

class ProxyH1Ends : public HttpScene {
 protected:
  static constexpr std::string_view kGet = "GET /api HTTP/1.1\r\nHost: meet.example\r\n\r\n";
  static constexpr std::string_view kSay = "GET /say HTTP/1.1\r\nHost: meet.example\r\n\r\n";

  void Start(int receive_buffer = 0) {
    connection_ = &Make<H1Connection>(/*tls=*/false, receive_buffer);
    Post([this] { connection_->Start(); });
  }
  // A response whole, by its Content-Length; empty: the connection has ended.
  std::string Response() {
    std::string head;
    while (head.find("\r\n\r\n") == head.npos) {
      if (!Receive(client_, head, 1)) return "";
    }
    const size_t at = head.find("Content-Length: ");
    Receive(client_, head, at == head.npos ? 0 : std::stoul(head.substr(at + 16)));
    return head;
  }
  void ResetClient() {
    const linger now{1, 0};
    setsockopt(client_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(std::exchange(client_, -1));
  }

  H1Connection* connection_ = nullptr;
};

// What is sent ahead hides the client's end: only a write tells of it.
TEST_F(ProxyH1Ends, NothingIsReadForAClientThatHasReset) {
  Start();
  Send(std::string(kGet) + std::string(kGet));
  UpstreamHead();
  UpstreamSend("HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\nbegin");
  std::string got;
  while (!got.ends_with("begin")) ASSERT_TRUE(Receive(client_, got, 1));
  ResetClient();
  EXPECT_EQ(Sessions(), 1u);  // and the reset has been told of
  // More than sockets hold.
  const std::string piece(1 << 20, 'x');
  size_t taken = 0;
  while (taken < (size_t{32} << 20) && !UpstreamIsGone(piece)) taken += piece.size();
  EXPECT_LT(taken, size_t{32} << 20);
  EXPECT_EQ(Sessions(), 0u);
}

// A kept connection whose server does not want it any more, and a server that can not be reached.
TEST_F(ProxyH1Ends, ASecondTryIsAnsweredOnce) {
  using std::chrono::seconds;
  edge_.upstreams[0].connect_timeout = seconds(1);
  std::get<config::ProxyAction>(edge_.hosts[0].routes[1].action).response_timeout = seconds(1);
  Start();
  Send(kGet);
  UpstreamHead();
  UpstreamSend("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_TRUE(Response().ends_with("ok"));
  // One fills the queue; the edge's SYN is dropped.
  ASSERT_EQ(listen(upstream_listener_, 0), 0);
  const int filler = ConnectUpstream();
  Send(kGet);
  UpstreamNextHead();
  // So that the first try's time ends well before the second's.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  close(std::exchange(upstream_, -1));
  EXPECT_TRUE(Response().starts_with("HTTP/1.1 502 "));
  Send(kSay);
  EXPECT_TRUE(Response().ends_with("hello"));
  close(filler);
}

TEST(ProxyPoolEviction, WhatIsPutOutIsNotListenedTo) {
  auto loop = *Loop::Create();
  Pool pool(*loop, {std::make_shared<ServerCounters>()}, 1);
  std::vector<int> others;
  std::vector<Stream*> put;
  for (int i = 0; i < 2; ++i) {
    const auto [other, fd] = TcpPair();
    others.push_back(other);
    auto stream = std::make_unique<TcpStream>(*loop, fd, SocketAddress(), SocketAddress());
    put.push_back(stream.get());
    pool.Put(0, std::move(stream));
  }
  EXPECT_EQ(put[0]->handler(), nullptr);
  EXPECT_NE(put[1]->handler(), nullptr);
  EXPECT_EQ(pool.size(0), 1u);
  for (const int fd : others) close(fd);
}

TEST(ProxySessionList, WhatWasTakenIsNotThere) {
  struct Nothing final : Session {
    SessionInfo Describe() const override { return {}; }
    void BeginDrain() override {}
    void Close() override {}
  };
  SessionList list;
  list.Add(std::make_unique<Nothing>());
  auto taken = std::make_unique<Nothing>();
  Session& once = *taken;
  list.Add(std::move(taken));
  const std::unique_ptr<Session> mine = list.Take(once);
  EXPECT_EQ(list.size(), 1u);
  EXPECT_DEATH(static_cast<void>(list.Take(once)), "");
}

}  // namespace
}  // namespace bridgehead::proxy
