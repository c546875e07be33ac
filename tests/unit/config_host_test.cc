// A configuration against the machine, and as the message to the relay.
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include "ctrl/config/config.h"
#include "ctrl/config/host.h"
#include "ctrl/config/listen.h"
#include "ctrl/config/to_snapshot.h"
#include "relay/session/shard.h"

namespace bridgehead::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kText[] = R"(dataplane:
  workers: [1, 2]
  nat_addresses: [10.8.0.2]
  ports:
    - {name: wan, device: eth0}
    - name: lan
      vdev: net_memif0
      addresses: [10.8.0.1/24]
      routes: [{to: 10.9.0.0/16, via: 10.8.0.254}]
      neighbours: [{address: 10.8.0.254, mac: "02:00:00:00:00:01"}]
bridges: [{name: jvb1, address: 10.8.0.11}]
media:
  - {name: meet, listen: "198.51.100.10:10000", nat: source, bridges: [jvb1]}
  - {name: far, listen: "198.51.100.11:40000-40001", nat: destination, bridges: [jvb1], bridge_port: 9000}
)";

// A machine made of files.
class HostTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    sources_.local_port_range = folder_ + "/range";
    sources_.local_reserved_ports = folder_ + "/reserved";
    sources_.meminfo = folder_ + "/meminfo";
    sources_.kernel_addresses = [this] { return kernel_; };
    Write("32768\t60999\n", "\n");
    std::ofstream(sources_.meminfo) << "MemTotal:        8000000 kB\nMemFree: 1 kB\n";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void Write(const std::string& range, const std::string& reserved) {
    std::ofstream(sources_.local_port_range) << range;
    std::ofstream(sources_.local_reserved_ports) << reserved;
  }
  static Address At(const char* text) { return *Address::Parse(text); }

  std::string folder_ = testing::TempDir() + "config_host_XXXXXX";
  Config config_ = *ParseConfig(kText, "t.yaml");
  std::vector<Address> kernel_;
  HostSources sources_;
};

TEST_F(HostTest, PortsOnForeignAddressesAreFree) {
  kernel_ = {At("127.0.0.1"), At("10.8.0.3")};
  const HostFindings findings = CheckHost(config_, sources_);
  EXPECT_TRUE(findings.ok());
  EXPECT_TRUE(findings.warnings.empty());
}

TEST_F(HostTest, AConflictNamesItsRemedy) {
  kernel_ = {At("10.8.0.2")};
  Write("32768\t60999\n", "8080,9148\n");
  const HostFindings findings = CheckHost(config_, sources_);
  ASSERT_EQ(findings.errors.size(), 1u);
  EXPECT_EQ(
      findings.errors[0].Line(),
      "t.yaml:1:1: dataplane.nat_ports: got 20000-59999, which the kernel may use for its own "
      "sockets on 10.8.0.2 (net.ipv4.ip_local_port_range 32768-60999), expected reserved "
      "ports: sysctl -w net.ipv4.ip_local_reserved_ports=8080,9148,20000-59999 (and, to "
      "keep it over a reboot, in /etc/sysctl.d/90-bridgehead.conf)");
}

TEST_F(HostTest, OneRemedyServesAllConflicts) {
  kernel_ = {At("10.8.0.2"), At("198.51.100.10"), At("198.51.100.11")};
  Write("1024\t65535\n", "9000-19999\n");
  const HostFindings findings = CheckHost(config_, sources_);
  // 10000 is reserved already.
  ASSERT_EQ(findings.errors.size(), 2u);
  EXPECT_EQ(findings.errors[1].key, "media[1].listen");
  for (const Finding& error : findings.errors) {
    EXPECT_THAT(error.message, HasSubstr("ip_local_reserved_ports=9000-59999 "));
  }
}

