#include "relay/port/host.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bridgehead::port {
namespace {

// One socket for a few ioctls about one interface.
class Query {
 public:
  explicit Query(const std::string& interface)
      : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    std::strncpy(request_.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  }
  ~Query() { close(fd_); }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  bool Run(unsigned long what) { return ioctl(fd_, what, &request_) == 0; }
  template <typename Command>
  bool Ethtool(Command& command) {
    request_.ifr_data = reinterpret_cast<char*>(&command);
    return Run(SIOCETHTOOL);
  }
  const ifreq& answer() const { return request_; }

 private:
  int fd_;
  ifreq request_{};
};

std::string InterfaceNames() {
  std::vector<std::string> names;
  if (struct if_nameindex* all = if_nameindex(); all != nullptr) {
    for (const struct if_nameindex* it = all; it->if_index != 0; ++it) {
      if (std::strcmp(it->if_name, "lo") != 0) {
        names.emplace_back(it->if_name);
      }
    }
    if_freenameindex(all);
  }
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

// Lines "name | id | device" behind two of heading; absent without the 8021q module. It is read of
// this process's network namespace, unlike /sys, which shows the one it was mounted in.
bool HasVlans(const std::string& device) {
  std::ifstream file("/proc/thread-self/net/vlan/config");
  std::string line;
  while (std::getline(file, line)) {
    if (line.ends_with("| " + device)) {
      return true;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<InterfaceFacts> ReadInterface(const std::string& name) {
  Query query(name);
  InterfaceFacts facts;
  facts.name = name;
  if (name.size() >= IFNAMSIZ || !query.Run(SIOCGIFINDEX)) {
    return absl::NotFoundError(
        fmt::format("no interface \"{}\"; those there are: {}", name, InterfaceNames()));
  }
  facts.ifindex = static_cast<unsigned>(query.answer().ifr_ifindex);
  if (query.Run(SIOCGIFFLAGS)) {
    facts.up = (query.answer().ifr_flags & IFF_UP) != 0;
  }
  if (query.Run(SIOCGIFMTU)) {
    facts.mtu = static_cast<uint32_t>(query.answer().ifr_mtu);
  }
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  if (query.Ethtool(driver)) {
    facts.driver = driver.driver;
  }
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (query.Ethtool(channels)) {
    facts.combined = channels.combined_count;
    facts.max_combined = channels.max_combined;
    facts.rx_only = channels.rx_count;
  }
  ethtool_value flags{};
  flags.cmd = ETHTOOL_GFLAGS;
  if (query.Ethtool(flags)) {
    facts.strips_vlan = (flags.data & ETH_FLAG_RXVLAN) != 0;
  }
  facts.has_vlans = HasVlans(name);
  return facts;
}

bool LinkIsUp(const std::string& name) {
  Query query(name);
  return query.Run(SIOCGIFFLAGS) && (query.answer().ifr_flags & IFF_RUNNING) != 0;
}

ProcessFacts ReadProcess() {
  ProcessFacts facts;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  syscall(SYS_capget, &header, data);
  const auto has = [&](unsigned capability) {
    return (data[capability / 32].effective >> capability % 32 & 1) != 0;
  };
  for (const auto& [capability, name] :
       {std::pair{CAP_NET_ADMIN, "CAP_NET_ADMIN"}, std::pair{CAP_NET_RAW, "CAP_NET_RAW"}}) {
    if (!has(static_cast<unsigned>(capability))) {
      facts.missing_capabilities.emplace_back(name);
    }
  }
  if (!has(CAP_BPF) && !has(CAP_SYS_ADMIN)) {
    facts.missing_capabilities.emplace_back("CAP_BPF");
  }
  const int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  facts.has_af_xdp = fd >= 0 || (errno != EAFNOSUPPORT && errno != EINVAL);
  if (fd >= 0) {
    close(fd);
  }
  return facts;
}

std::vector<unsigned> AllowedCores() {
  std::vector<unsigned> cores;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) {
        cores.push_back(core);
      }
    }
  }
  return cores;
}

absl::Status SetCombinedChannels(const std::string& interface, uint32_t count) {
  Query query(interface);
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (query.Ethtool(channels)) {
    channels.cmd = ETHTOOL_SCHANNELS;
    channels.combined_count = count;
    if (query.Ethtool(channels)) {
      return absl::OkStatus();
    }
  }
  return absl::InternalError(std::strerror(errno));
}

absl::Status StopVlanStripping(const std::string& interface) {
  Query query(interface);
  ethtool_value flags{};
  flags.cmd = ETHTOOL_GFLAGS;
  if (query.Ethtool(flags)) {
    flags.cmd = ETHTOOL_SFLAGS;
    flags.data &= ~static_cast<uint32_t>(ETH_FLAG_RXVLAN);
    if (query.Ethtool(flags)) {
      flags.cmd = ETHTOOL_GFLAGS;
      if (query.Ethtool(flags) && (flags.data & ETH_FLAG_RXVLAN) == 0) {
        return absl::OkStatus();
      }
      errno = EOPNOTSUPP;
    }
  }
  return absl::InternalError(std::strerror(errno));
}

}  // namespace bridgehead::port
