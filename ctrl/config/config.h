// The configuration file, read: plain structs, and the functions that fill them.
//
// A file is parsed against the declarative schema (schema.h), then checked as a whole (checks.h).
// Every mistake is found in one go and named as
//   file:line:column: key: got X, expected Y
// where key is the dotted path, for example dataplane.ports[0].device. Nothing falls back in
// silence: a Config exists only when its file had no error. Checks that depend on the machine are
// separate (host.h); to_snapshot.h turns a Config into what the relay is sent. REFERENCE.md
// documents each key.
//
// A Config is a value: build it, share it as const, replace it on reload.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "ctrl/config/address.h"
#include "ctrl/config/check_url.h"
#include "ctrl/config/edge.h"

namespace bridgehead::config {

// ------------------------------------------------------------------------------------ the settings

enum class Idle { kPoll, kAdaptive };
enum class Hugepages { kAuto, kRequire, kOff };
enum class PartialChecksums { kAuto, kAccept, kNever };
enum class NatMode { kSource, kDestination };
enum class OctoVersion { kAny, kV0, kV1 };

// vdev: ports only; device: ports take these from the kernel.
struct StaticRoute {
  Prefix to;
  Address via;
  bool operator==(const StaticRoute&) const = default;
};

struct StaticNeighbour {
  Address address;
  MacAddress mac;
  bool operator==(const StaticNeighbour&) const = default;
};

// Exactly one of `device` and `vdev` is not empty.
struct Port {
  std::string name;
  std::string device;  // kernel interface
  std::string vdev;    // DPDK device arguments
  uint32_t rx_descriptors = 2048;
  uint32_t tx_descriptors = 2048;
  bool verify_udp_checksum = false;
  PartialChecksums partial_checksums = PartialChecksums::kAuto;
  uint32_t mtu = 1500;  // bytes; vdev: only
  uint32_t vlan = 0;    // 0: no tag; vdev: only
  std::vector<Prefix> addresses;
  std::vector<StaticRoute> routes;
  std::vector<StaticNeighbour> neighbours;
  bool operator==(const Port&) const = default;
};

struct Dataplane {
  std::vector<uint32_t> workers;  // core numbers
  Idle idle = Idle::kPoll;
  Hugepages hugepages = Hugepages::kAuto;
  uint32_t max_sessions = 65536;    // per worker
  uint32_t packet_buffers = 32768;  // in all
  std::vector<Address> nat_addresses;
  PortRange nat_ports{20000, 59999};
  std::vector<Port> ports;
  bool operator==(const Dataplane&) const = default;
};

struct Timeouts {
  std::chrono::seconds idle{300};
  std::chrono::seconds unconfirmed{10};
  std::chrono::seconds quarantine{120};
  bool operator==(const Timeouts&) const = default;
};

struct Limits {
  uint32_t sessions_per_source = 1024;
  uint32_t unconfirmed = 4096;  // per worker
  uint32_t hold_packets = 64;   // per next hop
  // Per second and worker; 0: no limit.
  uint32_t new_sessions = 1000;
  uint32_t new_sessions_per_prefix = 500;
  uint32_t logged_refusals = 3;  // lines per reason and 10 seconds
  uint32_t stun_requests_per_source = 10000;
  bool operator==(const Limits&) const = default;
};

struct Bridge {
  std::string name;
  Address address;
  std::string ufrag_prefix;  // what its ICE ufrags begin with; empty: not known
  std::optional<CheckUrl> health = std::nullopt;       // none: not checked
  std::optional<CheckUrl> drain_state = std::nullopt;  // none: not asked
  bool operator==(const Bridge&) const = default;
};

struct HealthCheck {
  std::chrono::seconds interval{2};
  std::chrono::seconds timeout{1};
  uint32_t rise = 2;  // checks in a row
  uint32_t fall = 3;
  bool operator==(const HealthCheck&) const = default;
};

// Of media: or of octo:.
struct MediaListener {
  std::string name;
  Endpoint listen;
  NatMode nat = NatMode::kSource;
  std::vector<std::string> bridges;  // names; several are told apart by their ufrag prefixes
  uint16_t bridge_port = 0;   // at the bridge, for listen.ports.first; always set once loaded
  uint32_t new_sessions = 0;  // per second and worker; 0: no limit
  // Of sources; the longest prefix decides. In neither list: allowed when `allow` is empty.
  std::vector<Prefix> allow;
  std::vector<Prefix> deny;
  // Of octo: only, where nat is kDestination, `bridges` one, and `allow` not empty.
  std::optional<OctoVersion> octo;
  // The ports at the bridge that listen.ports map to, one to one.
  PortRange BridgePorts() const {
    return {bridge_port,
            static_cast<uint16_t>(bridge_port + (listen.ports.last - listen.ports.first))};
  }
  bool operator==(const MediaListener&) const = default;
};

// Flows that bridges open. Off without addresses.
struct Outbound {
  std::vector<Address> addresses;  // of the relay, towards others
  std::vector<PortRange> ports;    // of the others
  std::vector<Prefix> allow;       // the others; empty: all
  bool operator==(const Outbound&) const = default;
};
// What counters call these flows, as if they were a listener's.
inline constexpr std::string_view kOutboundName = "outbound";

struct Admin {
  std::optional<Endpoint> listen = Endpoint{Address::V4(0x7f000001), {9100, 9100}};  // none: off
  bool operator==(const Admin&) const = default;
};

// ------------------------------------------------------------------------------- where keys stood

struct Location {
  int line = 1;    // from 1
  int column = 1;  // from 1, in bytes
  int length = 1;  // of the token, in bytes
};

// The file a Config came from: enough to name a key's place long after loading.
struct Source {
  std::string file;
  std::vector<std::string> lines;             // for carets
  std::map<std::string, Location> locations;  // dotted path of every key and list element present

