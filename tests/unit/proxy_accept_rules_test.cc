// Rules and limits for connections, without a connection.
#include <chrono>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/proxy/accept/pass_rules.h"
#include "ctrl/proxy/accept/refusal.h"
#include "ctrl/proxy/accept/source_limits.h"

namespace bridgehead::proxy {
namespace {

using namespace std::chrono_literals;
using config::PassRule;
using Protocol = PassRule::Protocol;

config::Address At(const std::string& text) {
  return *config::Address::Parse(text);
}

config::Prefix Net(const std::string& text) {
  return *config::Prefix::Parse(text);
}

TEST(ProxyPassRules, WildcardsStandForOneLabel) {
  EXPECT_TRUE(NameMatches("a.example.org", "a.example.org"));
  EXPECT_TRUE(NameMatches("A.Example.org", "a.example.org"));
  EXPECT_FALSE(NameMatches("example.org", "a.example.org"));
  EXPECT_TRUE(NameMatches("*.example.org", "a.example.org"));
  EXPECT_TRUE(NameMatches("*.Example.ORG", "a.example.org"));
  EXPECT_FALSE(NameMatches("*.example.org", "example.org"));
  EXPECT_FALSE(NameMatches("*.example.org", "a.b.example.org"));
  EXPECT_FALSE(NameMatches("*.example.org", ".example.org"));
  EXPECT_FALSE(NameMatches("*.example.org", ""));
  EXPECT_FALSE(NameMatches("*.org", "org"));
}

// The number of the rule that matches; -1: none; -2: not known yet.
int Decide(const std::vector<PassRule>& rules, SpeaksTls tls, const ClientHello* hello = nullptr,
           const std::string& source = "192.0.2.1") {
  const PassDecision decision = DecidePass(rules, {At(source), tls, hello});
  if (!decision.known) return -2;
  return decision.rule == nullptr ? -1 : static_cast<int>(decision.rule - rules.data());
}

PassRule Rule(Protocol protocol, std::vector<std::string> sni = {},
              std::vector<std::string> alpn = {}, std::vector<config::Prefix> sources = {}) {
  return {protocol, std::move(sni), std::move(alpn), std::move(sources), "upstream"};
}

ClientHello Hello(const std::string& sni) {
  static constexpr uint8_t kNames[] = {2, 'h', '2', 3, 'f', 'o', 'o'};
  ClientHello hello;
  hello.sni = sni;
  hello.alpn = AlpnList(kNames);
  return hello;
}

TEST(ProxyPassRules, NothingIsLookedAtThatNoRuleAsksFor) {
  EXPECT_EQ(Decide({}, SpeaksTls::kUnknown), -1);
  const std::vector<PassRule> by_source = {Rule(Protocol::kAny, {}, {}, {Net("198.51.100.0/24")}),
                                           Rule(Protocol::kAny, {}, {}, {Net("192.0.2.0/24")})};
  EXPECT_EQ(Decide(by_source, SpeaksTls::kUnknown), 1);
  EXPECT_EQ(Decide(by_source, SpeaksTls::kUnknown, nullptr, "203.0.113.1"), -1);
  // Only for the one source the name has to be known.
  const std::vector<PassRule> mixed = {
      Rule(Protocol::kAny, {"a.example.org"}, {}, {Net("192.0.2.1/32")}), Rule(Protocol::kAny)};
  EXPECT_EQ(Decide(mixed, SpeaksTls::kUnknown), -2);
  EXPECT_EQ(Decide(mixed, SpeaksTls::kUnknown, nullptr, "192.0.2.2"), 1);
}

TEST(ProxyPassRules, TheProtocolIsKnownBeforeTheName) {
  const std::vector<PassRule> rules = {Rule(Protocol::kOther), Rule(Protocol::kAny, {"*.org"})};
  EXPECT_EQ(Decide(rules, SpeaksTls::kUnknown), -2);
  EXPECT_EQ(Decide(rules, SpeaksTls::kNo), 0);
  EXPECT_EQ(Decide(rules, SpeaksTls::kYes), -2);
  const ClientHello org = Hello("a.org"), net = Hello("a.net");
  EXPECT_EQ(Decide(rules, SpeaksTls::kYes, &org), 1);
  EXPECT_EQ(Decide(rules, SpeaksTls::kYes, &net), -1);
  EXPECT_EQ(Decide({Rule(Protocol::kTls)}, SpeaksTls::kYes), 0);
  EXPECT_EQ(Decide({Rule(Protocol::kTls)}, SpeaksTls::kNo), -1);
}

TEST(ProxyPassRules, AllThatIsSetMustMatch) {
  const ClientHello hello = Hello("turn.example.org"), none = Hello("");
  const auto matches = [](const PassRule& rule, const ClientHello& of) {
    return Decide({rule}, SpeaksTls::kYes, &of) == 0;
  };
  EXPECT_TRUE(matches(Rule(Protocol::kAny, {"x.org", "turn.example.org"}), hello));
  EXPECT_TRUE(matches(Rule(Protocol::kTls, {"*.example.org"}, {"x", "foo"}), hello));
  EXPECT_FALSE(matches(Rule(Protocol::kTls, {"*.example.org"}, {"fo"}), hello));
  EXPECT_FALSE(matches(Rule(Protocol::kTls, {"x.org"}, {"h2"}), hello));
  EXPECT_FALSE(matches(Rule(Protocol::kAny, {"turn.example.org"}), none));
  EXPECT_TRUE(matches(Rule(Protocol::kAny, {}, {"h2"}), none));
  EXPECT_FALSE(matches(Rule(Protocol::kTls, {}, {}, {Net("198.51.100.0/24")}), hello));
  // A name is one of TLS.
  EXPECT_EQ(Decide({Rule(Protocol::kOther, {"turn.example.org"})}, SpeaksTls::kUnknown), -1);
  EXPECT_EQ(Decide({Rule(Protocol::kAny, {"turn.example.org"})}, SpeaksTls::kNo), -1);
}

class ProxySourceLimits : public testing::Test {
 protected:
  AcceptRefusal Admit(const std::string& source) {
    const auto admission = limits.Admit(At(source), now);
    last = admission.slot;
    return admission.refusal;
  }
  SourceLimits limits;
  SourceLimits::Clock::time_point now{1h};
  uint32_t last = 0;
};

TEST_F(ProxySourceLimits, WithoutALimitNothingIsCounted) {
  limits.Set({0, 0, 10});
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  EXPECT_EQ(last, SourceLimits::kNoSlot);
  EXPECT_TRUE(limits.Busiest(10).empty());
}

TEST_F(ProxySourceLimits, ConnectionsOfASource) {
  limits.Set({2, 0, 10});
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  const uint32_t first = last;
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kSourceConnections);
  EXPECT_EQ(last, SourceLimits::kNoSlot);
  EXPECT_EQ(Admit("192.0.2.2"), AcceptRefusal::kNone);
  limits.Release(first);
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kSourceConnections);
}

