// Origins of upgrades, and where redirects lead.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ctrl/proxy/route/origin.h"
#include "ctrl/proxy/route/redirect.h"

namespace bridgehead::proxy {
namespace {

OriginList List(const std::vector<std::string>& origins) {
  auto list = OriginList::Build(origins);
  EXPECT_TRUE(list.ok()) << list.status();
  return *std::move(list);
}

bool Allows(const OriginList& list, std::vector<std::string_view> origins) {
  return list.Allows(origins);
}

TEST(ProxyOrigin, AnEmptyListAllowsAll) {
  EXPECT_TRUE(Allows(List({}), {}));
  EXPECT_TRUE(Allows(List({}), {"null"}));
}

TEST(ProxyOrigin, SchemeHostAndPortMustBeTheSame) {
  const OriginList list = List({"https://meet.example.org", "HTTPS://Other.Example.org:8443",
                                "http://[2001:db8::1]:80", "app://local"});
  EXPECT_TRUE(Allows(list, {"https://meet.example.org"}));
  EXPECT_TRUE(Allows(list, {"https://meet.example.org:443"}));
  EXPECT_TRUE(Allows(list, {"HTTPS://MEET.example.org"})) << "neither has a case";
  EXPECT_TRUE(Allows(list, {"https://other.example.org:8443"}));
  EXPECT_TRUE(Allows(list, {"http://[2001:DB8:0::1]"}));
  EXPECT_TRUE(Allows(list, {"app://local"}));
  for (const std::string_view origin : {"",
                                        "null",
                                        "NULL",
                                        "http://meet.example.org",
                                        "https://meet.example.org:80",
                                        "https://meet.example.org:8443",
                                        "https://other.example.org",
                                        "https://example.org",
                                        "https://a.meet.example.org",
                                        "https://meet.example.org.evil.example",
                                        "https://evil.example/https://meet.example.org",
                                        "https://meet.example.org/",
                                        "https://meet.example.org:",
                                        "https://meet.example.org https://evil.example",
                                        "https://meet.example.org@evil.example",
                                        "meet.example.org",
                                        "://meet.example.org",
                                        "https://",
                                        "https:/meet.example.org",
                                        " https://meet.example.org",
                                        "wss://[2001:db8::1]",
                                        "http://[2001:db8::1]:443"}) {
    EXPECT_FALSE(Allows(list, {origin})) << origin;
  }
  EXPECT_FALSE(Allows(list, {std::string(10'000, 'a') + "://meet.example.org"}));
}

TEST(ProxyOrigin, OneFieldOnly) {
  const OriginList list = List({"https://meet.example.org"});
  EXPECT_FALSE(Allows(list, {}));
  EXPECT_FALSE(Allows(list, {"https://meet.example.org", "https://meet.example.org"}));
}

TEST(ProxyOrigin, WhatIsNoneCanNotBeListed) {
  for (const char* origin : {"", "null", "*", "meet.example.org", "https://*.example.org",
                             "https://meet.example.org/", "https://meet.example.org:70000"}) {
    EXPECT_FALSE(OriginList::Build(std::vector<std::string>{origin}).ok()) << origin;
  }
}

TEST(ProxyRedirect, ToTheSameElsewhere) {
  const auto target = RedirectTarget::Build("https://$host$path$query");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->Make("meet.example.org", "/a%20b", ""), "https://meet.example.org/a%20b");
  EXPECT_EQ(target->Make("[::1]", "/", "x=1"), "https://[::1]/?x=1");
  EXPECT_EQ(RedirectTarget::Build("/ofmeet/")->Make("h", "/p", "q"), "/ofmeet/");
  EXPECT_FALSE(RedirectTarget::Build("https://$server").ok());
}

}  // namespace
}  // namespace bridgehead::proxy
