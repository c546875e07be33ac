// The mirror against a real kernel, in a network namespace of this process's own.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include <event2/event.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctrl/mirror/mirror.h"
#include "fmt/format.h"
#include "tests/unit/mirror_builder.h"

namespace bridgehead::mirror {
namespace {

using ::testing::ElementsAre;

constexpr char kMakeWan[] =
    "ip link add wan0 type veth peer name far0 && ip link set wan0 up && ip link set far0 up && "
    "ip addr add 192.0.2.1/24 dev wan0";

class MirrorNetns : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to make a network namespace";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    base_.reset(event_base_new());
    mirror_ = std::make_unique<Mirror>(base_.get(), [this] { ++changes_; });
    mirror_->SetDevices({"wan0", "lan0"});
  }
  void Run(const std::string& command) {
    ASSERT_EQ(system((command + " >&2").c_str()), 0) << command;  // NOLINT(cert-env33-c)
  }
  // Turns the loop until `done`, two seconds at most.
  template <typename Condition>
  bool Until(Condition done) {
    for (int i = 0; i < 200 && !done(); ++i) {
      timeval slice{0, 10'000};
      event_base_loopexit(base_.get(), &slice);
      event_base_dispatch(base_.get());
    }
    return done();
  }
  bool HasRoute(const std::string& prefix, uint32_t length, const std::string& gateway) const {
    for (const auto& route : mirror_->routing().routes()) {
      if (route.prefix() == Wire(prefix) && route.prefix_length() == length &&
          route.gateway() == (gateway.empty() ? "" : Wire(gateway)) && !route.unreachable()) {
        return true;
      }
    }
    return false;
  }
  bool IsUnreachable(const std::string& prefix, uint32_t length) const {
    const auto& routes = mirror_->routing().routes();
    return std::any_of(routes.begin(), routes.end(), [&](const api::Route& route) {
      return route.prefix() == Wire(prefix) && route.prefix_length() == length &&
             route.unreachable();
    });
  }
  bool HasNeighbour(const std::string& address) const {
    const auto& neighbours = mirror_->routing().neighbours();
    return std::any_of(neighbours.begin(), neighbours.end(), [&](const api::Neighbour& neighbour) {
      return neighbour.address() == Wire(address) && neighbour.mac() == kMacB;
    });
  }
  struct Free {
    void operator()(event_base* base) const { event_base_free(base); }
  };
  std::unique_ptr<event_base, Free> base_;
  std::unique_ptr<Mirror> mirror_;
  int changes_ = 0;
};

TEST_F(MirrorNetns, FollowsTheKernel) {
  Run(kMakeWan);
  Run("ip route add default via 192.0.2.254");
  ASSERT_TRUE(mirror_->Start().ok());
  ASSERT_TRUE(Until([&] { return changes_ > 0; }));
  ASSERT_TRUE(mirror_->ready());
  EXPECT_TRUE(HasRoute("0.0.0.0", 0, "192.0.2.254"));
  EXPECT_TRUE(HasRoute("192.0.2.0", 24, ""));
  EXPECT_EQ(mirror_->routing().interfaces_size(), 1);
  EXPECT_TRUE(mirror_->state().HasAddress(Ip("192.0.2.1")));

  // A device that appears later, with a VLAN on it.
  Run("ip link add lan0 type veth peer name far1 && ip link set lan0 up && ip link set far1 up && "
      "ip addr add 10.0.0.1/24 dev lan0");
  // Kernels may come without 802.1Q; mirror_routing_test.cc covers it on constructed messages.
  bool vlans = system(
                   "ip link add link lan0 name lan0.5 type vlan id 5 2>/dev/null && "  // NOLINT
                   "ip link set lan0.5 up && ip addr add 10.5.0.1/24 dev lan0.5") == 0;
  EXPECT_TRUE(Until([&] {
    return mirror_->routing().interfaces_size() == (vlans ? 3 : 2) &&
           HasRoute("10.0.0.0", 24, "") && (!vlans || HasRoute("10.5.0.0", 24, ""));
  }));

  // Neighbours.
  Run("ip neigh add 192.0.2.254 lladdr 02:00:00:00:00:0b dev wan0 nud reachable");
  EXPECT_TRUE(Until([&] {
    return mirror_->routing().neighbours_size() == 1 &&
           mirror_->routing().neighbours(0).mac() == kMacB;
  }));

  // The kernel takes the routes of a link that goes down away without a notification.
  Run("ip link set wan0 down");
  EXPECT_TRUE(Until([&] { return !HasRoute("0.0.0.0", 0, "192.0.2.254"); }));
  Run("ip link set wan0 up && ip route replace default via 192.0.2.254");
  EXPECT_TRUE(Until([&] { return HasRoute("0.0.0.0", 0, "192.0.2.254"); }));

  // Gone, and back under another index.
  Run("ip link del wan0");
  EXPECT_TRUE(Until([&] { return mirror_->routing().interfaces_size() == (vlans ? 2 : 1); }));
  Run(kMakeWan);
  EXPECT_TRUE(Until([&] { return HasRoute("192.0.2.0", 24, ""); }));
  EXPECT_EQ(mirror_->resyncs(), 0u);
}

TEST_F(MirrorNetns, FollowsTheKernelInIpv6) {
  Run(kMakeWan);
  Run("ip addr add 2001:db8::1/64 dev wan0 nodad");
  ASSERT_TRUE(mirror_->Start().ok());
  ASSERT_TRUE(Until([&] { return changes_ > 0; }));
  EXPECT_TRUE(HasRoute("2001:db8::", 64, ""));
  EXPECT_THAT(mirror_->own_addresses(), ElementsAre(Ip("192.0.2.1"), Ip("2001:db8::1")));

  // Behind a router that has only its link-local address, with its MAC.
  Run("ip route add ::/0 via fe80::fe dev wan0 && "
      "ip neigh add fe80::fe lladdr 02:00:00:00:00:0b dev wan0 nud reachable");
  EXPECT_TRUE(Until([&] { return HasRoute("::", 0, "fe80::fe") && HasNeighbour("fe80::fe"); }));
  EXPECT_FALSE(HasRoute("fe80::", 64, ""));
  EXPECT_TRUE(Until([&] { return IsUnreachable("2001:db8::1", 128); })) << "this machine's own";
  Run("ip neigh add 2001:db8::9 lladdr 02:00:00:00:00:0b dev wan0 nud permanent");
  EXPECT_TRUE(Until([&] { return HasNeighbour("2001:db8::9"); }));
  Run("ip route add unreachable 2001:db8:9::/48");
  EXPECT_TRUE(Until([&] { return IsUnreachable("2001:db8:9::", 48); }));

  // Several next hops, which come and go one by one.
  Run("ip route add 2001:db8:5::/48 via fe80::5 dev wan0 && "
      "ip route append 2001:db8:5::/48 via fe80::6 dev wan0");
  EXPECT_TRUE(Until([&] { return HasRoute("2001:db8:5::", 48, "fe80::5"); }));
  Run("ip route del 2001:db8:5::/48 via fe80::5 dev wan0");
  EXPECT_TRUE(Until([&] { return HasRoute("2001:db8:5::", 48, "fe80::6"); }));
  Run("ip route replace 2001:db8:5::/48 via fe80::7 dev wan0");
  EXPECT_TRUE(Until([&] { return HasRoute("2001:db8:5::", 48, "fe80::7"); }));
  Run("ip route del 2001:db8:5::/48");
  EXPECT_TRUE(Until([&] { return !HasRoute("2001:db8:5::", 48, "fe80::7"); }));

  // A link that goes down takes addresses and routes with it, and the kernel's IPv4 ones stay
  // known.
  Run("ip link set wan0 down");
  EXPECT_TRUE(Until([&] {
    return !HasRoute("::", 0, "fe80::fe") && !HasRoute("2001:db8::", 64, "") &&
           mirror_->own_addresses() == std::vector{Ip("192.0.2.1")};
  }));
  Run("ip link set wan0 up && ip addr add 2001:db8::2/64 dev wan0 nodad");
  EXPECT_TRUE(Until([&] {
    return HasRoute("2001:db8::", 64, "") && HasRoute("192.0.2.0", 24, "") &&
           mirror_->state().HasAddress(Ip("2001:db8::2"));
  }));
  EXPECT_EQ(mirror_->resyncs(), 0u);
}

TEST_F(MirrorNetns, IsReadyWhileAddressesNeverStandStill) {
  Run(kMakeWan);
  Run("for i in $(seq 0 19); do for j in $(seq 0 255); do echo address add 10.$i.$j.1/32 dev wan0; "
      "done; done | ip -batch -");
  // Deletes and adds addresses until this test ends, so that the kernel marks dumps as interrupted.
  const pid_t churn = fork();
  if (churn == 0) {
    setpgid(0, 0);
    alarm(20);
    execl(
        "/bin/sh", "sh", "-c",
        "while :; do echo address del 10.3.3.1/32 dev wan0; echo address add 10.3.3.1/32 dev wan0; "
        "sleep 0.002; "
        "done | ip -batch - >/dev/null 2>&1",
        nullptr);
    _exit(1);
  }
  ASSERT_TRUE(mirror_->Start().ok());
  EXPECT_TRUE(Until([&] { return mirror_->ready() && changes_ > 0; }));
  EXPECT_TRUE(mirror_->state().HasAddress(Ip("10.19.255.1")));
  kill(-churn, SIGKILL);  // the shell and what it has started
  waitpid(churn, nullptr, 0);
  Run("ip address add 10.20.0.1/32 dev wan0");
  EXPECT_TRUE(Until([&] { return mirror_->state().HasAddress(Ip("10.20.0.1")); }));
}

TEST_F(MirrorNetns, SurvivesAnOverflow) {
  Run(kMakeWan);
  ASSERT_TRUE(mirror_->Start().ok());
  ASSERT_TRUE(Until([&] { return changes_ > 0; }));
  // Far more notifications than the socket's buffer holds, while nobody reads.
  Run("seq 1 30000 | awk '{printf \"route add 10.%d.%d.0/24 via 192.0.2.9\\n\", "
      "int($1/256), $1%256}' | ip -batch -");
  Run("ip route del 10.0.1.0/24");
  EXPECT_TRUE(Until([&] { return HasRoute("10.117.48.0", 24, "192.0.2.9"); }));
  EXPECT_TRUE(Until([&] { return !HasRoute("10.0.1.0", 24, "192.0.2.9"); }));
  EXPECT_EQ(mirror_->routing().routes_size(), 30000 - 1 + 3);
  EXPECT_GE(mirror_->resyncs(), 1u);
}

}  // namespace
}  // namespace bridgehead::mirror
