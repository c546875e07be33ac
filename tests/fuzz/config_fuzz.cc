// The configuration: any text gives a configuration or errors with a place in it, the same each
// time; and the relay takes what is made of a good one.
#include "ctrl/config/config.h"
#include "ctrl/config/to_snapshot.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/walk_harness.h"
#include "tests/unit/config_edge_base.h"

namespace bridgehead::fuzz {
namespace {

using config::Finding;

void CheckFinding(const Finding& finding, size_t lines) {
  FUZZ_CHECK(finding.location.line >= 1 && finding.location.column >= 1);
  FUZZ_CHECK(static_cast<size_t>(finding.location.line) <= lines + 1);
  FUZZ_CHECK(!finding.key.empty() && !finding.message.empty());
  FUZZ_CHECK(finding.Line().starts_with("fuzz.yaml:"));
  FUZZ_CHECK(finding.Line().find('\n') == std::string::npos);
  FUZZ_CHECK(!finding.WithCaret().empty());
}

void CheckGood(const config::Config& config) {
  api::Snapshot snapshot = config::ToSnapshot(config, 1);
  config::AppendStaticRouting(config, *snapshot.mutable_routing());
  // As a relay that was just started; the ports' own addresses do not matter.
  SnapshotBuilder builder(kMaxListeners, kMaxBridges);
  const std::vector<MacAddress> macs(config.dataplane.ports.size(), test::kRelayWan);
  const auto built = builder.Build(snapshot, macs, nullptr, {});
  if (!built.ok()) fprintf(stderr, "%s\n", std::string(built.status().message()).c_str());
  FUZZ_CHECK(built.ok());
  FUZZ_CHECK(config::EstimateMemory(config).total() > 0);
}

}  // namespace

std::vector<Bytes> Seeds() {
  return {
      FromText(R"(dataplane:
  workers: [1, 2]
  ports:
    - {name: wan, device: eth0}
    - {name: lan, vdev: "net_memif0", addresses: ["10.8.0.2/24"], routes: [{to: 0.0.0.0/0, via: 10.8.0.1}], neighbours: [{address: 10.8.0.1, mac: "02:00:00:00:00:01"}]}
  nat_addresses: [10.8.0.2]
  nat_ports: 20000-59999
  hugepages: auto
  idle: adaptive
bridges:
  - {name: jvb1, address: 10.8.0.11, ufrag_prefix: "jvb1/"}
  - {name: jvb2, address: 10.8.0.12, ufrag_prefix: "jvb2/"}
media:
  - {name: meet, listen: "198.51.100.10:10000", nat: source, bridges: [jvb1, jvb2], allow: [192.0.2.0/24], deny: [192.0.2.7/32], new_sessions: 100}
  - {name: range, listen: "198.51.100.11:10000-10050", nat: destination, bridges: [jvb1]}
octo:
  - {name: octo1, listen: "198.51.100.10:4096", bridge: jvb1, allow: ["203.0.113.0/24"]}
outbound: {addresses: [198.51.100.12], ports: [10000], allow: [0.0.0.0/0]}
timeouts: {idle: 5m, unconfirmed: 10s, quarantine: 2m}
limits: {sessions_per_source: 512, unconfirmed: 4096, hold_packets: 64}
admin: {listen: "127.0.0.1:9100"}
)"),
      FromText(
          R"(dataplane: {workers: [1], ports: [{name: wan, device: eth0}], nat_addresses: ["2001:db8:8::2", 10.8.0.2]}
bridges: [{name: six, address: "2001:db8:8::11", ufrag_prefix: a/}, {name: four, address: 10.8.0.11, ufrag_prefix: b/}]
media: [{name: m, listen: "[2001:db8:10::10]:10000", nat: source, bridges: [six, four], bridge_port: 12000}]
)"),
      FromText(config::kEdgeBase),
      FromText("a: &b [1, 2]\nc: *b\n'd': \"e\n"),
      FromText("%YAML 1.2\n---\n? {}\n: !!int |\n  1\n...\n"),
  };
}

}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead;
  using namespace bridgehead::fuzz;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  const config::CheckResult result = config::CheckText(text, "fuzz.yaml");
  FUZZ_CHECK(result.errors.size() <= config::kMaxErrors);
  FUZZ_CHECK(result.errors_left_off == 0 || !result.errors.empty());
  for (const Finding& finding : result.errors) CheckFinding(finding, lines);
  for (const Finding& finding : result.warnings) CheckFinding(finding, lines);
  const auto parsed = config::ParseConfig(text, "fuzz.yaml");
  FUZZ_CHECK(parsed.ok() == result.ok());
  if (result.ok()) CheckGood(*parsed);
  return 0;
}