TEST_F(HostTest, ReservedPortsAreNoConflict) {
  kernel_ = {At("10.8.0.2"), At("198.51.100.11")};
  // Only what lies in the ephemeral range counts; pieces that touch count as one.
  Write("32768\t60999\n", "32768-40000,40001-59999\n");
  EXPECT_TRUE(CheckHost(config_, sources_).ok());
  Write("32768\t60999\n", "32768-59998\n");
  EXPECT_FALSE(CheckHost(config_, sources_).ok());
  Write("60000\t60999\n", "");
  EXPECT_TRUE(CheckHost(config_, sources_).ok());
}

TEST_F(HostTest, Ipv6SocketsTakeTheSamePorts) {
  std::string text = kText;
  text.replace(text.find("198.51.100.11:40000"), 19, "[2001:db8::11]:40000");
  text.replace(text.find("nat: destination"), 16, "nat: source");
  config_ = *ParseConfig(text, "t.yaml");
  kernel_ = {At("2001:db8::11")};
  const HostFindings findings = CheckHost(config_, sources_);
  ASSERT_EQ(findings.errors.size(), 1u);
  EXPECT_EQ(findings.errors[0].key, "media[1].listen");
  EXPECT_THAT(findings.errors[0].message, HasSubstr("got 40000-40001, which the kernel may use for "
                                                    "its own sockets on 2001:db8::11"));
  Write("32768\t60999\n", "40000-40001\n");
  EXPECT_TRUE(CheckHost(config_, sources_).ok());
}

TEST_F(HostTest, TheKernelsAddressesAreOfBothFamilies) {
  std::string text = kText;
  text.replace(text.find("198.51.100.11"), 13, "[2001:db8::11]");
  text.replace(text.find("nat: destination"), 16, "nat: source");
  config_ = *ParseConfig(text, "t.yaml");
  // On the loopback interface of a network namespace of a thread's own, so that it goes with it.
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to make a network namespace";
  HostFindings findings;
  sources_.kernel_addresses = nullptr;
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    ASSERT_EQ(system("ip address add 2001:db8::11/128 dev lo"), 0);  // NOLINT(cert-env33-c)
    findings = CheckHost(config_, sources_);
  }).join();
  ASSERT_EQ(findings.errors.size(), 1u);
  EXPECT_EQ(findings.errors[0].key, "media[1].listen");
}

TEST_F(HostTest, WhatCanNotBeReadIsAWarning) {
  kernel_ = {At("10.8.0.2")};
  for (const char* range : {"", "many", "5 4", "0 99999"}) {
    Write(range, "");
    const HostFindings findings = CheckHost(config_, sources_);
    EXPECT_TRUE(findings.ok());
    ASSERT_EQ(findings.warnings.size(), 1u) << range;
    EXPECT_THAT(findings.warnings[0].message, HasSubstr("can not understand"));
  }
  sources_.local_port_range = folder_ + "/none";
  EXPECT_EQ(CheckHost(config_, sources_).warnings.size(), 1u);
}

