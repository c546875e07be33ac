// Longest-prefix lookup of sources, against the obvious way to do it.
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "ctrl/proxy/route/source_list.h"

namespace bridgehead::proxy {
namespace {

using config::Address;
using config::Prefix;
using config::SourceAccess;

Address At(std::string_view text) {
  return *Address::Parse(text);
}

SourceAccess Access(std::initializer_list<std::string_view> allow,
                    std::initializer_list<std::string_view> deny) {
  SourceAccess access;
  for (const auto text : allow) access.allow.push_back(*Prefix::Parse(text));
  for (const auto text : deny) access.deny.push_back(*Prefix::Parse(text));
  return access;
}

TEST(ProxySourceList, EmptyListsAllow) {
  EXPECT_TRUE(SourceList().Allows(At("192.0.2.1")));
  EXPECT_TRUE(SourceList(SourceAccess{}).Allows(At("::1")));
  EXPECT_FALSE(SourceList::Only({}).Allows(At("192.0.2.1")));
}

TEST(ProxySourceList, TheLongestPrefixDecides) {
  const SourceList list(Access({"10.0.0.0/8", "10.1.2.3/32", "2001:db8::/32"},
                               {"10.1.0.0/16", "2001:db8:bad::/48", "10.0.0.0/32"}));
  EXPECT_TRUE(list.Allows(At("10.2.0.1")));
  EXPECT_FALSE(list.Allows(At("10.1.2.2")));
  EXPECT_TRUE(list.Allows(At("10.1.2.3")));
  EXPECT_FALSE(list.Allows(At("10.1.2.4")));
  EXPECT_TRUE(list.Allows(At("10.2.0.0")));
  EXPECT_FALSE(list.Allows(At("10.0.0.0")));
  EXPECT_TRUE(list.Allows(At("10.255.255.255")));
  EXPECT_FALSE(list.Allows(At("11.0.0.0")));
  EXPECT_TRUE(list.Allows(At("2001:db8::1")));
  EXPECT_FALSE(list.Allows(At("2001:db8:bad::1")));
  EXPECT_FALSE(list.Allows(At("::")));
}

TEST(ProxySourceList, OnlyDenied) {
  const SourceList list(Access({}, {"192.0.2.0/24"}));
  EXPECT_FALSE(list.Allows(At("192.0.2.255")));
  EXPECT_TRUE(list.Allows(At("192.0.3.0")));
  EXPECT_TRUE(list.Allows(At("2001:db8::1"))) << "the other family";
}

TEST(ProxySourceList, WholeFamiliesAndEnds) {
  const SourceList v4(Access({"0.0.0.0/0"}, {"255.255.255.255/32"}));
  EXPECT_TRUE(v4.Allows(At("0.0.0.0")));
  EXPECT_FALSE(v4.Allows(At("255.255.255.255")));
  EXPECT_FALSE(v4.Allows(At("::")));
  const SourceList both(Access({"10.0.0.0/8"}, {"10.0.0.0/8"}));
  EXPECT_FALSE(both.Allows(At("10.0.0.1"))) << "in both lists";
}

bool Naive(const SourceAccess& access, const Address& source) {
  int longest = -1;
  bool allowed = access.allow.empty();
  const auto look = [&](const std::vector<Prefix>& prefixes, bool verdict) {
    for (const Prefix& prefix : prefixes) {
      if (!prefix.Contains(source) || prefix.length < longest) continue;
      longest = prefix.length;
      allowed = verdict;
    }
  };
  look(access.allow, true);
  look(access.deny, false);
  return allowed;
}

TEST(ProxySourceList, AgreesWithLookingAtEachPrefix) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    // Few distinct bits, so that prefixes nest, touch and repeat.
    const bool v6 = round % 2 == 1;
    const auto address = [&] {
      std::string bytes(v6 ? 16 : 4, '\0');
      for (char& byte : bytes) {
        constexpr uint8_t kBytes[] = {0, 1, 0x7f, 0x80, 0xff, 0xff};
        byte = static_cast<char>(kBytes[random() % 6]);
      }
      return *Address::FromBytes(bytes);
    };
    SourceAccess access;
    for (size_t count = random() % 12; count > 0; --count) {
      auto& list = random() % 2 == 0 ? access.allow : access.deny;
      list.push_back({address(), static_cast<uint8_t>(random() % (v6 ? 129 : 33))});
    }
    const SourceList list(access);
    for (int i = 0; i < 50; ++i) {
      const Address source = address();
      ASSERT_EQ(list.Allows(source), Naive(access, source)) << source.text() << " round " << round;
    }
    for (const auto* prefixes : {&access.allow, &access.deny}) {
      for (const Prefix& prefix : *prefixes) {
        for (const Address& edge : {prefix.Network(), prefix.Last()}) {
          ASSERT_EQ(list.Allows(edge), Naive(access, edge)) << edge.text() << " round " << round;
        }
      }
    }
  }
}

}  // namespace
}  // namespace bridgehead::proxy
