// What becomes of connections by their first bytes.
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "ctrl/proxy/accept/proxy_header.h"
#include "tests/support/client_hello.h"
#include "tests/unit/proxy_accept_scene.h"

namespace bridgehead::proxy {
namespace {

using namespace std::chrono_literals;

TEST_F(ProxyAccept, ByNameAndTheHelloStays) {
  UseRules();
  Apply();
  const std::string hello = Hello("Turn.Example.org");
  const Client client = Connect();
  client.Send(hello);
  AcceptedConnection* taken = Taken();
  EXPECT_EQ(Upstream(taken), "turn");
  EXPECT_EQ(taken->sni, "turn.example.org");
  EXPECT_EQ(taken->tls, SpeaksTls::kYes);
  EXPECT_EQ(ReadFrom(taken, hello.size()), hello);
  const Client other = Connect();
  other.Send(Hello("meet.example.org"));
  taken = Taken();
  EXPECT_EQ(Upstream(taken), "");
  EXPECT_EQ(taken->sni, "meet.example.org");
}

TEST_F(ProxyAccept, HelloByteByByteAndInTinyRecords) {
  UseRules();
  Apply();
  test::HandMadeHello by_hand;
  by_hand.extensions = test::Sni("turn.example.org");
  for (const std::string& hello : {Hello(), test::Records(by_hand.Message(), 3)}) {
    const Client client = Connect();
    client.SendByteByByte(hello);
    AcceptedConnection* taken = Taken();
    EXPECT_EQ(Upstream(taken), "turn");
    EXPECT_EQ(taken->sni, "turn.example.org");
    EXPECT_EQ(ReadFrom(taken, hello.size()), hello);
    int low_water = 0;
    socklen_t size = sizeof(low_water);
    getsockopt(taken->stream->fd(), SOL_SOCKET, SO_RCVLOWAT, &low_water, &size);
    EXPECT_EQ(low_water, 1);
  }
}

TEST_F(ProxyAccept, TheNextHandlerIsCalledForTheFirstBytes) {
  UseRules();
  Apply();
  struct Counts final : Stream::Handler {
    void OnReady(Stream&) override { ++calls; }
    int calls = 0;
  } counts;
  next_handler_ = &counts;
  const Client client = Connect();
  Until([this] { return set_->waiting() == 1; });
  std::this_thread::sleep_for(20ms);  // the event of the new connection is not the one meant
  client.Send("GET / HTTP/1.1\r\n\r\n");
  AcceptedConnection* taken = Taken();
  EXPECT_EQ(Upstream(taken), "other");
  EXPECT_EQ(taken->tls, SpeaksTls::kNo);
  Until([&] { return counts.calls > 0; });
  On([&] { taken_.clear(); });
}

TEST_F(ProxyAccept, SilenceIsNotTlsAndHalfAHelloIsNothing) {
  UseRules();
  listener_.peek_timeout = 1s;
  Apply();
  const Client silent = Connect();
  EXPECT_EQ(Upstream(Taken()), "other");
  const Client half = Connect();
  half.Send(Hello().substr(0, 100));
  ExpectRefused(AcceptRefusal::kPeekTimeout, half);
  ExpectNothingIsLeft();
}

TEST_F(ProxyAccept, AnEarlyEnd) {
  UseRules();
  Apply();
  const std::string hello = Hello();
  for (const size_t size : {size_t{0}, size_t{1}, size_t{5}, size_t{6}, hello.size() - 1}) {
    const Client client = Connect();
    client.Send(hello.substr(0, size));
    client.End();
    ExpectRefused(AcceptRefusal::kClosedEarly, client);
  }
  // After the bytes have been looked at.
  const Client late = Connect();
  late.Send(hello.substr(0, 50));
  Until([this] { return set_->waiting() == 1; });
  late.End();
  ExpectRefused(AcceptRefusal::kClosedEarly, late);
  Client reset = Connect();
  reset.Send(hello.substr(0, 50));
  Until([this] { return set_->waiting() == 1; });
  reset.Reset();
  Until([this] { return refused_.size() == 7; });
  EXPECT_EQ(refused_.back().refusal, AcceptRefusal::kClosedEarly);
}

TEST_F(ProxyAccept, AnEndBehindAWholeRequestIsNone) {
  UseRules();
  Apply();
  const Client client = Connect();
  client.Send("stats\n");
  client.End();
  AcceptedConnection* taken = Taken();
  EXPECT_EQ(Upstream(taken), "other");
  EXPECT_EQ(ReadFrom(taken, 6), "stats\n");
}

TEST_F(ProxyAccept, HellosThatNobodyShouldBelieve) {
  UseRules();
  Apply();
  test::HandMadeHello twice;
  twice.extensions = test::Sni("turn.example.org") + test::Sni("meet.example.org");
  const Client liar = Connect();
  liar.Send(test::Records(twice.Message()));
  ExpectRefused(AcceptRefusal::kHelloMalformed, liar);
  test::HandMadeHello big;
  big.extensions = test::Extension(21, std::string(kMaxClientHelloBytes, '\0'));
  const Client long_winded = Connect();
  long_winded.Send(test::Records(big.Message()).substr(0, 12));
  ExpectRefused(AcceptRefusal::kHelloTooLong, long_winded);
}

// A rule that asks for TLS alone decides the same, however much has come.
TEST_F(ProxyAccept, AnEarlyDecisionDoesNotDependOnSegments) {
  listener_.rules = {{Protocol::kTls, {}, {}, {}, "tls"}};
  Apply();
  test::HandMadeHello bad;
  bad.ciphers.clear();
  const std::string bytes = test::Records(bad.Message());
  for (const size_t size : {size_t{6}, bytes.size()}) {
    const Client client = Connect();
    client.Send(bytes.substr(0, size));
    EXPECT_EQ(Upstream(Taken()), "tls");
  }
}

class ProxyAcceptProxied : public ProxyAccept {
 protected:
  ProxyAcceptProxied() {
    UseRules();
    listener_.accept_proxy_from = {Net("127.0.0.0/8")};
  }
  std::string Header(ProxyVersion version) {
    const WrittenProxyHeader header(version, client_, destination_);
    return {header.bytes().begin(), header.bytes().end()};
  }
  const SocketAddress client_{*config::Address::Parse("2001:db8::7"), 4711};
  const SocketAddress destination_{*config::Address::Parse("2001:db8::1"), 443};
};

TEST_F(ProxyAcceptProxied, HeaderAndHelloInSegmentsOfAllKinds) {
  Apply();
  const std::string hello = Hello();
  for (const ProxyVersion version : {ProxyVersion::k1, ProxyVersion::k2}) {
    const std::string header = Header(version), all = header + hello;
    const size_t end = header.size();
    for (const size_t cut :
         {all.size(), size_t{1}, size_t{13}, size_t{20}, end - 1, end, end + 1, end + 100}) {
      const Client proxy = Connect();
      proxy.Send(all.substr(0, cut));
      if (cut < all.size()) {
        Until([this] { return set_->waiting() == 1; });
        proxy.Send(all.substr(cut));
      }
      AcceptedConnection* taken = Taken();
      EXPECT_EQ(Upstream(taken), "turn");
      EXPECT_EQ(taken->stream->peer(), client_);
      EXPECT_EQ(taken->stream->local(), destination_);
      EXPECT_EQ(taken->proxy, proxy.address());
      EXPECT_EQ(ReadFrom(taken, hello.size()), hello);
    }
    const Client slow = Connect();
    slow.SendByteByByte(all);
    AcceptedConnection* taken = Taken();
    EXPECT_EQ(Upstream(taken), "turn");
    EXPECT_EQ(ReadFrom(taken, hello.size()), hello);
  }
}

TEST_F(ProxyAcceptProxied, ALongHeaderIsTakenToItsLastByte) {
  Apply();
  std::string header = Header(ProxyVersion::k2);
  const std::string padding = std::string{'\x04'} + test::Vector(2, std::string(3000, 'p'));
  header =
      header.substr(0, 14) + test::Number(2, 36 + padding.size()) + header.substr(16) + padding;
  const Client proxy = Connect();
  proxy.SendByteByByte(header);
  proxy.Send("early");
  AcceptedConnection* taken = Taken();
  EXPECT_EQ(Upstream(taken), "other");
  EXPECT_EQ(taken->stream->peer(), client_);
  EXPECT_EQ(ReadFrom(taken, 5), "early");
}

TEST_F(ProxyAcceptProxied, LocalKeepsTheAddresses) {
  Apply();
  const Client proxy = Connect();
  const WrittenProxyHeader header(ProxyVersion::k2, {}, {});
  proxy.Send({header.bytes().begin(), header.bytes().end()});
  proxy.Send("x");
  AcceptedConnection* taken = Taken();
  EXPECT_EQ(taken->stream->peer(), proxy.address());
  EXPECT_EQ(taken->stream->local(), at_);
}

TEST_F(ProxyAcceptProxied, WhatIsNoHeader) {
  Apply();
  const std::pair<std::string, AcceptRefusal> cases[] = {
      {"GET / HTTP/1.1\r\n\r\n", AcceptRefusal::kProxyMissing},
      {Hello(), AcceptRefusal::kProxyMissing},
      {"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", AcceptRefusal::kProxyMalformed},
      {Header(ProxyVersion::k2) + Header(ProxyVersion::k2), AcceptRefusal::kProxyUnlisted}};
  for (const auto& [bytes, refusal] : cases) {
    const Client client = Connect();
    client.Send(bytes);
    ExpectRefused(refusal, client);
  }
  const Client partial = Connect();
  partial.Send("PROXY TCP4");
  partial.End();
  ExpectRefused(AcceptRefusal::kClosedEarly, partial);
  const Client only = Connect();
  only.Send(Header(ProxyVersion::k1));
  only.End();
  ExpectRefused(AcceptRefusal::kClosedEarly, only);
}

TEST_F(ProxyAcceptProxied, AHeaderHasToComeInTimeAndThenSilenceIsNotTls) {
  listener_.peek_timeout = 1s;
  Apply();
  const Client silent = Connect();
  const Client partial = Connect();
  partial.Send("PROXY TCP4");
  const Client quiet = Connect();
  quiet.Send(Header(ProxyVersion::k2));
  AcceptedConnection* taken = Taken();
  EXPECT_EQ(Upstream(taken), "other");
  EXPECT_EQ(taken->stream->peer(), client_);
  Until([this] { return refused_.size() == 2; });
  EXPECT_TRUE(silent.IsClosed());
  EXPECT_TRUE(partial.IsClosed());
  const auto state = On([&] { return set_->state(listener_.listen); });
  EXPECT_EQ(state->counters.refused(AcceptRefusal::kPeekTimeout), 2u);
}

TEST_F(ProxyAcceptProxied, TheClientIsWhoMustBeAllowed) {
  listener_.access.deny = {Net("2001:db8::/32")};
  Apply();
  const Client denied = Connect();
  denied.Send(Header(ProxyVersion::k1));
  ExpectRefused(AcceptRefusal::kAccessDenied, denied);
  EXPECT_EQ(refused_.back().client, client_);
}

TEST_F(ProxyAcceptProxied, TheClientIsWhoHasALimit) {
  listener_.connections_per_source = 1;
  Apply();
  const Client first = Connect();
  first.Send(Header(ProxyVersion::k1) + "x");
  EXPECT_NE(Taken(), nullptr);
  const Client second = Connect();
  second.Send(Header(ProxyVersion::k2) + "x");
  ExpectRefused(AcceptRefusal::kSourceConnections, second);
  On([this] { taken_.front().reset(); });
  const Client third = Connect();
  third.Send(Header(ProxyVersion::k2) + "x");
  EXPECT_NE(Taken(), nullptr);
}

TEST_F(ProxyAcceptProxied, OthersMayNotSendOne) {
  listener_.accept_proxy_from = {Net("192.0.2.0/24")};
  Apply();
  for (const ProxyVersion version : {ProxyVersion::k1, ProxyVersion::k2}) {
    const Client spoofer = Connect();
    spoofer.SendByteByByte(Header(version).substr(0, version == ProxyVersion::k1 ? 6 : 12));
    ExpectRefused(AcceptRefusal::kProxyUnlisted, spoofer);
  }
  const Client client = Connect();
  client.Send("PROXIES are another thing");
  EXPECT_EQ(Upstream(Taken()), "other");
}

// Also where no rule would look.
TEST_F(ProxyAcceptProxied, OthersMayNotSendOneWithoutRules) {
  listener_.accept_proxy_from = {Net("192.0.2.0/24")};
  listener_.rules.clear();
  listener_.peek_timeout = 1s;
  Apply();
  const Client spoofer = Connect();
  spoofer.Send(Header(ProxyVersion::k1));
  ExpectRefused(AcceptRefusal::kProxyUnlisted, spoofer);
  const Client client = Connect();
  client.Send("x");
  EXPECT_EQ(Upstream(Taken()), "");
  const Client silent = Connect();
  EXPECT_EQ(Upstream(Taken()), "");
  const Client half = Connect();
  half.Send("PROX");
  ExpectRefused(AcceptRefusal::kPeekTimeout, half);
}

}  // namespace
}  // namespace bridgehead::proxy