// What `check` prints before there is a relay to ask.
TEST(MemoryOfSessions, IsEstimatedAsTheRelayTakesIt) {
  Config config;
  config.dataplane.nat_addresses = {*Address::Parse("10.8.0.2")};
  config.dataplane.nat_ports = {20000, 59999};
  auto counters = CounterSegment::CreatePrivate(2);
  for (const uint32_t sessions : {1024u, 65536u, 300'000u, 1'000'000u}) {
    for (const size_t workers : {1u, 2u}) {
      config.dataplane.max_sessions = sessions;
      config.dataplane.workers.assign(workers, 0);
      ShardConfig shard;
      shard.workers = workers;
      shard.max_sessions = sessions;
      shard.nat_addresses = {NatAddress{}};
      double taken = 0;
      for (size_t w = 0; w < workers; ++w) {
        shard.worker = w;
        taken += static_cast<double>(SessionShard(shard, counters->worker(w)).bytes());
      }
      const MemoryEstimate estimate = EstimateMemory(config);
      EXPECT_NEAR(static_cast<double>(estimate.sessions + estimate.nat_ports) / taken, 1, 0.1)
          << sessions << " sessions, " << workers << " workers, " << taken;
    }
  }
}

TEST_F(HostTest, TooMuchMemoryIsAWarning) {
  EXPECT_EQ(EstimateMemory(config_).sessions, 2u * (65536 * 168 + (9u << 20)));
  std::ofstream(sources_.meminfo) << "MemTotal:        80000 kB\n";
  const HostFindings findings = CheckHost(config_, sources_);
  EXPECT_TRUE(findings.ok());
  ASSERT_EQ(findings.warnings.size(), 1u);
  EXPECT_EQ(findings.warnings[0].key, "dataplane.max_sessions");
}

TEST_F(HostTest, MemoryIsWhatTheRelayAsksDpdkFor) {
  MemoryEstimate estimate = EstimateMemory(config_);
  EXPECT_EQ(estimate.packet_buffers, 32768u * 2368);
  EXPECT_EQ(estimate.dpdk(), (74u + 64) << 20);
  // The largest that AF_XDP carries takes a page for each packet.
  EXPECT_EQ(EstimateMemory(config_, 3500).packet_buffers, 32768u * 4096);
  config_.dataplane.ports.erase(config_.dataplane.ports.begin());
  config_.dataplane.ports[0].mtu = 9000;
  EXPECT_EQ(EstimateMemory(config_).packet_buffers, 32768u * 147 * 64);
}

// A machine that fits, as far as bridgehead-relay is concerned, and what makes it unfit.
class HostForRelayTest : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    sources_.online_cores = folder_ + "/online";
    std::ofstream(sources_.online_cores) << "0-2,5\n";
    sources_.hugepages = folder_ + "/hugepages";
    sources_.interfaces = [this] { return interfaces_; };
    sources_.try_to_listen = [this](const Endpoint&) { return listen_error_; };
    kernel_ = {At("10.8.0.2"), At("198.51.100.10"), At("198.51.100.11")};
  }
  void MakeHugepages(int all, int free) {
    const std::string size = sources_.hugepages + "/hugepages-2048kB";
    std::filesystem::create_directories(size);
    std::ofstream(size + "/nr_hugepages") << all << "\n";
    std::ofstream(size + "/free_hugepages") << free << "\n";
  }
  HostFindings Check() {
    HostFindings findings;
    CheckHostForRelay(config_, sources_, findings);
    return findings;
  }
  // The only error's key and message.
  std::string Error() {
    const HostFindings findings = Check();
    EXPECT_TRUE(findings.warnings.empty());
    EXPECT_EQ(findings.errors.size(), 1u);
    return findings.ok() ? "" : findings.errors[0].key + ": " + findings.errors[0].message;
  }
  std::string Warning() {
    const HostFindings findings = Check();
    EXPECT_TRUE(findings.ok());
    EXPECT_EQ(findings.warnings.size(), 1u);
    return findings.warnings.empty()
               ? ""
               : findings.warnings[0].key + ": " + findings.warnings[0].message;
  }

  std::vector<HostInterface> interfaces_ = {
      {"lo", true, true, 65536}, {"eth0", false, true, 1500}, {"eth1", false, true, 1500}};
  int listen_error_ = 0;
};

TEST_F(HostForRelayTest, AMachineThatFits) {
  const HostFindings findings = Check();
  EXPECT_TRUE(findings.ok());
  EXPECT_TRUE(findings.warnings.empty());
}

