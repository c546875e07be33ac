// A loop with its listeners on a thread of its own, and clients on the loopback.
#pragma once

#include <chrono>
#include <cstring>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/proxy/accept/listener_set.h"
#include "tests/support/client_hello.h"

namespace bridgehead::proxy {

using config::EdgeListener;
using config::PassRule;
using Protocol = PassRule::Protocol;

inline config::Prefix Net(const std::string& text) {
  return *config::Prefix::Parse(text);
}

// A client, blocking.
class Client {
 public:
  explicit Client(const SocketAddress& to, bool expected = true)
      : fd_(socket(to.get()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{10, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    connected_ = connect(fd_, to.get(), to.size()) == 0;
    EXPECT_EQ(connected_, expected) << strerror(errno);
  }
  Client(Client&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_) {}
  ~Client() { Close(); }

  void Send(const std::string& bytes) const {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), std::ssize(bytes));
  }
  void SendUrgent(char byte) const { EXPECT_EQ(send(fd_, &byte, 1, MSG_OOB), 1); }
  void SendByteByByte(const std::string& bytes) const {
    for (const char byte : bytes) Send({byte});
  }
  void End() const { shutdown(fd_, SHUT_WR); }
  void Reset() {
    const linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    Close();
  }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  // Whether the other side has closed.
  bool IsClosed() const {
    char byte;
    const ssize_t got = recv(fd_, &byte, 1, 0);
    return got == 0 || (got < 0 && errno != EAGAIN);
  }
  SocketAddress address() const { return LocalAddressOf(fd_); }

 private:
  int fd_;
  bool connected_ = false;
};

// One loop with its listeners on a thread; the test is its clients.
class ProxyAccept : public testing::Test, private ListenerSet::Taker {
 protected:
  struct Refused {
    SocketAddress client;
    AcceptRefusal refusal;
  };

  ProxyAccept() {
    listener_.name = "test";
    listener_.listen = {*config::Address::Parse("127.0.0.1"), {}};
    listener_.peek_timeout = std::chrono::seconds(30);
    loop_ = *Loop::Create();
    set_ = std::make_unique<ListenerSet>(*loop_, static_cast<ListenerSet::Taker&>(*this));
    thread_ = std::thread([this] { loop_->Run(); });
  }
  ~ProxyAccept() override {
    On([this] {
      taken_.clear();
      set_.reset();
    });
    loop_->Stop();
    thread_.join();
  }

  // On the loop's thread.
  template <typename Task>
  std::invoke_result_t<Task> On(Task task) {
    auto packaged = std::make_shared<std::packaged_task<std::invoke_result_t<Task>()>>(task);
    auto result = packaged->get_future();
    loop_->Post([packaged] { (*packaged)(); });
    return result.get();
  }
  template <typename Condition>
  void Until(Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!On(holds)) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  // listener_ as it is now; on a new address too when that has changed.
  void Apply(size_t listeners = 1) {
    auto edge = std::make_shared<config::Edge>();
    edge->listeners.assign(listeners, listener_);
    auto sockets = OpenListeningSockets(edge->listeners, On([&] { return set_->addresses(); }));
    ASSERT_TRUE(sockets.ok()) << sockets.status();
    for (const auto& [address, socket] : *sockets) at_ = LocalAddressOf(socket.fd());
    On([&] { set_->Apply(edge, *std::move(sockets)); });
  }
  Client Connect() { return Client(at_); }

  // The next connection that is handed on, and what it was decided to be.
  AcceptedConnection* Taken() {
    Until([this] { return taken_.size() > seen_; });
    return taken_.size() > seen_ ? taken_[seen_++].get() : nullptr;
  }
  std::string Upstream(const AcceptedConnection* connection) {
    if (connection == nullptr) return "nothing";
    return connection->rule == nullptr ? "" : connection->rule->upstream;
  }
  void ExpectRefused(AcceptRefusal refusal, const Client& client) {
    Until([this] { return refused_.size() > refusals_seen_; });
    ASSERT_GT(refused_.size(), refusals_seen_);
    EXPECT_EQ(kRefusalInfo[RefusalIndex(refused_[refusals_seen_].refusal)].label,
              kRefusalInfo[RefusalIndex(refusal)].label);
    ++refusals_seen_;
    EXPECT_TRUE(client.IsClosed());
    const auto state = On([&] { return set_->state(listener_.listen); });
    EXPECT_EQ(state->counters.refused(refusal), ++expected_[refusal]);
  }
  // All there is to read, at least `size` bytes.
  std::string ReadFrom(AcceptedConnection* connection, size_t size) {
    std::string bytes;
    Until([&] {
      uint8_t buffer[4096];
      const IoResult got = connection->stream->Read(buffer);
      if (got.io == Io::kOk) bytes.append(reinterpret_cast<char*>(buffer), got.bytes);
      return bytes.size() >= size;
    });
    return bytes;
  }
  void ExpectNothingIsLeft() {
    Until([this] { return set_->waiting() == 0; });
    EXPECT_EQ(On([this] { return refused_.size(); }), refusals_seen_);
    EXPECT_EQ(On([this] { return taken_.size(); }), seen_);
  }

  // Rules of S4: TURN by its name, others by what they are.
  void UseRules() {
    listener_.rules = {{Protocol::kAny, {"turn.example.org"}, {}, {}, "turn"},
                       {Protocol::kOther, {}, {}, {}, "other"},
                       {Protocol::kTls, {}, {"acme-tls/1"}, {}, "acme"}};
  }

  EdgeListener listener_;
  SocketAddress at_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<ListenerSet> set_;
  std::thread thread_;
  std::deque<std::unique_ptr<AcceptedConnection>> taken_;
  std::deque<Refused> refused_;
  Stream::Handler* next_handler_ = nullptr;  // of connections that are handed on

 private:
  void OnConnection(AcceptedConnection connection) override {
    connection.stream->SetHandler(next_handler_);
    taken_.push_back(std::make_unique<AcceptedConnection>(std::move(connection)));
  }
  void OnRefused(const EdgeListener& listener, const SocketAddress& client,
                 AcceptRefusal refusal) override {
    EXPECT_EQ(listener.name, "test");
    refused_.push_back({client, refusal});
  }

  size_t seen_ = 0, refusals_seen_ = 0;
  std::map<AcceptRefusal, uint64_t> expected_;
};

inline std::string Hello(const char* sni = "turn.example.org") {
  return test::OpensslHello(sni, test::Vector(1, "h2"), TLS1_2_VERSION, TLS1_3_VERSION);
}

}  // namespace bridgehead::proxy
