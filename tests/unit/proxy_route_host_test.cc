// From a Host field to the host that serves it.
#include <string>

#include <gtest/gtest.h>

#include "ctrl/proxy/route/host_table.h"

namespace bridgehead::proxy {
namespace {

std::string Normal(std::string_view field) {
  HostBuffer buffer;
  const auto host = NormalizeHost(field, buffer);
  return host ? std::string(*host) : "refused";
}

TEST(ProxyHost, TheNormalForm) {
  EXPECT_EQ(Normal("meet.example.org"), "meet.example.org");
  EXPECT_EQ(Normal("MEET.Example.ORG"), "meet.example.org");
  EXPECT_EQ(Normal("meet.example.org:8443"), "meet.example.org");
  EXPECT_EQ(Normal("meet.example.org.:443"), "meet.example.org");
  EXPECT_EQ(Normal("meet.example.org:"), "meet.example.org");
  EXPECT_EQ(Normal("my_host"), "my_host");
  EXPECT_EQ(Normal("192.0.2.1:80"), "192.0.2.1");
  EXPECT_EQ(Normal("[2001:DB8:0:0::1]:443"), "[2001:db8::1]");
  EXPECT_EQ(Normal("[::]"), "[::]");
  EXPECT_EQ(Normal("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]"),
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]");
}

TEST(ProxyHost, WhatIsNoHostIsRefused) {
  for (const std::string_view field :
       {"",          ".",     "..",      ".example.org", "a..b",    "a..",     "a b",
        "a/b",       "a@b",   "a,b",     "*.a",          "a%2eb",   "a\tb",    "caf\xc3\xa9.org",
        ":80",       "a:b",   "a:99999", "a:065536",     "a:80:80", "a:-1",    "a: 80",
        "[",         "[]",    "[::1",    "::1",          "[::1]80", "[::1]:x", "[fe80::1%eth0]",
        "[1.2.3.4]", "[v1.a]"}) {
    EXPECT_EQ(Normal(field), "refused") << field;
  }
  EXPECT_EQ(Normal(std::string_view("a\0b", 3)), "refused");
  EXPECT_EQ(Normal(std::string_view("[::1\0]", 6)), "refused");
}

TEST(ProxyHost, LimitsAreExact) {
  const std::string label(63, 'a');
  EXPECT_EQ(Normal(label), label);
  EXPECT_EQ(Normal(label + "a"), "refused");
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'b');
  ASSERT_EQ(longest.size(), kMaxHostBytes);
  EXPECT_EQ(Normal(longest), longest);
  EXPECT_EQ(Normal(longest + ".:443"), longest);
  EXPECT_EQ(Normal(longest + "b"), "refused");
}

HostTable Table() {
  HostTable table;
  uint32_t host = 0;
  for (const std::string_view name :
       {"meet.example.org", "*.example.org", "*.eu.Example.org.", "[2001:db8:0::1]", "*.org"}) {
    EXPECT_TRUE(table.Add(name, host++).ok()) << name;
  }
  return table;
}

TEST(ProxyHost, ExactThenTheLongestWildcard) {
  const HostTable table = Table();
  EXPECT_EQ(table.Find("meet.example.org"), 0u);
  EXPECT_EQ(table.Find("www.example.org"), 1u);
  EXPECT_EQ(table.Find("a.b.c.d.example.org"), 1u);
  EXPECT_EQ(table.Find("x.meet.example.org"), 1u);
  EXPECT_EQ(table.Find("a.eu.example.org"), 2u);
  EXPECT_EQ(table.Find("b.a.eu.example.org"), 2u);
  EXPECT_EQ(table.Find("eu.example.org"), 1u) << "one label at least";
  EXPECT_EQ(table.Find("example.org"), 4u);
  EXPECT_EQ(table.Find("[2001:db8::1]"), 3u);
  EXPECT_EQ(table.Find("[2001:db8:0:0:0:0:0:1]"), 3u);
  EXPECT_EQ(table.Find("[2001:0db8::0.0.0.1]"), 3u);
  EXPECT_EQ(table.Find("org"), std::nullopt);
  EXPECT_EQ(table.Find("example.com"), std::nullopt);
  EXPECT_EQ(table.Find("badexample.com"), std::nullopt);
}

TEST(ProxyHost, AnyHostIsTheLastResort) {
  HostTable table = Table();
  ASSERT_TRUE(table.Add("*", 9).ok());
  EXPECT_EQ(table.Find("meet.example.org"), 0u);
  EXPECT_EQ(table.Find("org"), 9u);
  EXPECT_EQ(table.Find("192.0.2.1"), 9u);
}

TEST(ProxyHost, NamesThatAreNoneOrThereTwiceAreErrors) {
  HostTable table = Table();
  EXPECT_EQ(table.Add("MEET.example.org.", 7).message(),
            "host name MEET.example.org.: given twice");
  EXPECT_EQ(table.Add("*.EXAMPLE.org", 7).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(table.Add("*", 7).ok());
  EXPECT_EQ(table.Add("*", 8).code(), absl::StatusCode::kAlreadyExists);
  for (const std::string_view name :
       {"", "a:80", "[::1]:80", "*.[::1]", "*.", "a.*", "*a.org", "**", "*.*.org", "a b"}) {
    EXPECT_EQ(table.Add(name, 7).code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

}  // namespace
}  // namespace bridgehead::proxy
