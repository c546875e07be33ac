// Addresses of both families as text, and the rules for several bridges behind one listener and for
// listeners, bridges and NAT addresses of different families.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/config/config.h"

namespace bridgehead::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Address At(const std::string& text) {
  const auto address = Address::Parse(text);
  EXPECT_TRUE(address.has_value()) << text;
  return address.value_or(Address());
}

TEST(Address, CanonicalText) {
  struct Form {
    const char* text;
    const char* canonical;  // RFC 5952 section 4
  };
  for (const Form& form : std::vector<Form>{
           {"192.0.2.10", "192.0.2.10"},
           {"2001:DB8::10", "2001:db8::10"},
           {"2001:0db8:0000:0000:0000:0000:0000:0010", "2001:db8::10"},
           {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
           {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
           {"64:ff9b::192.0.2.10", "64:ff9b::c000:20a"},
           {"::", "::"},
           {"::ffff:c000:20a", "::ffff:192.0.2.10"},
       }) {
    const auto address = Address::Parse(form.text);
    ASSERT_TRUE(address.has_value()) << form.text;
    EXPECT_EQ(address->text(), form.canonical);
    EXPECT_EQ(address->bytes().size(), address->is_v4() ? 4u : 16u);
    EXPECT_EQ(Address::FromBytes(address->bytes()), address);
  }
  EXPECT_EQ(Address().text(), "");
  EXPECT_EQ(Address::FromBytes("12345"), std::nullopt);
}

TEST(Address, NothingElseIsOne) {
  for (const std::string& text : std::vector<std::string>{"",
                                                          ":",
                                                          ":::",
                                                          "1",
                                                          "10.0.0",
                                                          "10.0.0.1.",
                                                          "10.0.0.01",
                                                          "10.0.0.256",
                                                          " 10.0.0.1",
                                                          "2001:db8",
                                                          "2001:db8::1::",
                                                          "2001:db8::12345",
                                                          "1:2:3:4:5:6:7:8:9",
                                                          "2001:db8::g",
                                                          "2001:db8::1 ",
                                                          "[2001:db8::1]",
                                                          "fe80::1%eth0",
                                                          "fe80::1%2",
                                                          "2001:db8::1/64",
                                                          "::10.0.0.01",
                                                          "::10.0.0.256",
                                                          std::string("::1\0", 4),
                                                          std::string(1000, ':')}) {
    EXPECT_EQ(Address::Parse(text), std::nullopt) << text;
  }
}

TEST(Address, Classes) {
  const std::vector<const char*> hosts = {"10.0.0.1",       "169.254.0.1", "223.255.255.255",
                                          "2001:db8::10",   "fd00::1",     "fec0::1",
                                          "64:ff9b::a00:1", "::1:0:0:0:1", "fe00::1",
                                          "::fffe:0:0",     "::1:0:0",     "2002:a00:1::1"};
  for (const char* host : hosts) EXPECT_EQ(At(host).NotAHost(), std::nullopt) << host;
  struct Other {
    const char* text;
    const char* why;
  };
  for (const Other& other : std::vector<Other>{
           {"0.0.0.0", "the unspecified"},
           {"::", "the unspecified"},
           {"127.0.0.1", "a loopback"},
           {"::1", "the loopback"},
           {"224.0.0.1", "a multicast"},
           {"ff02::1", "a multicast"},
           {"240.0.0.1", "a reserved"},
           {"255.255.255.255", "the broadcast"},
           {"0.0.0.1", "an address of"},
           {"fe80::1", "a link-local"},
           {"febf::1", "a link-local"},
           {"::10.0.0.1", "an IPv4-compatible"},
           {"::2", "an IPv4-compatible"},
           {"::ffff:10.0.0.1", "an IPv4-mapped"},
       }) {
    EXPECT_THAT(At(other.text).NotAHost().value_or(""), StartsWith(other.why)) << other.text;
  }
  EXPECT_TRUE(At("::1").IsLoopback() && At("127.9.9.9").IsLoopback());
  EXPECT_FALSE(At("::2").IsLoopback() || At("::101").IsLoopback() || Address().IsLoopback());
  EXPECT_TRUE(At("::").IsUnspecified() && At("0.0.0.0").IsUnspecified());
  EXPECT_FALSE(At("::1").IsUnspecified() || Address().IsUnspecified());
  EXPECT_TRUE(At("ff02::1").IsMulticast() && At("239.0.0.1").IsMulticast());
  EXPECT_FALSE(At("fe80::1").IsMulticast() || Address().IsMulticast());
}

TEST(Prefix, Networks) {
  const auto prefix = Prefix::Parse("2001:db8:5:6:7::8/52");
  ASSERT_TRUE(prefix.has_value());
  EXPECT_EQ(prefix->text(), "2001:db8:5:6:7::8/52");
  EXPECT_EQ(prefix->Network(), At("2001:db8:5::"));
  EXPECT_EQ(prefix->Last(), At("2001:db8:5:fff:ffff:ffff:ffff:ffff"));
  EXPECT_TRUE(prefix->Contains(At("2001:db8:5:fff::")));
  EXPECT_FALSE(prefix->Contains(At("2001:db8:5:1000::")));
  EXPECT_TRUE(Prefix::Parse("::/0")->Contains(At("2001:db8::")));
  EXPECT_FALSE(Prefix::Parse("::/0")->Contains(At("10.0.0.1")));
  EXPECT_FALSE(Prefix::Parse("0.0.0.0/0")->Contains(At("2001:db8::")));
  EXPECT_TRUE(Prefix::Parse("2001:db8::1/128")->Contains(At("2001:db8::1")));
  EXPECT_EQ(Prefix::Parse("10.1.2.3/20")->Network(), At("10.1.0.0"));
  EXPECT_EQ(Prefix::Parse("10.1.2.3/20")->Last(), At("10.1.15.255"));
  for (const char* text : {"2001:db8::/129", "10.0.0.0/33", "2001:db8::", "2001:db8::/", "::/00"}) {
    EXPECT_EQ(Prefix::Parse(text), std::nullopt) << text;
  }
}

TEST(Endpoint, Ipv6StandsInBrackets) {
  for (const char* text :
       {"[2001:db8::10]:10000", "[2001:db8::10]:10000-10050", "192.0.2.10:443"}) {
    const auto endpoint = Endpoint::Parse(text);
    ASSERT_TRUE(endpoint.has_value()) << text;
    EXPECT_EQ(endpoint->text(), text);
  }
  EXPECT_EQ(Endpoint::Parse("[2001:DB8:0::10]:443")->text(), "[2001:db8::10]:443");
  for (const char* text :
       {"2001:db8::10:10000", "[2001:db8::10]", "[2001:db8::10]10000", "[192.0.2.10]:443", "[]:443",
        "[2001:db8::10]:0", "[2001:db8::10]:70000", "2001:db8::10]:443", "[2001:db8::10:443",
        ":443", "[fe80::1%eth0]:443", "[[2001:db8::10]]:443"}) {
    EXPECT_EQ(Endpoint::Parse(text), std::nullopt) << text;
  }
}

// ------------------------------------------------------------------------------------ whole files

// Good. Cases change one piece of it.
constexpr char kCluster[] = R"(dataplane:
  workers: [1]
  nat_addresses: [10.8.0.2, fd00:8::2]
  ports:
    - {name: wan, device: eth0}
    - name: lan
      vdev: net_memif0
      mtu: 1500
      addresses: [fd00:8::1/64, 10.8.0.1/24]
      routes:
        - {to: ::/0, via: fd00:8::fe}
        - {to: 10.9.0.0/16, via: 10.8.0.254}
      neighbours:
        - {address: fd00:8::fe, mac: "02:00:00:00:00:01"}
bridges:
  - {name: jvb1, address: 10.8.0.11, ufrag_prefix: jvb1/}
  - {name: jvb12, address: 10.8.0.12, ufrag_prefix: jvb12/}
  - {name: six, address: fd00:8::11, ufrag_prefix: six/}
  - {name: four, address: 10.8.0.14}
media:
  - {name: v4, listen: "198.51.100.10:10000", nat: source, bridges: [jvb1, jvb12]}
  - {name: v6, listen: "[2001:db8::10]:10000", nat: source, bridges: [six, jvb1, jvb12]}
  - {name: direct, listen: "[2001:db8::11]:10000-10001", nat: destination, bridges: [six]}
  - {name: old, listen: "198.51.100.11:10000", nat: destination, bridges: [four]}
)";

std::string Changed(const std::string& from, const std::string& to) {
  std::string text = kCluster;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

TEST(ConfigFamilies, TheClusterIsGood) {
  const CheckResult result = CheckText(kCluster, "t.yaml");
  for (const Finding& error : result.errors) ADD_FAILURE() << error.WithCaret();
  for (const Finding& warning : result.warnings) ADD_FAILURE() << warning.WithCaret();
  EXPECT_THAT(result.config.media[1].bridges, ElementsAre("six", "jvb1", "jvb12"));
}

struct Case {
  const char* from;  // this text of kCluster
  const char* to;    // ... becomes this
  const char* path;  // of the only error
  const char* message;
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      // Several bridges.
      {"bridges: [jvb1, jvb12]}", "bridges: [jvb1, four]}", "media[0].bridges[1]",
       "got \"four\", which has no ufrag_prefix, expected one for each of several bridges: "
       "nothing else in a client's first packet says which bridge it is for"},
      {"bridges: [jvb1, jvb12]}", "bridges: [jvb12, jvb1, jvb12]}", "media[0].bridges[2]",
       "got \"jvb12\" a second time, expected each bridge once"},
      {"bridges: [jvb1, jvb12]}", "bridges: [jvb1, jvb2]}", "media[0].bridges[1]",
       "got \"jvb2\", expected the name of a bridge: jvb1, jvb12, six, four"},
      {"nat: destination, bridges: [four]", "nat: source, bridges: [four, jvb1]",
       "media[3].bridges[0]", "got \"four\", which has no ufrag_prefix"},
      // Families.
      {"bridges: [jvb1, jvb12]}", "bridges: [jvb1, six]}", "media[0].bridges[1]",
       "got \"six\" at fd00:8::11, expected a bridge with an IPv4 address: only IPv6 listeners "
       "lead to bridges of both families"},
      {"nat: destination, bridges: [six]", "nat: destination, bridges: [jvb1]",
       "media[2].bridges[0]",
       "got \"jvb1\" at 10.8.0.11, expected a bridge with an IPv6 address: nat: destination "
       "keeps the client's"},
      {"nat: destination, bridges: [four]", "nat: destination, bridges: [six]",
       "media[3].bridges[0]",
       "got \"six\" at fd00:8::11, expected a bridge with an IPv4 address: nat: destination "
       "keeps the client's"},
      {"[10.8.0.2, fd00:8::2]", "[10.8.0.2]", "media[1].bridges[0]",
       "got \"six\" at fd00:8::11, expected an IPv6 address in dataplane.nat_addresses for "
       "nat: source towards it"},
      // Listeners that could not be told apart.
      {"[2001:db8::11]:10000-10001", "[2001:db8:0::10]:10000-10001", "media[2].listen",
       "got [2001:db8::10]:10000-10001, expected ports that media[1] ([2001:db8::10]:10000)"},
      {"nat: source, bridges: [six, jvb1, jvb12]", "nat: destination, bridges: [six]",
       "media[2].bridge_port",
       "got [fd00:8::11]:10000-10001, expected ports at the bridge that media[1] (10000) does "
       "not lead to"},
      {"10.8.0.14", "198.51.100.10", "bridges[3].address",
       "got 198.51.100.10, which is in media[0].listen too"},
      {"fd00:8::11,", "fd00:8::1,", "bridges[2].address",
       "got fd00:8::1, which is in dataplane.ports[1].addresses too"},
      {"fd00:8::11,", "fd00:8:0::2,", "bridges[2].address",
       "got fd00:8::2, which is in dataplane.nat_addresses too"},
      // Addresses.
      {"fd00:8::11,", "::ffff:10.8.0.16,", "bridges[2].address",
       "got ::ffff:10.8.0.16, an IPv4-mapped address: write it as IPv4, 10.8.0.16, expected "
       "the address of a host"},
      {"fd00:8::11,", "fe80::11,", "bridges[2].address", "got fe80::11, a link-local address"},
      {"fd00:8::11,", "fe80::11%eth0,", "bridges[2].address", "got \"fe80::11%eth0\", expected"},
      {"\"[2001:db8::11]:10000-10001\"", "2001:db8::11:10000", "media[2].listen",
       "got \"2001:db8::11:10000\", expected a host's address and port or first-last, such as "
       "192.0.2.10:10000-10050 or \"[2001:db8::10]:10000\" (in quotes)"},
      {"[2001:db8::11]:10000-10001", "[ff0e::11]:10000", "media[2].listen",
       "got [ff0e::11]:10000, a multicast address (ff00::/8)"},
      {"[10.8.0.2, fd00:8::2]", "[10.8.0.2, fd00:8::2, fd00:8:0::2]", "dataplane.nat_addresses[2]",
       "got fd00:8::2 a second time"},
      {"[2001:db8::10]:10000", "[fd00:8::2]:20000", "media[1].listen",
       "got [fd00:8::2]:20000, expected ports outside dataplane.nat_ports"},
      // Static routing.
      {"fd00:8::1/64", "fd00:8::/64", "dataplane.ports[1].addresses[0]",
       "got fd00:8::/64, expected a host's address in a network"},
      {"fd00:8::1/64", "fe80::1/64", "dataplane.ports[1].addresses[0]", "got fe80::1/64"},
      {"fd00:8::1/64", "fd00:8::1/129", "dataplane.ports[1].addresses[0]", "got \"fd00:8::1/129\""},
      {"mtu: 1500", "mtu: 1279", "dataplane.ports[1].mtu",
       "got 1279 on a port with an IPv6 address, expected at least 1280"},
      {"to: ::/0, via: fd00:8::fe", "to: fd00:9::1/64, via: fd00:8::fe",
       "dataplane.ports[1].routes[0].to", "got fd00:9::1/64, expected fd00:9::/64"},
      {"to: ::/0", "to: ::ffff:0.0.0.0/96", "dataplane.ports[1].routes[0].to",
       "got ::ffff:0.0.0.0/96, an IPv4-mapped address"},
      {"to: ::/0, via: fd00:8::fe", "to: ::/0, via: 10.8.0.254", "dataplane.ports[1].routes[0].via",
       "got 10.8.0.254 for ::/0, expected a gateway with an IPv6 address"},
      {"via: 10.8.0.254", "via: fd00:8::fe", "dataplane.ports[1].routes[1].via",
       "got fd00:8::fe for 10.9.0.0/16, expected a gateway with an IPv4 address"},
      {"via: fd00:8::fe", "via: fd00:9::fe", "dataplane.ports[1].routes[0].via",
       "got fd00:9::fe, expected an address in one of the networks"},
      {"via: fd00:8::fe", "via: fd00:8::1", "dataplane.ports[1].routes[0].via",
       "got fd00:8::1, the port's own address"},
      {"address: fd00:8::fe", "address: fd00:9::fe", "dataplane.ports[1].neighbours[0].address",
       "got fd00:9::fe, expected an address in one of the networks"},
  };
  return cases;
}

TEST(ConfigFamilies, EachMistakeHasOneMessage) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(std::string(c.from) + " -> " + c.to);
    const CheckResult result = CheckText(Changed(c.from, c.to), "t.yaml");
    ASSERT_EQ(result.errors.size(), 1u) << (result.ok() ? "" : result.errors.back().Line());
    EXPECT_EQ(result.errors[0].key, c.path);
    EXPECT_THAT(result.errors[0].message, StartsWith(c.message));
  }
}

