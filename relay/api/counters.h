// The shared-memory segment of counters: RUN_DIR/counters, written by the relay, read by anyone who
// may read the file, without a lock on either side.
//
// Layout: one SegmentHeader, a table of names, then one WorkerCounters block per worker. A counter
// has one writer (its worker; the blocks marked so, the relay's control thread) and only grows; a
// gauge may fall. Readers add up the workers' blocks. Sizes are fixed for the life of a relay, so a
// mapped segment never moves; a relay that starts makes a new file and renames it into place, and a
// reader sees that its segment is an old one by `closed` or by the file's inode.
//
// The accounting identity, once traffic is quiet:
//   received + icmp_sent + fragments_made = forwarded + sum(drops) + held
// each summed over all workers. What an XDP program drops or passes to the kernel was never
// received: it has counters of its own (PortState).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "relay/walk/drop.h"

namespace bridgehead {

inline constexpr uint64_t kSegmentMagic = 0x6268'636f'756e'7431;  // "bhcount1"
inline constexpr uint32_t kSegmentVersion = 3;
inline constexpr size_t kCacheLine = 64;

inline constexpr size_t kMaxWorkers = 64;
inline constexpr size_t kMaxPorts = 16;
inline constexpr size_t kMaxListeners = 256;
inline constexpr size_t kMaxBridges = 1024;
inline constexpr size_t kMaxDrops = 128;
inline constexpr size_t kNameBytes = 64;  // NUL-terminated, longer names are refused by ctrl

static_assert(kDropCount <= kMaxDrops);

// A 64-bit counter with one writer. Reads and writes are relaxed: a plain load and store on the
// machines DPDK runs on, and no data race in the language's terms.
class Counter {
 public:
  void Add(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void Subtract(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  void Set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};
static_assert(sizeof(Counter) == 8 && std::atomic<uint64_t>::is_always_lock_free);

// Packets accepted for forwarding: what a full queue or an unresolved next hop still stops is
// counted here and among the drops.
struct TrafficCounters {
  Counter packets_to_bridge;
  Counter bytes_to_bridge;  // IP bytes: from the first byte of the IP header
  Counter packets_to_client;
  Counter bytes_to_client;
  Counter sessions_created;
  Counter sessions_active;  // gauge
  // Of listeners: packets that made no session, and those of them whose ufrag no bridge has.
  Counter refused;
  Counter refused_ufrag;
};

struct PortCounters {
  Counter rx_packets;
  Counter rx_bytes;  // frame bytes, without FCS
  Counter tx_packets;
  Counter tx_bytes;
};

struct alignas(kCacheLine) WorkerCounters {
  Counter received;   // packets taken from receive queues
  Counter forwarded;  // packets a transmit queue accepted
  Counter held;       // gauge: waiting for a next hop to resolve, or for their first fragment
  // Packets of the relay's own: what it tells senders of packets that it drops, and the pieces but
  // for the first of packets too large for their way out.
  Counter icmp_sent;
  Counter fragments_made;
  Counter handoff_sent;
  Counter handoff_received;
  Counter tx_handoff_sent;
  Counter tx_handoff_received;
  Counter sessions_created;
  Counter sessions_expired;
  Counter sessions_displaced;     // unconfirmed ones that made room; among the expired
  Counter sessions_active;        // gauge, unconfirmed included
  Counter sessions_unconfirmed;   // gauge
  Counter nat_ports_in_use;       // gauge
  Counter nat_ports_quarantined;  // gauge
  Counter loops;                  // poll iterations
  Counter busy_loops;             // iterations that found at least one packet
  Counter snapshot_id;            // gauge: the snapshot this worker uses
  Counter drops[kMaxDrops];       // by DropIndex()
  PortCounters ports[kMaxPorts];
  TrafficCounters listeners[kMaxListeners];
  TrafficCounters bridges[kMaxBridges];
};

// What became of packets before the relay could receive them. Written by the control thread, once a
// second.
struct PortState {
  Counter missed;          // receive ring full
  Counter no_buffer;       // no packet buffer free
  Counter link_up;         // gauge: 0 or 1
  Counter has_xdp;         // gauge: 0 or 1; 0: the port has no XDP program, and those below stay 0
  Counter xdp_redirected;  // given to the relay; those missed are among them
  Counter xdp_passed;      // left to the kernel
  Counter xdp_dropped[kEarlyDropCount];  // by kEarlyDropLabels
};

using Name = std::array<char, kNameBytes>;

struct alignas(kCacheLine) SegmentHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;  // sizeof(SegmentHeader)
  uint64_t total_bytes;
  uint32_t worker_bytes;  // sizeof(WorkerCounters)
  uint32_t worker_count;
  uint32_t drop_count;
  uint32_t pid;
  uint64_t start_time_unix;
  Counter closed;  // 1: the relay that wrote this has ended in good order
  Counter port_count;
  Counter listener_count;  // names below this are valid; a listener or bridge keeps its number
  Counter bridge_count;    // for the life of the relay
  Counter session_capacity;
  Counter session_memory_bytes;
  PortState port_state[kMaxPorts];
  Name drop_labels[kMaxDrops];
  Name port_names[kMaxPorts];
  Name listener_names[kMaxListeners];
  Name bridge_names[kMaxBridges];
};

// Sum of all workers' blocks, and the names to print them with.
struct CounterTotals {
  struct Traffic {
    std::string name;
    uint64_t packets_to_bridge = 0, bytes_to_bridge = 0;
    uint64_t packets_to_client = 0, bytes_to_client = 0;
    uint64_t sessions_created = 0, sessions_active = 0;
    uint64_t refused = 0, refused_ufrag = 0;
  };
  struct PortTotal {
    std::string name;
    uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
    uint64_t missed = 0, no_buffer = 0;
    bool link_up = false;
    bool has_xdp = false;
    uint64_t xdp_redirected = 0, xdp_passed = 0;
    std::array<uint64_t, kEarlyDropCount> xdp_dropped{};
  };
  struct DropTotal {
    std::string label;
    uint64_t packets = 0;
  };
  struct WorkerTotal {
    uint64_t received = 0, forwarded = 0, dropped = 0, held = 0;
    uint64_t icmp_sent = 0, fragments_made = 0;
    uint64_t handoff_sent = 0, handoff_received = 0;
    uint64_t tx_handoff_sent = 0, tx_handoff_received = 0;
    uint64_t sessions_created = 0, sessions_expired = 0, sessions_displaced = 0;
    uint64_t sessions_active = 0, sessions_unconfirmed = 0;
    uint64_t nat_ports_in_use = 0, nat_ports_quarantined = 0;
    uint64_t loops = 0, busy_loops = 0, snapshot_id = 0;
  };
  uint32_t pid = 0;
  uint64_t start_time_unix = 0;
  bool closed = false;
  uint64_t session_capacity = 0, session_memory_bytes = 0;
  WorkerTotal total;
  std::vector<WorkerTotal> workers;
  std::vector<DropTotal> drops;  // every known drop, zeros included, in the walk's order
  std::vector<PortTotal> ports;
  std::vector<Traffic> listeners;
  std::vector<Traffic> bridges;
};

// The writer's side. Not thread-safe except for the counters themselves.
class CounterSegment {
 public:
  // Makes `path` anew (replacing what a dead relay left there), sized for `workers`.
  static absl::StatusOr<std::unique_ptr<CounterSegment>> Create(const std::string& path,
                                                                size_t workers);
  // A segment in private memory, for tests and benchmarks.
  static std::unique_ptr<CounterSegment> CreatePrivate(size_t workers);
  ~CounterSegment();  // marks the segment closed; the file stays for readers of the last totals
  CounterSegment(const CounterSegment&) = delete;
  CounterSegment& operator=(const CounterSegment&) = delete;

  SegmentHeader& header() { return *header_; }
  WorkerCounters& worker(size_t index);

 private:
  CounterSegment(void* memory, size_t bytes, size_t workers);
  SegmentHeader* header_;
  size_t bytes_;
};

// The reader's side.
class CounterReader {
 public:
  // Errors: NotFound (no relay has run here), FailedPrecondition (another version's layout).
  static absl::StatusOr<std::unique_ptr<CounterReader>> Open(const std::string& path);
  ~CounterReader();
  CounterReader(const CounterReader&) = delete;
  CounterReader& operator=(const CounterReader&) = delete;

  CounterTotals Read() const;
  // True when `path` is now another file than the one mapped, or the writer closed it.
  bool Stale() const;

 private:
  CounterReader(std::string path, const void* memory, size_t bytes, uint64_t inode);
  const WorkerCounters& worker(size_t index) const;
  std::string path_;
  const SegmentHeader* header_;
  size_t bytes_;
  uint64_t inode_;
};

void CopyName(Name& to, std::string_view from);

}  // namespace bridgehead
