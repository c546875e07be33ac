// A connection of HTTP/2 on a loop of its own, a client that makes its frames by hand, and an
// upstream that the test itself is.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/proxy/http/h2_connection.h"
#include "ctrl/proxy/l4/tunnel_session.h"
#include "ctrl/proxy/net/tcp_stream.h"
#include "ctrl/proxy/route/worker_pool.h"
#include "ctrl/proxy/stats/edge_counters.h"
#include "tests/support/h2_frames.h"
#include "tests/support/tcp_pair.h"

namespace bridgehead::test {

using namespace proxy;

struct H2Frame {
  uint8_t type = 0xff, flags = 0;  // 0xff: the connection has ended
  uint32_t id = 0;
  std::string payload;
};

struct H2Answer {
  std::map<std::string, std::string> fields;
  std::string body;
  bool whole = false;
  uint32_t reset = UINT32_MAX;  // the code, if it was
  std::string status() { return fields[":status"]; }
};

class H2Scene : public testing::Test, protected HttpService {
 protected:
  H2Scene() : pool_(1, 10), loop_(*Loop::Create()), rates_(16) {
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
    nghttp2_hd_inflate_new(&inflater_);
  }
  ~H2Scene() override {
    if (thread_.joinable()) {
      loop_->Stop();
      thread_.join();
    }
    sessions_.ForEach([](Session& session) { session.Close(); });
    nghttp2_hd_inflate_del(inflater_);
    for (int fd : {client_, upstream_listener_, upstream_}) {
      if (fd >= 0) close(fd);
    }
  }