// ... in both listeners that have the two bridges.
TEST(ConfigFamilies, AmbiguousBridgesAreNamedInEachListener) {
  const auto messages = [](const std::string& from, const std::string& to) {
    std::vector<std::string> lines;
    for (const Finding& error : CheckText(Changed(from, to), "t.yaml").errors) {
      lines.push_back(error.key + ": " + error.message);
    }
    return lines;
  };
  EXPECT_THAT(
      messages("ufrag_prefix: jvb1/}\n  - {name: jvb12, address: 10.8.0.12, ufrag_prefix: jvb12/",
               "ufrag_prefix: jvb1}\n  - {name: jvb12, address: 10.8.0.12, ufrag_prefix: jvb12"),
      ElementsAre(
          "media[0].bridges[1]: got \"jvb12\", whose ufrag_prefix \"jvb12\" begins with the "
          "\"jvb1\" of \"jvb1\", expected prefixes of which none begins with another: a "
          "Jitsi bridge goes on with digits 0-9a-v, so that a ufrag may be of either; "
          "jvb1/ and jvb12/ would do",
          StartsWith("media[1].bridges[2]: got \"jvb12\", whose ufrag_prefix")));
  // No ending helps where one prefix is the other with that ending.
  const auto ended = messages("ufrag_prefix: jvb12/", "ufrag_prefix: jvb1/2");
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_THAT(ended[0], HasSubstr("\"jvb1/2\" begins with the \"jvb1/\" of \"jvb1\""));
  EXPECT_THAT(
      messages("ufrag_prefix: jvb12/", "ufrag_prefix: jvb1/"),
      ElementsAre("media[0].bridges[1]: got \"jvb12\", whose ufrag_prefix \"jvb1/\" is that "
                  "of \"jvb1\" too, expected another one for each bridge",
                  StartsWith("media[1].bridges[2]: ")));
  EXPECT_THAT(messages("10.8.0.12, ufrag", "10.8.0.11, ufrag"),
              ElementsAre("media[0].bridges[1]: got \"jvb12\", which has the address 10.8.0.11 of "
                          "\"jvb1\", expected bridges at different addresses",
                          StartsWith("media[1].bridges[2]: ")));
}