TEST_F(HostForRelayTest, InterfacesAreThereAndFit) {
  config_.dataplane.ports[0].device = "eth9";
  EXPECT_EQ(Error(),
            "dataplane.ports[0].device: got \"eth9\", expected an interface of this machine: eth0, "
            "eth1");
  config_.dataplane.ports[0].device = "lo";
  EXPECT_THAT(Error(), HasSubstr("the loopback interface"));
  config_.dataplane.ports[0].device = "eth0";
  interfaces_[1].mtu = 3500;
  EXPECT_TRUE(Check().ok());
  interfaces_[1].mtu = 3501;
  EXPECT_THAT(Error(), HasSubstr("got \"eth0\", which has an MTU of 3501, expected at most 3500"));
  interfaces_[1] = {"eth0", false, false, 1500};
  EXPECT_THAT(Error(), HasSubstr("which is down, expected it up: ip link set dev eth0 up"));
}

TEST_F(HostForRelayTest, CoresAreThere) {
  config_.dataplane.workers = {5, 3};
  EXPECT_EQ(Error(), "dataplane.workers[1]: got core 3, expected one that this machine has: 0-2,5");
  for (const char* text : {"0-", "x", "1 2"}) {
    std::ofstream(sources_.online_cores) << text;
    EXPECT_THAT(Warning(), HasSubstr("can not understand"));
  }
}

TEST_F(HostForRelayTest, RequiredHugepagesAreThere) {
  config_.dataplane.hugepages = Hugepages::kRequire;
  EXPECT_EQ(Error(),
            "dataplane.hugepages: got require, and 0 MiB of free hugepages, expected 138 MiB: "
            "sysctl -w vm.nr_hugepages=69");
  MakeHugepages(69, 69);
  EXPECT_TRUE(Check().ok());
  EXPECT_TRUE(Check().warnings.empty());
  MakeHugepages(69, 10);
  EXPECT_THAT(Warning(), HasSubstr("20 MiB of free hugepages of 138 MiB, expected 138 MiB free"));
  MakeHugepages(68, 68);
  EXPECT_THAT(Error(), HasSubstr("136 MiB"));
  config_.dataplane.hugepages = Hugepages::kAuto;
  EXPECT_TRUE(Check().ok());
}

TEST_F(HostForRelayTest, AddressesAreOnAnInterface) {
  kernel_.erase(kernel_.begin());
  EXPECT_THAT(Warning(), HasSubstr("dataplane.nat_addresses[0]: got 10.8.0.2, which no interface"));
  kernel_ = {At("10.8.0.2"), At("198.51.100.10")};
  EXPECT_THAT(Warning(), HasSubstr("media[1].listen: got 198.51.100.11, which no interface"));
}

TEST_F(HostForRelayTest, AddressesOfBothFamiliesAreOnAnInterface) {
  config_.media[0].listen = *Endpoint::Parse("[2001:db8::10]:10000");
  EXPECT_THAT(Warning(), HasSubstr("nobody answers neighbour solicitations for it; expected it on "
                                   "one (ip address add 2001:db8::10/128 dev ...)"));
  kernel_.push_back(At("2001:db8::10"));
  EXPECT_TRUE(Check().warnings.empty());
}

TEST_F(HostForRelayTest, AdminAddressIsTriedInBothFamilies) {
  sources_.try_to_listen = nullptr;
  for (const char* text : {"127.0.0.1:1", "[::1]:1"}) {
    config_.admin.listen = Endpoint::Parse(text);
    uint16_t port = 20000;
    int fd = -1;
    while (fd < 0 && port < 20100) {
      ++port;
      config_.admin.listen->ports = {port, port};
      fd = ListenOn(*config_.admin.listen);
    }
    ASSERT_GE(fd, 0) << text;
    EXPECT_THAT(Warning(), HasSubstr("where a program listens already")) << text;
    close(fd);
    EXPECT_TRUE(Check().warnings.empty()) << text;
  }
  config_.admin.listen = Endpoint::Parse("[2001:db8:ffff::77]:9100");
  EXPECT_THAT(Error(), HasSubstr("expected an address that an interface of this machine has"));
}