TEST_F(ProxySourceLimits, AnIpv6SourceIsItsSlash64) {
  limits.Set({1, 0, 10});
  EXPECT_EQ(Admit("2001:db8::1"), AcceptRefusal::kNone);
  EXPECT_EQ(Admit("2001:db8::ffff:0:0:1"), AcceptRefusal::kSourceConnections);
  EXPECT_EQ(Admit("2001:db8:0:1::1"), AcceptRefusal::kNone);
  // 192.0.2.1 is not the network whose first half is the same number.
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  EXPECT_EQ(Admit("0:0:c000:201::"), AcceptRefusal::kNone);
}

TEST_F(ProxySourceLimits, NewConnectionsInASecond) {
  limits.Set({0, 4, 100});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kSourceRate);
  EXPECT_EQ(Admit("192.0.2.2"), AcceptRefusal::kNone);
  now += 249ms;
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kSourceRate);
  now += 1ms;
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kSourceRate);
  now += 1h;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kSourceRate);
}

// However many sources there are: those with connections are not forgotten, and there is room.
TEST_F(ProxySourceLimits, TheTableIsFixedAndKeepsWhatIsInUse) {
  constexpr uint32_t kConnections = 100;
  limits.Set({1, 0, kConnections});
  std::set<uint32_t> slots;
  for (uint32_t i = 0; i < kConnections; ++i) {
    const auto admission = limits.Admit(config::Address::V4(0x0a000000 + i), now);
    ASSERT_EQ(admission.refusal, AcceptRefusal::kNone);
    slots.insert(admission.slot);
  }
  EXPECT_EQ(slots.size(), kConnections);
  for (uint32_t i = 0; i < 3 * SourceLimits::kIdleEntries; ++i) {
    const auto passing = limits.Admit(config::Address::V4(0x0b000000 + i), now);
    ASSERT_EQ(passing.refusal, AcceptRefusal::kNone);
    ASSERT_FALSE(slots.contains(passing.slot));
    limits.Release(passing.slot);
  }
  for (uint32_t i = 0; i < kConnections; ++i) {
    ASSERT_EQ(limits.Admit(config::Address::V4(0x0a000000 + i), now).refusal,
              AcceptRefusal::kSourceConnections);
  }
  for (const uint32_t slot : slots) limits.Release(slot);
  EXPECT_EQ(limits.Admit(config::Address::V4(0x0a000000), now).refusal, AcceptRefusal::kNone);
}