  // The client has sent its preface and an empty SETTINGS, or what is in `settings`.
  void Start(std::string_view settings = "", int receive_buffer = 0) {
    std::map<std::string, std::shared_ptr<LogFile>> logs;
    auto site = Site::Build(edge_, *listener_, logs);
    ASSERT_TRUE(site.ok()) << site.status();
    site_ = std::make_shared<LoopSite>(
        *site, pool_, [this](std::function<void()> task) { loop_->Post(std::move(task)); },
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
    ClientInfo info;
    info.listener = listener_;
    info.admission = std::make_shared<Admission>(std::make_shared<ListenerState>());
    info.tls = true;
    info.peer = info.local = SocketAddress(*config::Address::Parse("127.0.0.1"), 1);
    auto connection = std::make_unique<H2Connection>(
        static_cast<HttpService&>(*this),
        std::make_unique<TcpStream>(*loop_, server, info.peer, info.local), info);
    connection_ = connection.get();
    sessions_.Add(std::move(connection));
    loop_->Post([this] { connection_->Start(); });
    thread_ = std::thread([this] { loop_->Run(); });
    Send(std::string(NGHTTP2_CLIENT_MAGIC) + MakeFrame(NGHTTP2_SETTINGS, 0, 0, settings));
  }

  // ------------------------------------------------------------------------------- the client
  // False: the connection is closed.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  H2Frame Next() {
    std::string header;
    if (!Receive(client_, header, 9)) return {};
    const auto byte = [&](size_t at) { return static_cast<uint8_t>(header[at]); };
    H2Frame frame;
    const size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
    frame.type = byte(3);
    frame.flags = byte(4);
    for (size_t at = 5; at < 9; ++at) frame.id = frame.id << 8 | byte(at);
    if (!Receive(client_, frame.payload, size)) return {};
    return frame;
  }
  // Reads to the stream's end; what comes of others is in answers_ too.
  H2Answer Answer(uint32_t id) {
    while (!answers_[id].whole && answers_[id].reset == UINT32_MAX) {
      const H2Frame frame = Next();
      if (frame.type == 0xff) break;
      Take(frame);
    }
    return answers_[id];
  }
  // The code of GOAWAY; UINT32_MAX: there was none before the end.
  uint32_t GoAway() {
    while (goaway_ == UINT32_MAX) {
      const H2Frame frame = Next();
      if (frame.type == 0xff) break;
      Take(frame);
    }
    return goaway_;
  }
  bool Closed() {
    for (;;) {
      const H2Frame frame = Next();
      if (frame.type == 0xff) return true;
      Take(frame);
    }
  }
  void Take(const H2Frame& frame) {
    H2Answer& answer = answers_[frame.id];
    if (frame.type == NGHTTP2_GOAWAY) goaway_ = Number(frame.payload, 4);
    if (frame.type == NGHTTP2_RST_STREAM) answer.reset = Number(frame.payload, 0);
    if (frame.type == NGHTTP2_WINDOW_UPDATE) windows_[frame.id] += Number(frame.payload, 0);
    if (frame.type == NGHTTP2_DATA) answer.body += frame.payload;
    if (frame.type == NGHTTP2_HEADERS) Inflate(frame.payload, answer);
    if (frame.type <= NGHTTP2_HEADERS && (frame.flags & kEndStream) != 0) answer.whole = true;
  }
  static uint32_t Number(std::string_view text, size_t at) {
    uint32_t number = 0;
    for (size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<uint8_t>(text[at + i]);
    return number;
  }

  // ----------------------------------------------------------------------------- the upstream
  // A request's head as it comes.
  std::string UpstreamHead() {
    upstream_ = accept4(upstream_listener_, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_GE(upstream_, 0) << strerror(errno);
    SetTimeout(upstream_);
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

  config::Edge edge_;
  std::shared_ptr<config::EdgeListener> listener_;
  int client_ = -1, upstream_ = -1;
  int server_ = -1;  // the edge's end of client_
  // On the loop's thread.
  void Post(std::function<void()> task) { loop_->Post(std::move(task)); }
  H2Connection* connection_ = nullptr;
  std::map<uint32_t, H2Answer> answers_;
  std::map<uint32_t, uint64_t> windows_;  // what the edge gave
  uint32_t goaway_ = UINT32_MAX;

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
  void Inflate(std::string_view block, H2Answer& answer) {
    const auto* at = reinterpret_cast<const uint8_t*>(block.data());
    size_t left = block.size();
    for (;;) {
      nghttp2_nv field;
      int flags = 0;
      const ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, at, left, 1);
      ASSERT_GE(used, 0);
      at += used;
      left -= static_cast<size_t>(used);
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        answer.fields[{reinterpret_cast<char*>(field.name), field.namelen}] =
            std::string(reinterpret_cast<char*>(field.value), field.valuelen);
      }
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
  }

  // HttpService
  Loop& loop() override { return *loop_; }
  std::shared_ptr<Group> FindGroup(std::string_view) override { return group_; }
  void Log(const AccessRecord&) override {}
  void Ended(Session& session) override { loop_->Bury(sessions_.Take(session)); }
  std::shared_ptr<LoopSite> SiteOf(const config::EdgeListener&) override { return site_; }
  RateTable& rates() override { return rates_; }
  std::shared_ptr<LogFile> log() override { return nullptr; }
  void StartTunnel(Session&, const ClientInfo&, std::unique_ptr<Stream>, std::string_view,
                   std::string_view, TunnelPlan) override {}
  void AddTunnel(const ClientInfo& client, std::unique_ptr<Stream> stream,
                 TunnelPlan plan) override {
    auto tunnel = std::make_unique<TunnelSession>(static_cast<SessionOwner&>(*this), "websocket",
                                                  client, std::move(stream), std::move(plan));
    TunnelSession& started = *tunnel;
    sessions_.Add(std::move(tunnel));
    started.Start({}, {});
  }

  EdgeCounters counters_;
  WorkerPool pool_;
  std::unique_ptr<Loop> loop_;
  RateTable rates_;
  std::shared_ptr<LoopSite> site_;
  std::shared_ptr<Group> group_;
  SessionList sessions_;
  nghttp2_hd_inflater* inflater_ = nullptr;
  int upstream_listener_ = -1;
  std::thread thread_;
};

}  // namespace bridgehead::test
