// bridgehead-flood: an attacker at a media listener, for the demo and the tests. See
// bench/README.md.
//
// Sends frames from a packet socket, past the queueing discipline, many per system call, as fast as
// the kernel takes them or at a given rate, and prints once a second how many it has sent.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/flood/frames.h"

namespace bridgehead::flood {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kBurst = 64;

struct Options {
  std::string device;
  std::string to_mac;
  std::string address;
  uint16_t port = 10000;
  Kind kind = Kind::kStun;
  std::string ufrag_prefix;
  std::string source;
  uint64_t count = 0;  // frames; 0: until it is ended
  double rate = 0;     // frames a second; 0: as fast as it goes
  uint64_t seed = 1;
  int core = -1;
};

volatile sig_atomic_t stopped = 0;

bool ParseAddress(const std::string& text, Ipv6Address* address) {
  in_addr four{};
  if (inet_pton(AF_INET, text.c_str(), &four) == 1) {
    *address = Ipv6Address::Mapped(be32::FromRaw(four.s_addr));
    return true;
  }
  return inet_pton(AF_INET6, text.c_str(), address->bytes.data()) == 1;
}

bool ParseMac(const std::string& text, MacAddress* mac) {
  std::array<unsigned, 6> bytes{};
  int end = 0;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2],
                  &bytes[3], &bytes[4], &bytes[5], &end) != 6 ||
      static_cast<size_t>(end) != text.size()) {
    return false;
  }
  std::copy(bytes.begin(), bytes.end(), mac->begin());
  return true;
}

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << fmt::format("bridgehead-flood: {}: {}\n", what, std::strerror(errno));
  std::exit(1);
}

// A socket that sends whole frames out of `device`, and that device's MAC.
int OpenDevice(const std::string& device, MacAddress* mac) {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) Fail("packet socket");
  ifreq request{};
  device.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  if (ioctl(fd, SIOCGIFHWADDR, &request) != 0) Fail(device);
  std::memcpy(mac->data(), request.ifr_hwaddr.sa_data, mac->size());
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) Fail(device);
  const int on = 1;
  if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) != 0) {
    Fail("PACKET_QDISC_BYPASS");
  }
  return fd;
}

// How many frames may have been sent by now.
uint64_t Allowed(const Options& options, Clock::time_point began) {
  uint64_t allowed = options.count == 0 ? UINT64_MAX : options.count;
  if (options.rate > 0) {
    const std::chrono::duration<double> passed = Clock::now() - began;
    allowed = std::min(allowed, static_cast<uint64_t>(options.rate * passed.count()) + 1);
  }
  return allowed;
}

// Returns the number of frames sent.
uint64_t Run(const Options& options, int fd, Frames frames) {
  std::vector<uint8_t> memory(kBurst * frames.bytes());
  std::array<iovec, kBurst> pieces{};
  std::array<mmsghdr, kBurst> messages{};
  for (unsigned i = 0; i < kBurst; ++i) {
    pieces[i] = {memory.data() + i * frames.bytes(), frames.bytes()};
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const Clock::time_point began = Clock::now();
  Clock::time_point report = began;
  uint64_t sent = 0;
  while (stopped == 0 && (options.count == 0 || sent < options.count)) {
    const auto now = Clock::now();
    if (now >= report) {
      std::cout << sent << std::endl;
      report = now + std::chrono::seconds(1);
    }
    const uint64_t allowed = Allowed(options, began);
    if (allowed <= sent) {
      usleep(500);
      continue;
    }
    const auto burst = static_cast<unsigned>(std::min<uint64_t>(kBurst, allowed - sent));
    for (unsigned i = 0; i < burst; ++i) frames.Next(memory.data() + i * frames.bytes());
    for (unsigned done = 0; done < burst && stopped == 0;) {
      const int now_sent = sendmmsg(fd, &messages[done], burst - done, 0);
      if (now_sent > 0) {
        done += static_cast<unsigned>(now_sent);
        sent += static_cast<unsigned>(now_sent);
      } else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR) {
        Fail(options.device);
      }
    }
  }
  return sent;
}

int Main(int argc, char** argv) {
  const std::map<std::string, Kind> kinds{{"stun", Kind::kStun},
                                          {"garbage", Kind::kGarbage},
                                          {"replay", Kind::kReplay},
                                          {"ports", Kind::kPorts}};
  Options options;
  CLI::App app{"Floods a media listener with packets of clients that do not exist"};
  app.add_option("--device", options.device, "interface to send from")->required();
  app.add_option("--to-mac", options.to_mac, "MAC address of the next hop")->required();
  app.add_option("--to", options.address, "address of the listener, IPv4 or IPv6")->required();
  app.add_option("--port", options.port, "its port")->capture_default_str();
  app.add_option("--kind", options.kind,
                 "stun, garbage, replay (of one request) or ports (of one source)")
      ->transform(CLI::CheckedTransformer(kinds));
  app.add_option("--ufrag-prefix", options.ufrag_prefix, "what the bridge's ufrags begin with");
  app.add_option("--source", options.source, "source address of replay and ports");
  app.add_option("--count", options.count, "frames to send; 0: until a signal")
      ->capture_default_str();
  app.add_option("--rate", options.rate, "frames a second; 0: as fast as it goes")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seed", options.seed, "of the random numbers")->capture_default_str();
  app.add_option("--core", options.core, "core to run on");
  CLI11_PARSE(app, argc, argv);

  Target target;
  target.port = be16::FromHost(options.port);
  target.ufrag_prefix = options.ufrag_prefix;
  const auto wrong = [](const std::string& option, const std::string& value) {
    std::cerr << fmt::format("bridgehead-flood: {}: got '{}', expected an address\n", option,
                             value);
    return 2;
  };
  if (!ParseMac(options.to_mac, &target.to_mac)) return wrong("--to-mac", options.to_mac);
  if (!ParseAddress(options.address, &target.address)) return wrong("--to", options.address);
  const bool one_source = options.kind == Kind::kReplay || options.kind == Kind::kPorts;
  if (one_source && (!ParseAddress(options.source, &target.source) ||
                     target.source.IsMapped() != target.address.IsMapped())) {
    return wrong("--source", options.source);
  }
  if (options.core >= 0) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(static_cast<size_t>(options.core), &cores);
    if (sched_setaffinity(0, sizeof(cores), &cores) != 0) Fail("--core");
  }
  for (const int number : {SIGINT, SIGTERM}) std::signal(number, [](int) { stopped = 1; });
  const int fd = OpenDevice(options.device, &target.from_mac);
  std::cout << Run(options, fd, Frames(options.kind, target, options.seed)) << std::endl;
  close(fd);
  return 0;
}

}  // namespace
}  // namespace bridgehead::flood

int main(int argc, char** argv) {
  try {
    return bridgehead::flood::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bridgehead-flood: %s\n", error.what());
    return 1;
  }
}
