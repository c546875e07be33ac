// A port on a kernel interface: what has to be true before net_af_xdp may have it, the arguments it
// gets, and what is left to do around it.
//
// The facts behind the checks (DPDK 22.11, kernels 6.1 to 6.18):
// - net_af_xdp loads our program with libbpf and attaches it in native mode, in generic mode where
//   the driver has none. The program is attached by netlink, so it outlives a killed relay.
// - A receive queue without a socket is a hole: its packets go to the kernel in silence. So the
//   interface's channels are made as many as there are sockets, or the port is refused.
// - Each queue maps the whole packet pool as its UMEM, so a packet goes from one port to another
//   without a copy in user space. The pool has to be one contiguous piece of memory with no gaps
//   (pool.h), and one object of it, metadata included, may not exceed a page.
// - An empty receive ring: with busy_budget=0 the driver calls poll() with a timeout of one second
//   when the kernel asks to be woken, which would stop the worker for all ports. In copy mode the
//   kernel never asks, so 0 is right there and costs no system call. In zero-copy mode it does ask,
//   and busy_budget must not be 0: the driver then makes one non-blocking recvfrom() per empty
//   poll.
// - VLAN tags: XDP sees the bytes of the frame and nothing of the skb's metadata. A NIC that strips
//   tags makes tagged frames look untagged, so stripping is turned off. Across a veth the *sender*
//   decides: with tx-vlan-offload on, its default, a VLAN interface on the far end leaves the tag
//   in metadata, and a native program on this end sees an untagged frame; nothing on this end can
//   bring it back (rxvlan here has no effect). The remedy is `ethtool -K PEER txvlan off` on the
//   far end. What the relay itself sends is tagged in the frame and arrives tagged.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "relay/port/host.h"
#include "relay/port/interface_lock.h"
#include "relay/port/limits.h"
#include "relay/port/steer_maps.h"

namespace bridgehead::port {

// Receive buffers that net_af_xdp puts into the kernel's hands, per queue.
inline constexpr uint32_t kAfXdpBuffersPerQueue = 2048;

struct AfXdpPlan {
  uint16_t queues = 1;
  bool set_channels = false;  // to `queues` combined ones
  bool stop_vlan_stripping = false;
  bool busy_poll = false;
  bool force_copy = false;
  bool partial_checksums = false;    // when left to us
  std::vector<std::string> notices;  // for the log
};

// Errors say what and the remedy; the caller puts the key in front.
absl::Status CheckProcess(const ProcessFacts& process);
absl::StatusOr<AfXdpPlan> PlanAfXdp(const InterfaceFacts& facts, unsigned workers, bool hugepages);

std::string AfXdpArguments(const InterfaceFacts& facts, const AfXdpPlan& plan,
                           const std::string& program);

struct AfXdpLosses {
  uint64_t missed = 0;
  uint64_t no_buffer = 0;
};

// Takes the programs of relays that did not end in good order off the interfaces that nobody holds,
// whether or not this relay is to have them: packets that they redirect reach nobody. What can not
// be done is logged.
void RemoveLeftovers();

// Holds the interface from Claim to its destructor, which leaves no program of ours behind.
class AfXdpPort {
 public:
  // Checks, locks, and removes what a dead relay left on it. Changes nothing else.
  static absl::StatusOr<AfXdpPort> Claim(const std::string& device, unsigned workers);
  AfXdpPort(AfXdpPort&&) = default;
  AfXdpPort& operator=(AfXdpPort&&) = default;
  ~AfXdpPort();

  // Channels and VLAN stripping, before net_af_xdp looks at them.
  absl::Status Adjust(unsigned workers, bool hugepages);
  // Around the creation of the driver's sockets, to tell them from other ports'.
  void BeforeSockets();
  absl::Status AfterSockets();

  const InterfaceFacts& facts() const { return facts_; }
  const AfXdpPlan& plan() const { return plan_; }
  absl::Status Apply(const SteerTable& table) { return maps_->Apply(table); }
  SteerCounts ReadSteerCounts() const { return maps_->ReadCounts(); }
  std::vector<bh_refused> TakeRefused() { return maps_->TakeRefused(); }
  AfXdpLosses ReadLosses() const;
  bool LinkUp() const { return LinkIsUp(facts_.name); }
  // Error: the interface, or the program on it, is no longer the one that was opened, so that no
  // packet can come any more. What cannot be found out is no error.
  absl::Status StillOpen() const;

 private:
  AfXdpPort(InterfaceFacts facts, InterfaceLock lock)
      : facts_(std::move(facts)), lock_(std::move(lock)) {}

  InterfaceFacts facts_;
  AfXdpPlan plan_;
  std::optional<InterfaceLock> lock_;
  std::optional<SteerMaps> maps_;
  uint32_t program_id_ = 0;
  std::vector<int> sockets_before_;
  std::vector<int> sockets_;  // the driver's, not ours to close
};

}  // namespace bridgehead::port