TEST_F(HostForRelayTest, AdminAddressIsFree) {
  listen_error_ = EADDRINUSE;
  EXPECT_EQ(Warning(),
            "admin.listen: got 127.0.0.1:9100, where a program listens already, expected it to be "
            "the running bridgehead-ctrl");
  listen_error_ = EADDRNOTAVAIL;
  EXPECT_THAT(Error(), HasSubstr("expected an address that an interface of this machine has"));
  config_.admin.listen.reset();
  EXPECT_TRUE(Check().ok());
}

TEST(ConfigSnapshot, SaysEverything) {
  const api::Snapshot snapshot = ToSnapshot(*ParseConfig(kText, "t.yaml"), 7);
  EXPECT_EQ(snapshot.id(), 7u);
  const api::Dataplane& dataplane = snapshot.dataplane();
  EXPECT_THAT(dataplane.workers(), ElementsAre(1, 2));
  EXPECT_EQ(dataplane.max_sessions(), 65536u);
  EXPECT_EQ(dataplane.packet_buffers(), 32768u);
  EXPECT_EQ(dataplane.hugepages(), api::Dataplane::HUGEPAGES_AUTO);
  EXPECT_EQ(dataplane.idle(), api::Dataplane::IDLE_POLL);
  ASSERT_EQ(dataplane.ports_size(), 2);
  EXPECT_EQ(dataplane.ports(0).name(), "wan");
  EXPECT_EQ(dataplane.ports(0).device(), "eth0");
  EXPECT_EQ(dataplane.ports(0).mtu(), 0u);
  EXPECT_EQ(dataplane.ports(0).rx_descriptors(), 2048u);
  EXPECT_EQ(dataplane.ports(0).tx_descriptors(), 2048u);
  EXPECT_FALSE(dataplane.ports(0).verify_udp_checksum());
  EXPECT_EQ(dataplane.ports(0).partial_checksums(), api::Port::PARTIAL_AUTO);
  EXPECT_EQ(dataplane.ports(1).vdev(), "net_memif0");
  EXPECT_EQ(dataplane.ports(1).mtu(), 1500u);
  EXPECT_THAT(snapshot.nat().addresses(), ElementsAre(std::string("\x0a\x08\x00\x02", 4)));
  EXPECT_EQ(snapshot.nat().ports().first(), 20000u);
  EXPECT_EQ(snapshot.nat().ports().last(), 59999u);
  EXPECT_EQ(snapshot.timeouts().idle_seconds(), 300u);
  EXPECT_EQ(snapshot.timeouts().unconfirmed_seconds(), 10u);
  EXPECT_EQ(snapshot.timeouts().quarantine_seconds(), 120u);
  EXPECT_EQ(snapshot.limits().sessions_per_source(), 1024u);
  EXPECT_EQ(snapshot.limits().unconfirmed(), 4096u);
  EXPECT_EQ(snapshot.limits().hold_packets(), 64u);
  EXPECT_EQ(snapshot.limits().new_sessions(), 1000u);
  EXPECT_EQ(snapshot.limits().new_sessions_per_prefix(), 500u);
  EXPECT_EQ(snapshot.limits().logged_refusals(), 3u);
  EXPECT_EQ(snapshot.limits().stun_requests_per_source(), 10000u);
  ASSERT_EQ(snapshot.bridges_size(), 1);
  EXPECT_EQ(snapshot.bridges(0).name(), "jvb1");
  EXPECT_EQ(snapshot.bridges(0).address(), std::string("\x0a\x08\x00\x0b", 4));
  ASSERT_EQ(snapshot.media_size(), 2);
  EXPECT_EQ(snapshot.media(0).nat(), api::MediaListener::NAT_SOURCE);
  EXPECT_EQ(snapshot.media(0).bridge_first_port(), 10000u);
  EXPECT_EQ(snapshot.media(1).name(), "far");
  EXPECT_EQ(snapshot.media(1).address(), std::string("\xc6\x33\x64\x0b", 4));
  EXPECT_EQ(snapshot.media(1).ports().first(), 40000u);
  EXPECT_EQ(snapshot.media(1).ports().last(), 40001u);
  EXPECT_EQ(snapshot.media(1).nat(), api::MediaListener::NAT_DESTINATION);
  EXPECT_THAT(snapshot.media(1).bridges(), ElementsAre("jvb1"));
  EXPECT_EQ(snapshot.media(1).bridge_first_port(), 9000u);
}

