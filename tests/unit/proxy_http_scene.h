// A client's connection of HTTP on a loop of its own, the client's end of it, and an upstream that
// the test itself is.
#pragma once

#include <algorithm>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/proxy/arrival.h"
#include "ctrl/proxy/http/service.h"
#include "ctrl/proxy/l4/tunnel_session.h"
#include "ctrl/proxy/net/tcp_stream.h"
#include "ctrl/proxy/route/worker_pool.h"
#include "ctrl/proxy/stats/edge_counters.h"
#include "tests/support/tcp_pair.h"

namespace bridgehead::test {

using namespace proxy;

class HttpScene : public testing::Test, protected Arrival::Owner {
 protected:
  HttpScene() : loop_(*Loop::Create()), rates_(16) {
    edge_.upstreams.resize(1);
    edge_.hosts.resize(1);
    listener_ = std::make_shared<config::EdgeListener>();
    listener_->name = "https";
    listener_->hosts = {"meet"};
    config::Host& host = edge_.hosts[0];
    host.name = "meet";
    host.names = {"meet.example"};
    AddRoute("/say", config::RespondAction{200, "hello"});
    config::ProxyAction proxy;
    proxy.upstream = "origin";
    proxy.websocket = true;
    AddRoute("/api", proxy);
    edge_.hosts[0].routes.back().max_body = 0;
    OpenUpstream();
  }
  ~HttpScene() override {
    if (thread_.joinable()) {
      loop_->Stop();
      thread_.join();
    }
    sessions_.ForEach([](Session& session) { session.Close(); });
    for (int fd : {client_, upstream_listener_, upstream_}) {
      if (fd >= 0) close(fd);
    }
  }

