// Ports: the relay's one way to a network, whatever lies below it.
//
// A port in the configuration is a kernel interface (device:, through net_af_xdp and our own XDP
// program) or any other DPDK poll-mode driver (vdev:). PortSet::Open makes them all, or none: it
// checks the host, starts the EAL, creates the packet pool, opens, configures and starts every
// port. After it returns the caller only sees ethdev port numbers and launches its workers with
// rte_eal_remote_launch: worker i is lcore i + 1 (LcoreOfWorker) and runs on core workers[i].
//
// One PortSet per process, ever: DPDK can not start its EAL twice. Open, SetSteerRules and the
// destructor are for the control thread; stop the workers before destroying the set.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bpf/shared.h"
#include "relay/walk/drop.h"

struct rte_mempool;

namespace bridgehead::api {
class Dataplane;
}

namespace bridgehead::port {

struct OpenPort {
  std::string name;      // as in the configuration
  uint16_t id = 0;       // ethdev port number
  std::string driver;    // "net_af_xdp", "net_memif", ...
  std::string device;    // kernel interface of a device: port, else empty
  unsigned ifindex = 0;  // of `device`, else 0
  // Queues 0..n-1 in each direction, at most one of each per worker. Queue q belongs to worker q.
  uint16_t rx_queues = 0;
  uint16_t tx_queues = 0;
  // Packets may arrive whose UDP checksum only covers the pseudo header (veth, virtio, tun/tap with
  // offload on): it must be computed in full when such a packet is sent on.
  bool partial_checksums = false;
  bool verify_udp_checksum = true;   // as configured
  bool rx_checksum_offload = false;  // ol_flags say good or bad for IPv4 and UDP
  bool tx_checksum_offload = false;  // IPv4 and UDP checksums can be left to the port
  uint16_t mtu = 0;                  // IP bytes
  std::array<uint8_t, 6> mac{};
};

// What a listener's access list says of addresses: allowed or not, by prefix length and prefix, and
// the longest one decides. IPv4 mapped, its lengths are 96 more. Length 0 and ::ffff:0:0/96 are
// there always, for the addresses of either family that no other one holds.
using SteerList = std::map<std::pair<uint8_t, std::array<uint8_t, 16>>, bool>;

// What a listener refuses, so that the XDP program can refuse it before the relay sees it. The
// relay holds the same rules.
struct SteerGuard {
  std::shared_ptr<const SteerList> list = nullptr;  // null: takes every source
  bool media = false;                               // takes only what can be media, see bpf/demux.h
  uint32_t requests_per_source = 0;  // STUN requests per second, where media; 0: no limit
};

// UDP that belongs to the relay and not to the kernel. DESTINATION: packets to a listener, or to a
// NAT address and its NAT ports. SOURCE: packets from a bridge, in destination NAT. OUTBOUND:
// packets from a bridge to these ports of anybody.
struct SteerRule {
  enum class Side : uint8_t { kDestination, kSource, kOutbound };
  Side side = Side::kDestination;
  std::array<uint8_t, 16> address{};  // network order; IPv4 as ::ffff:a.b.c.d
  uint16_t first_port = 0;            // host order, first_port <= last_port
  uint16_t last_port = 0;
  // Of listeners. Where the rules of two hold a port, the first one's.
  std::optional<SteerGuard> guard = std::nullopt;
};

// What the XDP program of a port has made of packets, since it was opened. None of these but the
// redirected ones ever reach the relay.
struct SteerCounts {
  uint64_t redirected = 0;  // given to the relay, missed ones included
  uint64_t passed = 0;      // left to the kernel
  std::array<uint64_t, kEarlyDropCount> dropped{};
};

// What a port lost before the relay could receive it, since it was opened.
struct PortLosses {
  uint64_t missed = 0;     // receive ring full
  uint64_t no_buffer = 0;  // no packet buffer free
  bool link_up = false;
};

struct PortOptions {
  std::string run_dir;        // where sockets and files of this relay live
  std::string steer_program;  // object file of the XDP program
};

// The DPDK lcore that carries worker `worker` (0-based); lcore 0 is the control thread.
constexpr unsigned LcoreOfWorker(unsigned worker) {
  return worker + 1;
}

class PortSet {
 public:
  // Errors are one line "<configuration key>: <what>; <remedy>". On an error nothing stays
  // attached. Must be called by the thread that becomes the control thread: the EAL pins it.
  static absl::StatusOr<std::unique_ptr<PortSet>> Open(const api::Dataplane& dataplane,
                                                       const PortOptions& options);
  // Stops and closes the ports, which detaches the XDP programs, and cleans the EAL up.
  ~PortSet();
  PortSet(const PortSet&) = delete;
  PortSet& operator=(const PortSet&) = delete;

  // In the order of Dataplane.ports.
  const std::vector<OpenPort>& ports() const;
  rte_mempool* pool() const;  // the one pool that every port receives into
  bool hugepages() const;     // false: ordinary pages, more TLB misses

  // Replaces the rules of every device: port. A packet that old and new rules both match is matched
  // at every moment in between, and what the guards of both let in is not dropped. Ports by vdev:
  // have no rules and receive everything.
  absl::Status SetSteerRules(std::span<const SteerRule> rules);

  PortLosses ReadLosses(size_t port) const;  // index into ports()
  // Nothing for a port without an XDP program.
  std::optional<SteerCounts> ReadSteerCounts(size_t port) const;
  // Packets that the ports' XDP programs have denied since the last call: a few of each second.
  std::vector<bh_refused> TakeRefused();
  // Error: a port's interface is gone, or its XDP program: see AfXdpPort::StillOpen.
  absl::Status StillOpen() const;

 private:
  struct State;
  explicit PortSet(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bridgehead::port