TEST(ConfigSnapshot, BothFamiliesAndSeveralBridges) {
  const Config config = *ParseConfig(R"(dataplane:
  workers: [1]
  nat_addresses: [10.8.0.2, fd00:8::2]
  ports:
    - name: lan
      vdev: net_memif0
      addresses: [fd00:8::1/64]
      routes: [{to: ::/0, via: fd00:8::fe}]
      neighbours: [{address: fd00:8::fe, mac: "02:00:00:00:00:01"}]
bridges:
  - {name: jvb1, address: 10.8.0.11, ufrag_prefix: jvb1/}
  - {name: jvb2, address: fd00:8::12, ufrag_prefix: jvb2/}
media: [{name: meet, listen: "[2001:db8::10]:10000", nat: source, bridges: [jvb2, jvb1]}]
)",
                                     "t.yaml");
  const api::Snapshot snapshot = ToSnapshot(config, 1);
  const auto bytes = [](const char* text) { return Address::Parse(text)->bytes(); };
  ASSERT_EQ(bytes("fd00:8::2").size(), 16u);
  EXPECT_THAT(snapshot.nat().addresses(), ElementsAre(bytes("10.8.0.2"), bytes("fd00:8::2")));
  EXPECT_EQ(snapshot.bridges(0).ufrag_prefix(), "jvb1/");
  EXPECT_EQ(snapshot.bridges(1).address(), bytes("fd00:8::12"));
  EXPECT_EQ(snapshot.media(0).address(), bytes("2001:db8::10"));
  EXPECT_THAT(snapshot.media(0).bridges(), ElementsAre("jvb2", "jvb1"));
  const api::Routing& routing = snapshot.routing();
  EXPECT_THAT(routing.interfaces(0).addresses(), ElementsAre(bytes("fd00:8::1")));
  ASSERT_EQ(routing.routes_size(), 2);
  EXPECT_EQ(routing.routes(0).prefix(), bytes("fd00:8::"));
  EXPECT_EQ(routing.routes(0).prefix_length(), 64u);
  EXPECT_EQ(routing.routes(1).prefix(), bytes("::"));
  EXPECT_EQ(routing.routes(1).prefix_length(), 0u);
  EXPECT_EQ(routing.routes(1).gateway(), bytes("fd00:8::fe"));
  EXPECT_EQ(routing.neighbours(0).address(), bytes("fd00:8::fe"));
}

// As the file writes them.
std::vector<std::string> Texts(const google::protobuf::RepeatedPtrField<api::Prefix>& prefixes) {
  std::vector<std::string> texts;
  for (const api::Prefix& prefix : prefixes) {
    texts.push_back(Prefix{Address::FromBytes(prefix.address()).value_or(Address()),
                           static_cast<uint8_t>(prefix.length())}
                        .text());
  }
  return texts;
}

TEST(ConfigSnapshot, AdmissionOfAListener) {
  std::string text = kText;
  text += "limits: {new_sessions: 0, new_sessions_per_prefix: 7, stun_requests_per_source: 8}\n";
  text.replace(text.find("nat: source,"), 12,
               "nat: source, new_sessions: 9, allow: [192.0.2.0/24, \"::/0\"], "
               "deny: [\"2001:db8:6::/48\"],");
  const api::Snapshot snapshot = ToSnapshot(*ParseConfig(text, "t.yaml"), 1);
  EXPECT_EQ(snapshot.limits().new_sessions(), 0u);
  EXPECT_EQ(snapshot.limits().new_sessions_per_prefix(), 7u);
  EXPECT_EQ(snapshot.limits().stun_requests_per_source(), 8u);
  EXPECT_EQ(snapshot.media(0).new_sessions(), 9u);
  EXPECT_THAT(Texts(snapshot.media(0).allow()), ElementsAre("192.0.2.0/24", "::/0"));
  EXPECT_THAT(Texts(snapshot.media(0).deny()), ElementsAre("2001:db8:6::/48"));
  EXPECT_EQ(snapshot.media(1).new_sessions(), 0u);
  EXPECT_EQ(snapshot.media(1).allow_size() + snapshot.media(1).deny_size(), 0);
}