TEST_F(ProxySourceLimits, AnIdleSourceIsForgottenOldestFirst) {
  limits.Set({0, 1, 0});
  for (const char* source : {"192.0.2.1", "192.0.2.2"}) {
    EXPECT_EQ(Admit(source), AcceptRefusal::kNone);
    limits.Release(last);
  }
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kSourceRate);  // now the newest
  for (uint32_t i = 0; i < SourceLimits::kIdleEntries - 1; ++i) {
    const auto passing = limits.Admit(config::Address::V4(0x0b000000 + i), now);
    ASSERT_EQ(passing.refusal, AcceptRefusal::kNone);
    limits.Release(passing.slot);
  }
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kSourceRate);
  EXPECT_EQ(Admit("192.0.2.2"), AcceptRefusal::kNone);
}

TEST_F(ProxySourceLimits, NewLimitsKeepWhatIsKnown) {
  limits.Set({1, 0, 10});
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  const uint32_t first = last;
  limits.Set({2, 0, 100000});
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kSourceConnections);
  limits.Set({0, 0, 10});
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  limits.Release(first);
  limits.Set({2, 0, 10});
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kNone);
  EXPECT_EQ(Admit("192.0.2.1"), AcceptRefusal::kSourceConnections);
}

TEST_F(ProxySourceLimits, TheBusiestSources) {
  limits.Set({2, 0, 100});
  for (int i = 0; i < 3; ++i) Admit("192.0.2.1");
  for (int i = 0; i < 2; ++i) Admit("2001:db8::5");
  Admit("192.0.2.9");
  const auto busiest = limits.Busiest(2);
  ASSERT_EQ(busiest.size(), 2u);
  EXPECT_EQ(busiest[0].source.text(), "192.0.2.1/32");
  EXPECT_EQ(busiest[0].connections, 2u);
  EXPECT_EQ(busiest[0].refused, 1u);
  EXPECT_EQ(busiest[1].source.text(), "2001:db8::/64");
  EXPECT_EQ(busiest[1].refused, 0u);
  EXPECT_EQ(limits.Busiest(100).size(), 3u);
}

TEST(ProxyRefusal, LabelsAreMetricsLabels) {
  std::set<std::string_view> labels;
  for (const RefusalInfo& info : kRefusalInfo) {
    EXPECT_EQ(info.label.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos);
    EXPECT_FALSE(info.text.empty());
    EXPECT_TRUE(labels.insert(info.label).second) << info.label;
  }
}

}  // namespace
}  // namespace bridgehead::proxy
