#include "relay/port/af_xdp.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <errno.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/shared.h"
#include "relay/api/log.h"

namespace bridgehead::port {
namespace {

// Drivers without AF_XDP zero-copy, whose packets also come from this machine's own sockets and so
// may carry partial checksums.
constexpr std::array<std::string_view, 6> kVirtualDrivers = {"veth",    "tun",    "bridge",
                                                             "macvlan", "ipvlan", "dummy"};

bool IsVirtual(std::string_view driver) {
  return std::find(kVirtualDrivers.begin(), kVirtualDrivers.end(), driver) != kVirtualDrivers.end();
}

absl::Status PlanQueues(const InterfaceFacts& facts, unsigned workers, AfXdpPlan& plan) {
  if (facts.max_combined == 0) {
    plan.queues = 1;
    if (facts.rx_only > 1) {
      return absl::FailedPreconditionError(fmt::format(
          "\"{}\" has {} receive queues, of which AF_XDP can serve one on this driver ({}), and "
          "the "
          "packets of the others would bypass the relay; leave one with: ethtool -L {} rx 1{}",
          facts.name, facts.rx_only, facts.driver, facts.name,
          facts.driver == "veth" ? " (after `ethtool -L PEER tx 1` on its peer)" : ""));
    }
    return absl::OkStatus();
  }
  if (facts.rx_only > 0) {
    return absl::FailedPreconditionError(
        fmt::format("\"{}\" has receive-only queues beside its combined ones, which AF_XDP can not "
                    "serve; remove them with: ethtool -L {} rx 0",
                    facts.name, facts.name));
  }
  plan.queues =
      static_cast<uint16_t>(std::min({workers, facts.max_combined, unsigned{BH_STEER_MAX_QUEUES}}));
  plan.set_channels = facts.combined != plan.queues;
  if (plan.set_channels) {
    plan.notices.push_back(
        fmt::format("\"{}\" had {} channels, now {}: one per worker, so that no receive queue "
                    "bypasses the relay",
                    facts.name, facts.combined, plan.queues));
  }
  return absl::OkStatus();
}

std::vector<int> AfXdpSockets() {
  std::vector<int> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const int fd = std::atoi(entry.path().filename().c_str());
    int domain = 0;
    socklen_t size = sizeof(domain);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_XDP) {
      out.push_back(fd);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool IsZeroCopy(int fd) {
  xdp_options options{};
  socklen_t size = sizeof(options);
  return getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &size) == 0 &&
         (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

bool PrefersBusyPoll(int fd) {
  int value = 0;
  socklen_t size = sizeof(value);
  return getsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &value, &size) == 0 && value != 0;
}

absl::Status RemoveLeftover(const std::string& name, unsigned ifindex,
                            const AttachedProgram& program) {
  log::Warn("\"{}\": removing the XDP program of a relay that did not end in good order", name);
  return DetachProgram(ifindex, program);
}

absl::Status ClearForClaim(const InterfaceFacts& facts) {
  const absl::StatusOr<AttachedProgram> attached = QueryProgram(facts.ifindex);
  if (!attached.ok()) {
    return attached.status();
  }
  if (attached->id == 0) {
    return absl::OkStatus();
  }
  if (attached->name != BH_STEER_PROGRAM) {
    return absl::AlreadyExistsError(fmt::format(
        "\"{}\" already has an XDP program, \"{}\" (id {}); stop what uses it, or take it off "
        "with: "
        "ip link set dev {} xdp{} off",
        facts.name, attached->name, attached->id, facts.name, attached->generic ? "generic" : ""));
  }
  return RemoveLeftover(facts.name, facts.ifindex, *attached);
}

}  // namespace

void RemoveLeftovers() {
  for (const unsigned ifindex : InterfaceLock::Interfaces()) {
    // Held by this relay or by another one: at work. The file of an interface that is free or gone
    // goes with the lock.
    const absl::StatusOr<InterfaceLock> lock = InterfaceLock::Take(ifindex);
    char name[IF_NAMESIZE];
    if (!lock.ok() || if_indextoname(ifindex, name) == nullptr) {
      continue;
    }
    const absl::StatusOr<AttachedProgram> attached = QueryProgram(ifindex);
    absl::Status status = attached.status();
    if (attached.ok() && attached->id != 0 && attached->name == BH_STEER_PROGRAM) {
      status = RemoveLeftover(name, ifindex, *attached);
    }
    if (!status.ok()) {
      log::Warn("\"{}\", which another relay had: {}", name, std::string(status.message()));
    }
  }
}

absl::Status CheckProcess(const ProcessFacts& process) {
  if (!process.has_af_xdp) {
    return absl::UnimplementedError(
        "this kernel has no AF_XDP sockets; use one built with CONFIG_XDP_SOCKETS, as Debian's "
        "are, "
        "or a vdev: port");
  }
  if (!process.missing_capabilities.empty()) {
    return absl::PermissionDeniedError(
        fmt::format("no permission to attach to it ({} missing); start bridgehead-relay as root or "
                    "with these capabilities",
                    fmt::join(process.missing_capabilities, ", ")));
  }
  return absl::OkStatus();
}

absl::StatusOr<AfXdpPlan> PlanAfXdp(const InterfaceFacts& facts, unsigned workers, bool hugepages) {
  AfXdpPlan plan;
  if (absl::Status status = PlanQueues(facts, workers, plan); !status.ok()) {
    return status;
  }
  const bool is_virtual = IsVirtual(facts.driver);
  // Without hugepages neighbouring pages are not neighbours in memory, and a NIC can not write a
  // buffer that spans two of them.
  plan.force_copy = !hugepages && !is_virtual;
  plan.busy_poll = !is_virtual && !plan.force_copy;
  plan.partial_checksums = is_virtual || facts.driver == "virtio_net";
  plan.stop_vlan_stripping = facts.strips_vlan && facts.driver != "veth";
  if (plan.force_copy) {
    plan.notices.push_back(
        fmt::format("\"{}\": copy mode, as zero-copy needs hugepages", facts.name));
  }
  if (facts.driver == "veth" && facts.has_vlans) {
    plan.notices.push_back(fmt::format(
        "\"{}\" is a veth with VLANs: frames arrive without their tag unless the far end runs "
        "`ethtool -K PEER txvlan off`",
        facts.name));
  }
  return plan;
}

std::string AfXdpArguments(const InterfaceFacts& facts, const AfXdpPlan& plan,
                           const std::string& program) {
  return fmt::format("iface={},start_queue=0,queue_count={},xdp_prog={},busy_budget={}{}",
                     facts.name, plan.queues, program, plan.busy_poll ? 64 : 0,
                     plan.force_copy ? ",force_copy=1" : "");
}

absl::StatusOr<AfXdpPort> AfXdpPort::Claim(const std::string& device, unsigned workers) {
  absl::StatusOr<InterfaceFacts> facts = ReadInterface(device);
  if (!facts.ok()) {
    return facts.status();
  }
  if (absl::Status status = CheckProcess(ReadProcess()); !status.ok()) {
    return status;
  }
  if (!facts->up) {
    return absl::FailedPreconditionError(
        fmt::format("\"{}\" is down; bring it up with: ip link set dev {} up", device, device));
  }
  if (facts->mtu > kMaxAfXdpMtu) {
    return absl::FailedPreconditionError(fmt::format(
        "\"{}\" has an MTU of {}, but AF_XDP carries at most {}; lower it with: ip link "
        "set dev {} mtu 1500 (and at the other end)",
        device, facts->mtu, kMaxAfXdpMtu, device));
  }
  AfXdpPlan unused;
  if (absl::Status status = PlanQueues(*facts, workers, unused); !status.ok()) {
    return status;
  }
  absl::StatusOr<InterfaceLock> lock = InterfaceLock::Take(facts->ifindex);
  if (absl::IsAlreadyExists(lock.status())) {
    const std::string holder(lock.status().message());
    return absl::AlreadyExistsError(
        holder == std::to_string(getpid())
            ? fmt::format("\"{}\" is already another port's device; give each port its own", device)
            : fmt::format("\"{}\" is already used by another bridgehead-relay (pid {}); stop that "
                          "one or use another interface",
                          device, holder));
  }
  if (!lock.ok()) {
    return lock.status();
  }
  if (absl::Status status = ClearForClaim(*facts); !status.ok()) {
    return status;
  }
  return AfXdpPort(*std::move(facts), *std::move(lock));
}

AfXdpPort::~AfXdpPort() {
  if (!lock_) {
    return;
  }
  maps_.reset();
  // The driver detaches when it is closed, but not when it fails half-way.
  const absl::StatusOr<AttachedProgram> attached = QueryProgram(facts_.ifindex);
  if (attached.ok() && attached->name == BH_STEER_PROGRAM) {
    if (const absl::Status status = DetachProgram(facts_.ifindex, *attached); !status.ok()) {
      log::Error("\"{}\": {}", facts_.name, std::string(status.message()));
    }
  }
}

absl::Status AfXdpPort::Adjust(unsigned workers, bool hugepages) {
  absl::StatusOr<AfXdpPlan> plan = PlanAfXdp(facts_, workers, hugepages);
  if (!plan.ok()) {
    return plan.status();
  }
  plan_ = *std::move(plan);
  if (plan_.set_channels) {
    const absl::Status status = SetCombinedChannels(facts_.name, plan_.queues);
    if (!status.ok()) {
      return absl::FailedPreconditionError(
          fmt::format("\"{}\" has {} channels for {} workers, and setting them to {} failed ({}): "
                      "packets of the others would bypass the relay; set them with: ethtool -L {} "
                      "combined {}",
                      facts_.name, facts_.combined, workers, plan_.queues,
                      std::string(status.message()), facts_.name, plan_.queues));
    }
  }
  if (plan_.stop_vlan_stripping) {
    const absl::Status status = StopVlanStripping(facts_.name);
    plan_.notices.push_back(
        status.ok()
            ? fmt::format("\"{}\": turned VLAN stripping off, XDP needs the tag in the frame",
                          facts_.name)
            : fmt::format("\"{}\" strips VLAN tags and can not be told not to ({}): tagged frames "
                          "will look untagged",
                          facts_.name, std::string(status.message())));
  }
  for (const std::string& notice : plan_.notices) {
    log::Warn("{}", notice);
  }
  return absl::OkStatus();
}

void AfXdpPort::BeforeSockets() {
  sockets_before_ = AfXdpSockets();
}

absl::Status AfXdpPort::AfterSockets() {
  const std::vector<int> now = AfXdpSockets();
  sockets_.clear();
  std::set_difference(now.begin(), now.end(), sockets_before_.begin(), sockets_before_.end(),
                      std::back_inserter(sockets_));
  for (const int fd : sockets_) {
    if (IsZeroCopy(fd) && !PrefersBusyPoll(fd)) {
      return absl::FailedPreconditionError(
          fmt::format("\"{}\": this kernel has zero-copy AF_XDP but no preferred busy polling; use "
                      "Linux 5.11 or later",
                      facts_.name));
    }
  }
  const absl::StatusOr<AttachedProgram> attached = QueryProgram(facts_.ifindex);
  if (!attached.ok()) {
    return attached.status();
  }
  if (attached->generic) {
    log::Warn("\"{}\": driver {} has no XDP of its own, the kernel's slower generic XDP is used",
              facts_.name, facts_.driver);
  }
  absl::StatusOr<SteerMaps> maps = SteerMaps::Find(facts_.ifindex);
  if (!maps.ok()) {
    return maps.status();
  }
  maps_ = *std::move(maps);
  program_id_ = attached->id;
  log::Info("\"{}\": driver {}, {} queue(s), {}", facts_.name, facts_.driver, plan_.queues,
            !sockets_.empty() && IsZeroCopy(sockets_.front()) ? "zero-copy" : "copy mode");
  return absl::OkStatus();
}

absl::Status AfXdpPort::StillOpen() const {
  const unsigned ifindex = if_nametoindex(facts_.name.c_str());
  if (ifindex == 0 && errno == ENODEV) {
    return absl::UnavailableError(fmt::format("\"{}\" is gone", facts_.name));
  }
  if (ifindex != 0 && ifindex != facts_.ifindex) {
    return absl::UnavailableError(
        fmt::format("\"{}\" is another interface than the one that was opened", facts_.name));
  }
  const absl::StatusOr<uint32_t> program = QueryProgramId(facts_.ifindex);
  if (program.ok() && *program != program_id_) {
    return absl::UnavailableError(
        fmt::format("\"{}\": somebody took the relay's XDP program off", facts_.name));
  }
  return absl::OkStatus();
}

AfXdpLosses AfXdpPort::ReadLosses() const {
  AfXdpLosses out;
  for (const int fd : sockets_) {
    xdp_statistics stats{};
    socklen_t size = sizeof(stats);
    if (getsockopt(fd, SOL_XDP, XDP_STATISTICS, &stats, &size) == 0) {
      // rx_dropped counts packets for which there was no buffer, and ones too long for one.
      const uint64_t no_buffer =
          std::min<uint64_t>(stats.rx_fill_ring_empty_descs, stats.rx_dropped);
      out.no_buffer += no_buffer;
      out.missed += stats.rx_ring_full + stats.rx_dropped - no_buffer;
    }
  }
  return out;
}

}  // namespace bridgehead::port