  bool Has(const std::string& key) const { return locations.contains(key); }
  // The key's place; for a key left out, the place of the closest thing around it.
  Location Find(std::string_view key) const;
};

struct Config {
  Dataplane dataplane;
  Timeouts timeouts;
  Limits limits;
  std::vector<Bridge> bridges;
  HealthCheck health_check;
  std::vector<MediaListener> media;
  std::vector<MediaListener> octo;
  Outbound outbound;
  Admin admin;
  Edge edge;

  std::vector<std::string> warnings;     // one line each, in the errors' format
  std::shared_ptr<const Source> source;  // never null once loaded
};

// A listener, and what the file calls it.
struct PlacedListener {
  std::string path;  // media[0], octo[1]
  const MediaListener* listener;

  // The key of the listener's bridges, and that of one of them.
  std::string BridgesKey() const;
  std::string BridgeKey(size_t place) const;
};
// Those of media:, then those of octo:. They point into `config`.
std::vector<PlacedListener> AllListeners(const Config& config);

// dataplane.nat_addresses and outbound.addresses: on each of them nat_ports are the relay's. An
// address that is in both comes once.
struct PlacedAddress {
  std::string path;  // dataplane.nat_addresses[0], outbound.addresses[1]
  Address address;
};
std::vector<PlacedAddress> AllNatAddresses(const Config& config);

// --------------------------------------------------------------------------------------- findings

// One error or warning.
struct Finding {
  std::string file;
  Location location;
  std::string key;      // dotted path; "file" or "yaml" when it is about the file itself
  std::string message;  // "got X, expected Y"
  std::string source_line;

  // file:line:column: key: got X, expected Y
  std::string Line() const;
  // Line(), then the source line and a caret under the token, for terminals.
  std::string WithCaret() const;
};

inline constexpr size_t kMaxFileBytes = 1024 * 1024;
inline constexpr size_t kMaxErrors = 20;  // further ones are only counted
inline constexpr size_t kMaxNameLength = 63;
inline constexpr size_t kMaxUfragPrefixLength = 64;  // of a ufrag's 256 (RFC 8839 section 5.4)

struct CheckResult {
  Config config;  // meaningful only when there are no errors
  std::vector<Finding> errors;
  size_t errors_left_off = 0;  // found beyond kMaxErrors
  std::vector<Finding> warnings;
  bool ok() const { return errors.empty(); }
};

// For `bridgehead check`: everything there is to say about a file. Never fails otherwise.
CheckResult CheckFile(const std::string& path);
CheckResult CheckText(std::string_view text, const std::string& filename);

// For ctrl. Error: InvalidArgument, whose message is one line per finding (Finding::Line).
absl::StatusOr<Config> LoadConfig(const std::string& path);
absl::StatusOr<Config> ParseConfig(std::string_view text, const std::string& filename);

// What a relay with this configuration allocates, in bytes.
struct MemoryEstimate {
  uint64_t sessions = 0;
  uint64_t nat_ports = 0;
  uint64_t packet_buffers = 0;
  uint64_t dpdk_itself = 0;
  // DPDK's memory, in one piece: of hugepages where enough of them are free.
  uint64_t dpdk() const { return packet_buffers + dpdk_itself; }
  uint64_t total() const { return sessions + nat_ports + dpdk(); }
};
// `device_mtu` is the largest MTU of the kernel interfaces among the ports.
MemoryEstimate EstimateMemory(const Config& config, uint32_t device_mtu = 1500);

}  // namespace bridgehead::config