// Every prefix inside another one is named, whatever stands between them.
TEST(ConfigFamilies, NestedPrefixes) {
  const CheckResult result = CheckText(R"(dataplane:
  workers: [1]
  nat_addresses: [10.8.0.2]
  ports: [{name: wan, device: eth0}]
bridges:
  - {name: b0, address: 10.8.0.10, ufrag_prefix: ac}
  - {name: b1, address: 10.8.0.11, ufrag_prefix: abb}
  - {name: b2, address: 10.8.0.12, ufrag_prefix: a}
  - {name: b3, address: 10.8.0.13, ufrag_prefix: ab}
  - {name: b4, address: 10.8.0.14, ufrag_prefix: b}
media: [{name: m, listen: "198.51.100.10:10000", nat: source, bridges: [b0, b1, b2, b3, b4]}]
)",
                                       "t.yaml");
  std::vector<std::string> messages;
  for (const Finding& error : result.errors) messages.push_back(error.message);
  EXPECT_THAT(messages, ElementsAre(HasSubstr("\"ac\" begins with the \"a\" of \"b2\""),
                                    HasSubstr("\"abb\" begins with the \"ab\" of \"b3\""),
                                    HasSubstr("\"ab\" begins with the \"a\" of \"b2\"")));
}

// A bridge alone may have a prefix or none, and share prefix and address with another listener's.
TEST(ConfigFamilies, PrefixesCountWithinOneListener) {
  EXPECT_TRUE(
      CheckText(Changed("fd00:8::11, ufrag_prefix: six/", "fd00:8::11, ufrag_prefix: zz"), "t.yaml")
          .ok());
  EXPECT_TRUE(
      CheckText(Changed("address: 10.8.0.14", "address: 10.8.0.14, ufrag_prefix: jvb1"), "t.yaml")
          .ok());
  EXPECT_TRUE(CheckText(Changed("10.8.0.14", "10.8.0.11"), "t.yaml").ok());
}

}  // namespace
}  // namespace bridgehead::config