constexpr char kOctoAndOutbound[] = R"(octo:
  - {listen: "198.51.100.10:4096-4097", bridge: jvb1, allow: [203.0.113.0/24], deny: [203.0.113.7/32]}
  - {name: old, listen: "198.51.100.10:4098", bridge: jvb1, bridge_port: 5000, version: 0, allow: [203.0.113.0/24]}
  - {name: new, listen: "198.51.100.10:4099", bridge: jvb1, version: 1, allow: [203.0.113.0/24]}
outbound: {addresses: [198.51.100.77, 10.8.0.2], ports: [10000, 11000-11010], allow: [203.0.113.0/24]}
)";

TEST(ConfigSnapshot, OctoListenersFollowThoseOfMedia) {
  const api::Snapshot snapshot =
      ToSnapshot(*ParseConfig(std::string(kText) + kOctoAndOutbound, "t.yaml"), 1);
  ASSERT_EQ(snapshot.media_size(), 5);
  EXPECT_EQ(snapshot.media(1).kind(), api::MediaListener::KIND_MEDIA);
  const api::MediaListener& octo = snapshot.media(2);
  EXPECT_EQ(octo.name(), "octo-jvb1");
  EXPECT_EQ(octo.kind(), api::MediaListener::KIND_OCTO);
  EXPECT_EQ(octo.nat(), api::MediaListener::NAT_DESTINATION);
  EXPECT_EQ(octo.address(), std::string("\xc6\x33\x64\x0a", 4));
  EXPECT_EQ(octo.ports().first(), 4096u);
  EXPECT_EQ(octo.ports().last(), 4097u);
  EXPECT_EQ(octo.bridge_first_port(), 4096u);
  EXPECT_THAT(octo.bridges(), ElementsAre("jvb1"));
  EXPECT_EQ(octo.octo_version(), api::MediaListener::OCTO_ANY);
  EXPECT_THAT(Texts(octo.allow()), ElementsAre("203.0.113.0/24"));
  EXPECT_THAT(Texts(octo.deny()), ElementsAre("203.0.113.7/32"));
  EXPECT_EQ(snapshot.media(3).name(), "old");
  EXPECT_EQ(snapshot.media(3).bridge_first_port(), 5000u);
  EXPECT_EQ(snapshot.media(3).octo_version(), api::MediaListener::OCTO_V0);
  EXPECT_EQ(snapshot.media(4).octo_version(), api::MediaListener::OCTO_V1);
}

