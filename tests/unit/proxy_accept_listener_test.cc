// Listeners: who is accepted, and what a new configuration changes.
#include <span>
#include <string>

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/proxy/net/socket_options.h"
#include "fmt/format.h"
#include "tests/unit/proxy_accept_scene.h"

namespace bridgehead::proxy {
namespace {

TEST_F(ProxyAccept, WithoutRulesNothingIsWaitedFor) {
  Apply();
  const Client client = Connect();
  AcceptedConnection* taken = Taken();
  ASSERT_NE(taken, nullptr);
  EXPECT_EQ(taken->rule, nullptr);
  EXPECT_EQ(taken->stream->peer(), client.address());
  EXPECT_EQ(taken->stream->local(), at_);
  int no_delay = 0;
  socklen_t size = sizeof(no_delay);
  EXPECT_EQ(getsockopt(taken->stream->fd(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
  EXPECT_NE(no_delay, 0);
  EXPECT_TRUE(taken->proxy.empty());
  client.Send("x");
  EXPECT_EQ(ReadFrom(taken, 1), "x");
  const auto state = On([&] { return set_->state(listener_.listen); });
  EXPECT_EQ(state->counters.accepted(), 1u);
  EXPECT_EQ(state->counters.open(), 1u);
  On([&] { taken_.clear(); });
  EXPECT_EQ(state->counters.open(), 0u);
}

TEST_F(ProxyAccept, PeersThatHaveVanishedAreFoundOut) {
  Apply();
  const Client client = Connect();
  AcceptedConnection* taken = Taken();
  ASSERT_NE(taken, nullptr);
  const auto option = [&](int level, int name) {
    int value = 0;
    socklen_t size = sizeof(value);
    EXPECT_EQ(getsockopt(taken->stream->fd(), level, name, &value, &size), 0);
    return value;
  };
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), kKeepaliveIdleSeconds);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), kKeepaliveIntervalSeconds);
  EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPCNT), kKeepaliveProbes);
}

TEST_F(ProxyAccept, AListenerThatGoesLeavesNoConfiguration) {
  Apply();
  const Client client = Connect();
  ASSERT_NE(Taken(), nullptr);
  const auto state = On([&] { return set_->state(listener_.listen); });
  Apply(0);
  EXPECT_EQ(On([&] { return state->config; }), nullptr);
  EXPECT_EQ(state->counters.open(), 1u);
}

TEST_F(ProxyAccept, UrgentBytesAreBytes) {
  Apply();
  const Client client = Connect();
  AcceptedConnection* taken = Taken();
  ASSERT_NE(taken, nullptr);
  client.Send("ab");
  client.SendUrgent('c');
  client.Send("de");
  EXPECT_EQ(ReadFrom(taken, 5), "abcde");
}

TEST_F(ProxyAccept, AccessAndLimitsOfAListener) {
  listener_.max_connections = 2;
  Apply();
  const Client first = Connect(), second = Connect();
  Taken();
  Taken();
  const Client third = Connect();
  ExpectRefused(AcceptRefusal::kMaxConnections, third);
  On([this] { taken_.front().reset(); });
  const Client fourth = Connect();
  EXPECT_NE(Taken(), nullptr);
  On([this] { taken_.clear(); });
}

TEST_F(ProxyAccept, ADeniedSource) {
  listener_.access.deny = {Net("127.0.0.0/8")};
  Apply();
  const Client client = Connect();
  ExpectRefused(AcceptRefusal::kAccessDenied, client);
}

TEST_F(ProxyAccept, ARateOfNewConnections) {
  listener_.new_connections_per_source = 1;
  Apply();
  const Client first = Connect();
  Taken();
  const Client second = Connect();
  ExpectRefused(AcceptRefusal::kSourceRate, second);
}

// Connections that say nothing take a place too.
TEST_F(ProxyAccept, TheSilentAreCounted) {
  UseRules();
  listener_.max_connections = 1;
  Apply();
  const Client silent = Connect();
  Until([this] { return set_->waiting() == 1; });
  const Client next = Connect();
  ExpectRefused(AcceptRefusal::kMaxConnections, next);
}

TEST_F(ProxyAccept, AReloadKeepsSocketsAndCutsNobody) {
  UseRules();
  Apply();
  const SocketAddress before = at_;
  const Client waiting = Connect();
  Until([this] { return set_->waiting() == 1; });
  listener_.rules = {{Protocol::kOther, {}, {}, {}, "new"}};
  listener_.fast_open = true;
  Apply();
  EXPECT_EQ(at_, before);
  EXPECT_EQ(On([this] { return set_->addresses().size(); }), 1u);
  waiting.Send("x");
  EXPECT_EQ(Upstream(Taken()), "other");  // it goes by what it came to
  const Client next = Connect();
  next.Send("x");
  EXPECT_EQ(Upstream(Taken()), "new");
  const Client last = Connect();
  Until([this] { return set_->waiting() == 1; });
  const auto state = On([&] { return set_->state(listener_.listen); });
  Apply(0);
  EXPECT_EQ(On([&] { return set_->state(listener_.listen); }), nullptr);
  const Client refused(before, false);
  last.Send("x");
  EXPECT_EQ(Upstream(Taken()), "new");
  EXPECT_EQ(state->counters.open(), 3u);
}

TEST_F(ProxyAccept, Ipv6AndTwoSocketsOnOneAddress) {
  auto first = ListeningSocket::Open({*config::Address::Parse("::1"), {}});
  if (!first.ok()) GTEST_SKIP() << "no IPv6 here: " << first.status();
  const uint16_t port = LocalAddressOf(first->fd()).port();
  listener_.listen = {*config::Address::Parse("::1"), {port, port}};
  Apply();
  int v6_only = 0;
  socklen_t size = sizeof(v6_only);
  getsockopt(first->fd(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, &size);
  EXPECT_EQ(v6_only, 1);
  first->SetFastOpen(true);
  int queue = 0;
  size = sizeof(queue);
  getsockopt(first->fd(), IPPROTO_TCP, TCP_FASTOPEN, &queue, &size);
  EXPECT_EQ(queue, ListeningSocket::kFastOpenQueue);
}

TEST_F(ProxyAccept, AnAddressInUseIsNamed) {
  const int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const SocketAddress loopback(listener_.listen.address, 0);
  ASSERT_EQ(bind(other, loopback.get(), loopback.size()), 0);
  const uint16_t port = LocalAddressOf(other).port();
  listener_.listen.ports = {port, port};
  const auto opened = OpenListeningSockets(std::span(&listener_, 1), {});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(
      std::string(opened.status().message()),
      fmt::format("edge: listener test: cannot bind 127.0.0.1:{}: Address already in use", port));
  close(other);
}

TEST_F(ProxyAccept, WithoutADescriptorItRestsAndGoesOn) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UBSan asks for memory through a pipe, and finds none valid without a descriptor";
#endif
  Apply();
  const Client client = Connect();
  Taken();
  const auto state = On([&] { return set_->state(listener_.listen); });
  // The client's end has the last descriptor that there may be.
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  Client next = On([&] {
    Client late = Connect();
    const int free = dup(0);
    close(free);
    const rlimit none{static_cast<rlim_t>(free), before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    return late;
  });
  Until([&] { return state->counters.pauses() > 0; });
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_NE(Taken(), nullptr);
  EXPECT_EQ(state->counters.accepted(), 2u);
}

}  // namespace
}  // namespace bridgehead::proxy
