// Good configurations, and files that are hazards rather than mistakes.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctrl/config/config.h"
#include "ctrl/config/reference.h"
#include "ctrl/config/schema.h"

namespace bridgehead::config {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kMinimal[] = R"(
dataplane:
  workers: [1]
  ports: [{name: wan, device: eth0}]
bridges: [{name: jvb1, address: 10.8.0.11}]
media: [{name: meet, listen: "198.51.100.10:10000-10003", nat: destination, bridges: [jvb1]}]
)";

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The only error of a text.
Finding OnlyError(const std::string& text) {
  const CheckResult result = CheckText(text, "t.yaml");
  EXPECT_EQ(result.errors.size(), 1u);
  return result.errors.empty() ? Finding{} : result.errors[0];
}

TEST(ConfigLoad, DefaultsAreTheStructs) {
  const auto config = ParseConfig(kMinimal, "t.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  Dataplane dataplane;
  dataplane.workers = {1};
  dataplane.ports.resize(1);
  dataplane.ports[0].name = "wan";
  dataplane.ports[0].device = "eth0";
  EXPECT_EQ(config->dataplane, dataplane);
  EXPECT_EQ(config->timeouts, Timeouts());
  EXPECT_EQ(config->limits, Limits());
  EXPECT_EQ(config->admin, Admin());
  EXPECT_EQ(config->media[0].bridge_port, 10000);
  EXPECT_EQ(config->media[0].BridgePorts(), (PortRange{10000, 10003}));
  EXPECT_TRUE(config->warnings.empty());
}

// RFC 4787 requirement 5 (c), RFC 6888 requirement 8.
TEST(ConfigLoad, RfcDefaults) {
  EXPECT_GE(Timeouts().idle, seconds(300));
  EXPECT_GE(Timeouts().quarantine, seconds(120));
}

TEST(ConfigLoad, ValuesArrive) {
  const auto config = ParseConfig(R"(# keys in another order than the schema's
admin: {listen: off}
media:
  - bridges: [b.1]
    listen: 198.51.100.10:10000
    nat: source
    bridge_port: 12000
    name: "m-1"
    deny: ["2001:db8:6::/48"]
    allow: [192.0.2.0/24, 0.0.0.0/0]
    new_sessions: 12
bridges: [{ufrag_prefix: aZ09+/, address: 10.8.0.11, name: b.1}]
limits: {sessions_per_source: 5, unconfirmed: 6, hold_packets: 7, new_sessions: 0, new_sessions_per_prefix: 9, stun_requests_per_source: 10}
timeouts: {idle: 1h, unconfirmed: 2m, quarantine: 200s}
dataplane:
  nat_ports: 30000-30099
  nat_addresses: [10.8.0.2, 10.8.0.3]
  packet_buffers: 5000
  max_sessions: 2000
  hugepages: require
  idle: adaptive
  workers: [3, 2]
  ports:
    - name: v
      neighbours: [{mac: "02:00:00:00:00:aB", address: 10.8.0.11}]
      routes: [{via: 10.8.0.254, to: 0.0.0.0/0}]
      addresses: [10.8.0.1/24]
      mtu: 9000
      vlan: 4094
      partial_checksums: never
      verify_udp_checksum: true
      vdev: "net_memif0,role=client"
      rx_descriptors: 64
      tx_descriptors: 8192
)",
                                  "t.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->admin.listen.has_value());
  EXPECT_EQ(config->bridges[0], (Bridge{"b.1", *Address::Parse("10.8.0.11"), "aZ09+/"}));
  const MediaListener& media = config->media[0];
  EXPECT_EQ(media.name, "m-1");
  EXPECT_EQ(media.listen.text(), "198.51.100.10:10000");
  EXPECT_EQ(media.nat, NatMode::kSource);
  EXPECT_EQ(media.bridge_port, 12000);
  EXPECT_EQ(media.new_sessions, 12u);
  EXPECT_THAT(media.allow,
              testing::ElementsAre(*Prefix::Parse("192.0.2.0/24"), *Prefix::Parse("0.0.0.0/0")));
  EXPECT_THAT(media.deny, testing::ElementsAre(*Prefix::Parse("2001:db8:6::/48")));
  EXPECT_EQ(config->limits, (Limits{5, 6, 7, 0, 9, 3, 10}));
  EXPECT_EQ(config->timeouts, (Timeouts{seconds(3600), seconds(120), seconds(200)}));
  const Dataplane& dataplane = config->dataplane;
  EXPECT_THAT(dataplane.workers, testing::ElementsAre(3, 2));
  EXPECT_EQ(dataplane.idle, Idle::kAdaptive);
  EXPECT_EQ(dataplane.hugepages, Hugepages::kRequire);
  EXPECT_EQ(dataplane.max_sessions, 2000u);
  EXPECT_EQ(dataplane.packet_buffers, 5000u);
  EXPECT_EQ(dataplane.nat_addresses[1].text(), "10.8.0.3");
  EXPECT_EQ(dataplane.nat_ports.text(), "30000-30099");
  const Port& port = dataplane.ports[0];
  EXPECT_EQ(port.vdev, "net_memif0,role=client");
  EXPECT_EQ(port.rx_descriptors, 64u);
  EXPECT_EQ(port.tx_descriptors, 8192u);
  EXPECT_TRUE(port.verify_udp_checksum);
  EXPECT_EQ(port.partial_checksums, PartialChecksums::kNever);
  EXPECT_EQ(port.mtu, 9000u);
  EXPECT_EQ(port.vlan, 4094u);
  EXPECT_EQ(port.addresses[0].text(), "10.8.0.1/24");
  EXPECT_EQ(port.routes[0].to.text(), "0.0.0.0/0");
  EXPECT_EQ(port.routes[0].via.text(), "10.8.0.254");
  EXPECT_EQ(port.neighbours[0].mac.text(), "02:00:00:00:00:ab");
}

TEST(ConfigLoad, QuotesAndByteOrderMarksAreYaml) {
  EXPECT_TRUE(ParseConfig(std::string("\xef\xbb\xbf") + kMinimal, "t.yaml").ok());
  EXPECT_TRUE(
      ParseConfig(std::string("\xef\xbb\xbf'admin': {'listen': \"o\\x66f\"}") + kMinimal, "t.yaml")
          .ok());
}

TEST(ConfigLoad, SourceModeListenersMayShareABridgePort) {
  std::string text = kMinimal;
  text.replace(text.find("workers"), 0, "nat_addresses: [10.8.0.2]\n  ");
  text.replace(
      text.find("bridges: [jvb1]}]"), 17,
      "bridges: [jvb1]}, {name: b, listen: \"198.51.100.11:10000\", nat: source, bridges: "
      "[jvb1]}, {name: c, listen: \"198.51.100.12:10000\", nat: source, bridges: [jvb1]}]");
  EXPECT_TRUE(ParseConfig(text, "t.yaml").ok()) << ParseConfig(text, "t.yaml").status();
}

TEST(ConfigLoad, TheExamplesAreGood) {
  size_t count = 0;
  for (const auto& entry :
       fs::directory_iterator(fs::path(BRIDGEHEAD_SOURCE) / "deploy/examples")) {
    if (entry.path().extension() != ".yaml") continue;
    count++;
    const CheckResult result = CheckFile(entry.path());
    for (const Finding& error : result.errors) ADD_FAILURE() << error.WithCaret();
    for (const Finding& warning : result.warnings) ADD_FAILURE() << warning.WithCaret();
  }
  EXPECT_GE(count, 4u);
}

// Complete ones, a folder each with what belongs to it. They may be warned about one thing: that a
// server's certificate is not verified, which is what the systems they take the place of do.
TEST(ConfigLoad, TheCompleteExamplesAreGood) {
  size_t count = 0;
  for (const auto& entry :
       fs::directory_iterator(fs::path(BRIDGEHEAD_SOURCE) / "deploy/examples")) {
    if (!entry.is_directory()) continue;
    count++;
    EXPECT_TRUE(fs::exists(entry.path() / "README.md")) << entry.path();
    const CheckResult result = CheckFile(entry.path() / "bridgehead.yaml");
    for (const Finding& error : result.errors) ADD_FAILURE() << error.WithCaret();
    for (const Finding& warning : result.warnings) {
      EXPECT_THAT(warning.Line(), HasSubstr(".tls.verify: got off")) << warning.WithCaret();
    }
  }
  EXPECT_EQ(count, 5u);
}

TEST(ConfigLoad, TheReferenceIsUpToDate) {
  const fs::path path = fs::path(BRIDGEHEAD_SOURCE) / "ctrl/config/REFERENCE.md";
  EXPECT_TRUE(ReadAll(path) == ReferenceMarkdown())
      << "write it anew: bridgehead check --reference >" << path;
}

TEST(ConfigLoad, EveryKeyIsDocumented) {
  for (const Key& key : Schema()) {
    EXPECT_FALSE(key.doc.empty()) << key.path;
    EXPECT_TRUE(key.type != Type::kInteger || !key.unit.empty()) << key.path << " has no unit";
    EXPECT_TRUE(key.set != nullptr || (key.type == Type::kSection && !key.list)) << key.path;
    if (key.default_text.empty()) continue;
    YamlNode node;
    node.kind = YamlNode::Kind::kScalar;
    node.text = std::string(key.default_text);
    EXPECT_EQ(ParseValue(key, node).error, "") << key.path;
  }
}

TEST(ConfigHazards, Syntax) {
  EXPECT_THAT(OnlyError("").Line(), StartsWith("t.yaml:1:1: file: got an empty file, expected"));
  EXPECT_THAT(OnlyError("# nothing\n").Line(), HasSubstr("got an empty file"));
  EXPECT_THAT(OnlyError("just text").Line(), StartsWith("t.yaml:1:1: yaml: got \"just text\""));
  EXPECT_THAT(OnlyError("- a\n").Line(), HasSubstr("got a list, expected a group of keys"));
  EXPECT_THAT(OnlyError("dataplane:\n\tworkers: [1]\n").Line(),
              StartsWith("t.yaml:2:1: yaml: got a tab, expected spaces"));
  EXPECT_THAT(OnlyError("a: [1, 2\nb: 3\n").Line(), HasSubstr("yaml: got a syntax error ("));
  EXPECT_THAT(
      OnlyError("a: {b: [2001:db8::10]:10000}\n").Line(),
      EndsWith("expected YAML; \"[2001:db8::10]:10000\" and \"2001:db8::\" stand in quotes"));
  EXPECT_THAT(OnlyError("a:\n  b: [::1]:9100\n").Line(), EndsWith("stand in quotes"));
  EXPECT_THAT(OnlyError("a: {b: 2001:db8::, c: d}\n").Line(), EndsWith("stand in quotes"));
  EXPECT_THAT(OnlyError(std::string("a: b\0c\n", 7)).Line(),
              StartsWith("t.yaml:1:5: yaml: got the control character 0x00"));
  EXPECT_THAT(OnlyError("a: b\n\nk: \xff\n").Line(),
              StartsWith("t.yaml:3:4: yaml: got the byte 0xff, expected UTF-8"));
  EXPECT_THAT(OnlyError("k: \xc0\xaf\n").Line(), HasSubstr("expected UTF-8"));
  EXPECT_THAT(OnlyError("k: \xed\xa0\x80\n").Line(), HasSubstr("expected UTF-8"));
}

TEST(ConfigHazards, OddYaml) {
  const auto has = [](const std::string& extra, const std::string& message) {
    const CheckResult result = CheckText(kMinimal + extra, "t.yaml");
    bool found = false;
    for (const Finding& error : result.errors) {
      found = found || error.Line().find(message) != std::string::npos;
    }
    EXPECT_TRUE(found) << extra << (result.ok() ? "" : result.errors[0].Line());
  };
  has("---\nadmin: {listen: off}\n", "got a second document");
  has("admin: &a {listen: off}\n", "got an anchor (&)");
  has("admin: &a {listen: off}\nlimits: *a\n", "limits: got an alias (*)");
  has("admin: !!map {listen: off}\n", "got the tag \"tag:yaml.org,2002:map\"");
  has("admin: {listen: off}\nlimits: \"unclosed\n", "limits: got text without its closing quote");
  has("limits: 'it''s unclosed''\n", "limits: got text without its closing quote");
  has("limits: \"unclosed\\\"\n", "limits: got text without its closing quote");
  has("? [a, b]\n: c\n", "got a list as a key");
  has("<<: {listen: off}\n", "<<: got an unknown key");
  has("dataplane.workers: [1]\n", "dataplane.workers: got an unknown key");
  has("admin: {listen: 'off', listen: 'off'}\n", "admin.listen: got the key a second time");
  has("t\xc3\xa4st: 1\n", "t\\xc3\\xa4st: got an unknown key");
}

TEST(ConfigHazards, Bombs) {
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; i++) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 8; j++) laughs += ", " + before;
    laughs += "]\n";
  }
  EXPECT_FALSE(ParseConfig(laughs, "t.yaml").ok());
  EXPECT_FALSE(ParseConfig("a: " + std::string(100000, '['), "t.yaml").ok());
  EXPECT_FALSE(ParseConfig("a: " + std::string(100000, '{'), "t.yaml").ok());
  std::string nested;
  for (int i = 0; i < 40; i++) nested += std::string(static_cast<size_t>(i), ' ') + "k:\n";
  EXPECT_THAT(std::string(ParseConfig(nested, "t.yaml").status().message()),
              HasSubstr("got nesting deeper than 16"));
  // One line of many unknown keys: findings must not each copy it.
  std::string wide = "{";
  for (int i = 0; i < 60000; i++) wide += "k" + std::to_string(i) + ": 1, ";
  EXPECT_EQ(CheckText(wide + "}", "t.yaml").errors.size(), kMaxErrors);
  EXPECT_THAT(OnlyError(std::string(kMaxFileBytes + 1, ' ')).Line(),
              HasSubstr("file: got more than 1048576 bytes"));
}

TEST(ConfigHazards, Files) {
  std::string folder = testing::TempDir() + "config_load_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  EXPECT_THAT(CheckFile(folder + "/none.yaml").errors.at(0).Line(),
              HasSubstr("none.yaml:1:1: file: cannot be read: No such file or directory"));
  EXPECT_THAT(CheckFile(folder).errors.at(0).Line(), HasSubstr("something else than a regular"));
  const std::string fifo = folder + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(CheckFile(fifo).errors.at(0).Line(), HasSubstr("something else than a regular"));
  const std::string secret = folder + "/secret.yaml";
  std::ofstream(secret) << kMinimal;
  EXPECT_TRUE(LoadConfig(secret).ok());
  if (geteuid() != 0) {
    ASSERT_EQ(chmod(secret.c_str(), 0), 0);
    EXPECT_THAT(CheckFile(secret).errors.at(0).Line(), HasSubstr("Permission denied"));
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace bridgehead::config