TEST(ConfigSnapshot, OutboundIsOffWithoutAddresses) {
  const api::Snapshot off = ToSnapshot(*ParseConfig(kText, "t.yaml"), 1);
  EXPECT_EQ(off.nat().outside_addresses_size(), 0);
  EXPECT_FALSE(off.has_outbound());

  const Config config = *ParseConfig(std::string(kText) + kOctoAndOutbound, "t.yaml");
  const api::Snapshot on = ToSnapshot(config, 1);
  EXPECT_THAT(on.nat().addresses(), ElementsAre(std::string("\x0a\x08\x00\x02", 4)));
  EXPECT_THAT(on.nat().outside_addresses(),
              ElementsAre(std::string("\xc6\x33\x64\x4d", 4), std::string("\x0a\x08\x00\x02", 4)));
  ASSERT_EQ(on.outbound().ports_size(), 2);
  EXPECT_EQ(on.outbound().ports(1).first(), 11000u);
  EXPECT_EQ(on.outbound().ports(1).last(), 11010u);
  EXPECT_THAT(Texts(on.outbound().allow()), ElementsAre("203.0.113.0/24"));
  // The ports of an address that is in both lists exist once.
  EXPECT_EQ(EstimateMemory(config).nat_ports,
            2 * EstimateMemory(*ParseConfig(kText, "t")).nat_ports);

  for (const char* ports : {"", ", ports: 10000", ", ports: [10000]"}) {
    const auto text = std::string(kText) + "outbound: {addresses: [198.51.100.77]" + ports + "}\n";
    const api::Snapshot one = ToSnapshot(*ParseConfig(text, "t.yaml"), 1);
    ASSERT_EQ(one.outbound().ports_size(), 1) << ports;
    EXPECT_EQ(one.outbound().ports(0).first(), 10000u);
    EXPECT_EQ(one.outbound().ports(0).last(), 10000u);
    EXPECT_EQ(one.outbound().allow_size(), 0);
  }
}

TEST_F(HostTest, PortsOfOctoAndOutboundAreTheRelaysToo) {
  config_ = *ParseConfig(std::string(kText) + kOctoAndOutbound, "t.yaml");
  kernel_ = {At("198.51.100.77"), At("198.51.100.10")};
  Write("4000\t60999\n", "10000\n");
  const HostFindings findings = CheckHost(config_, sources_);
  ASSERT_EQ(findings.errors.size(), 4u);
  EXPECT_EQ(findings.errors[0].key, "dataplane.nat_ports");
  EXPECT_THAT(findings.errors[0].message, HasSubstr("sockets on 198.51.100.77"));
  EXPECT_EQ(findings.errors[1].key, "octo[0].listen");
}

TEST(ConfigSnapshot, StaticRoutingStandsBehindTheKernels) {
  const Config config = *ParseConfig(kText, "t.yaml");
  api::Routing routing;
  routing.add_interfaces()->set_ifindex(2);
  AppendStaticRouting(config, routing);
  ASSERT_EQ(routing.interfaces_size(), 2);
  const api::Interface& interface = routing.interfaces(1);
  EXPECT_EQ(interface.port(), 1u);
  EXPECT_EQ(interface.ifindex(), 0u);
  EXPECT_EQ(interface.mac(), "");
  EXPECT_EQ(interface.vlan(), 0u);
  EXPECT_EQ(interface.mtu(), 1500u);
  EXPECT_THAT(interface.addresses(), ElementsAre(std::string("\x0a\x08\x00\x01", 4)));
  ASSERT_EQ(routing.routes_size(), 2);
  EXPECT_EQ(routing.routes(0).prefix(), std::string("\x0a\x08\x00\x00", 4));
  EXPECT_EQ(routing.routes(0).prefix_length(), 24u);
  EXPECT_EQ(routing.routes(0).interface(), 1u);
  EXPECT_EQ(routing.routes(0).gateway(), "");
  EXPECT_EQ(routing.routes(1).prefix(), std::string("\x0a\x09\x00\x00", 4));
  EXPECT_EQ(routing.routes(1).prefix_length(), 16u);
  EXPECT_EQ(routing.routes(1).gateway(), std::string("\x0a\x08\x00\xfe", 4));
  ASSERT_EQ(routing.neighbours_size(), 1);
  EXPECT_EQ(routing.neighbours(0).interface(), 1u);
  EXPECT_EQ(routing.neighbours(0).address(), std::string("\x0a\x08\x00\xfe", 4));
  EXPECT_EQ(routing.neighbours(0).mac(), std::string("\x02\x00\x00\x00\x00\x01", 6));
  EXPECT_EQ(ToSnapshot(config, 1).routing().interfaces_size(), 1);
}

}  // namespace
}  // namespace bridgehead::config