  // The connection under test, not yet started. The loop runs from now on.
  template <typename Connection>
  Connection& Make(bool tls, int receive_buffer = 0) {
    ClientInfo info;
    const int fd = Connect(info, receive_buffer);
    info.tls = tls;
    return Add(
        std::make_unique<Connection>(static_cast<HttpService&>(*this), StreamOf(fd, info), info));
  }
  template <typename Connection>
  Connection& Add(std::unique_ptr<Connection> connection) {
    Connection& made = *connection;
    sessions_.Add(std::move(connection));
    thread_ = std::thread([this] { loop_->Run(); });
    return made;
  }
  // What is configured is there from now on. Returns the edge's socket of `client_`.
  int Connect(ClientInfo& info, int receive_buffer = 0) {
    std::map<std::string, std::shared_ptr<LogFile>> logs;
    auto site = Site::Build(edge_, *listener_, logs);
    EXPECT_TRUE(site.ok()) << site.status();
    site_ = std::make_shared<LoopSite>(
        *site, checks_, [this](std::function<void()> task) { loop_->Post(std::move(task)); },
        counters_, rates_);
    group_ = std::make_shared<Group>(*loop_, edge_.upstreams[0], nullptr,
                                     Balancer::Counters{counters_.Server("origin", "server")});
    const auto [client, server] = TcpPair();
    client_ = client;
    server_ = server;
    fcntl(client_, F_SETFL, 0);
    SetTimeout(client_);
    if (receive_buffer != 0) {
      setsockopt(client_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
      setsockopt(server, SOL_SOCKET, SO_SNDBUF, &receive_buffer, sizeof(receive_buffer));
    }
    info.listener = listener_;
    info.admission = std::make_shared<Admission>(std::make_shared<ListenerState>());
    info.peer = info.local = SocketAddress(*config::Address::Parse("127.0.0.1"), 1);
    return server;
  }
  virtual std::unique_ptr<Stream> StreamOf(int fd, const ClientInfo& client) {
    return std::make_unique<TcpStream>(*loop_, fd, client.peer, client.local);
  }

  // False: the connection is closed.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // ----------------------------------------------------------------------------- the upstream
  // A request's head as it comes.
  std::string UpstreamHead() {
    AcceptUpstream();
    return UpstreamNextHead();
  }
  void AcceptUpstream() {
    upstream_ = accept4(upstream_listener_, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_GE(upstream_, 0) << strerror(errno);
    SetTimeout(upstream_);
  }
  // Of the next one on the same connection.
  std::string UpstreamNextHead() {
    std::string head;
    while (head.find("\r\n\r\n") == head.npos && Receive(upstream_, head, 1)) {
    }
    return head;
  }
  std::string UpstreamBytes(size_t count) {
    std::string bytes;
    Receive(upstream_, bytes, count);
    return bytes;
  }
  // What is there, 64 KiB at most; empty: the edge has ended it.
  std::string UpstreamSome() {
    std::string bytes(65536, '\0');
    const ssize_t got = recv(upstream_, bytes.data(), bytes.size(), 0);
    bytes.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
    return bytes;
  }
  void UpstreamSend(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(upstream_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0) << strerror(errno);
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  // False: it has taken the bytes, or its kernel.
  bool UpstreamIsGone(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(upstream_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return true;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return false;
  }
  // A connection to the upstream beside the edge's.
  int ConnectUpstream() {
    sockaddr_in name{};
    socklen_t size = sizeof(name);
    auto* address = reinterpret_cast<sockaddr*>(&name);
    EXPECT_EQ(getsockname(upstream_listener_, address, &size), 0);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(fd, address, size), 0) << strerror(errno);
    return fd;
  }
  static bool Receive(int fd, std::string& into, size_t count) {
    const size_t before = into.size();
    into.resize(before + count);
    size_t got = 0;
    while (got < count) {
      const ssize_t n = recv(fd, into.data() + before + got, count - got, 0);
      if (n <= 0) {
        into.resize(before + got);
        return false;
      }
      got += static_cast<size_t>(n);
    }
    return true;
  }

  void AddRoute(std::string path, decltype(config::Route::action) action) {
    config::Route route;
    route.name = route.path = std::move(path);
    route.action = std::move(action);
    edge_.hosts[0].routes.push_back(std::move(route));
  }

  CheckPools checks_;
  config::Edge edge_;
  std::shared_ptr<config::EdgeListener> listener_;
  int client_ = -1, upstream_ = -1, upstream_listener_ = -1;
  int server_ = -1;  // the edge's end of client_
  Loop& loop() override { return *loop_; }
  // On the loop's thread.
  void Post(std::function<void()> task) { loop_->Post(std::move(task)); }
  // `first` is a task of one turn; `then` comes in the next one, in front of what `first` has made.
  void InOneTurn(const std::function<void()>& first, const std::function<void()>& then) {
    std::promise<void> done;
    Post([&] {
      Post([&] {
        then();
        done.set_value();
      });
      first();
    });
    done.get_future().wait();
  }
  template <typename Task>
  std::invoke_result_t<Task> On(Task task) {
    std::packaged_task<std::invoke_result_t<Task>()> packaged(std::move(task));
    auto result = packaged.get_future();
    Post([&packaged] { packaged(); });
    return result.get();
  }
  size_t Sessions() {
    return On([this] { return sessions_.size(); });
  }

 private:
  static void SetTimeout(int fd) {
    const timeval limit{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  }
  void OpenUpstream() {
    upstream_listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(name);
    auto* address = reinterpret_cast<sockaddr*>(&name);
    ASSERT_EQ(bind(upstream_listener_, address, size), 0);
    ASSERT_EQ(listen(upstream_listener_, 10), 0);
    ASSERT_EQ(getsockname(upstream_listener_, address, &size), 0);
    SetTimeout(upstream_listener_);
    edge_.upstreams[0].name = "origin";
    config::UpstreamServer server;
    server.name = "s";
    server.address = *config::Endpoint::Parse("127.0.0.1:" + std::to_string(ntohs(name.sin_port)));
    edge_.upstreams[0].servers = {server};
  }
  // HttpService
  std::shared_ptr<Group> FindGroup(std::string_view) override { return group_; }
  void Log(const AccessRecord&) override {}
  void Ended(Session& session) override { loop_->Bury(sessions_.Take(session)); }
  std::shared_ptr<LoopSite> SiteOf(const config::EdgeListener&) override { return site_; }
  RateTable& rates() override { return rates_; }
  std::shared_ptr<LogFile> log() override { return nullptr; }
  void StartTunnel(Session& session, const ClientInfo& client, std::unique_ptr<Stream> stream,
                   std::string_view to_server, std::string_view head, TunnelPlan plan) override {
    Tunnel("tcp", client, std::move(stream), std::move(plan)).Start(to_server, head);
    Ended(session);
  }
  void AddTunnel(const ClientInfo& client, std::unique_ptr<Stream> stream,
                 TunnelPlan plan) override {
    Tunnel("websocket", client, std::move(stream), std::move(plan)).Start({}, {});
  }
  TunnelSession& Tunnel(const char* kind, const ClientInfo& client, std::unique_ptr<Stream> stream,
                        TunnelPlan plan) {
    auto tunnel = std::make_unique<TunnelSession>(static_cast<SessionOwner&>(*this), kind, client,
                                                  std::move(stream), std::move(plan));
    TunnelSession& made = *tunnel;
    sessions_.Add(std::move(tunnel));
    return made;
  }
  // Arrival::Owner
  void StartHttp(Session& session, ClientInfo, std::unique_ptr<Stream>, std::string_view) override {
    Ended(session);
  }

  EdgeCounters counters_;
  std::unique_ptr<Loop> loop_;
  RateTable rates_;
  std::shared_ptr<LoopSite> site_;
  std::shared_ptr<Group> group_;
  SessionList sessions_;
  std::thread thread_;
};

}  // namespace bridgehead::test
