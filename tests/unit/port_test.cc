// Ports, as far as they go without a kernel: cores, memory, the plan for an
// interface, the pool's layout, and the lock.
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "relay/port/af_xdp.h"
#include "relay/port/eal.h"
#include "relay/port/ethdev.h"
#include "relay/port/interface_lock.h"
#include "relay/port/pool.h"

namespace bridgehead::port {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Cores, OneLcorePerWorkerAndTheRestForControl) {
  const std::vector<unsigned> allowed = {0, 1, 2, 3, 6};
  EXPECT_EQ(*LcoresArgument(std::vector<uint32_t>{6, 1}, allowed), "(0)@(0,2-3),1@6,2@1");
  EXPECT_EQ(*LcoresArgument(std::vector<uint32_t>{0, 1}, std::vector<unsigned>{0, 1}),
            "(0)@(0-1),1@0,2@1");
}

TEST(Cores, ErrorsNameTheKey) {
  const std::vector<unsigned> allowed = {0, 1, 2, 5};
  const auto error = [&](std::vector<uint32_t> workers) {
    return std::string(LcoresArgument(workers, allowed).status().message());
  };
  EXPECT_EQ(
      error({1, 3}),
      "dataplane.workers[1]: core 3 is not there or not allowed to this process; use cores of "
      "0-2,5");
  EXPECT_EQ(error({1, 1}),
            "dataplane.workers[1]: core 1 is listed twice; give each worker its own core");
  EXPECT_EQ(error({}), "dataplane.workers: no core is listed; list at least one, for example [1]");
}

constexpr uint64_t kMib = 1 << 20;

TEST(Memory, HugepagesWhenThereAreEnoughOfOneSize) {
  const std::vector<HugepagePool> two_sizes = {{2 * kMib, 40}, {1024 * kMib, 0}};
  EXPECT_TRUE(PlanMemory(api::Dataplane::HUGEPAGES_AUTO, 80 * kMib, two_sizes)->hugepages);
  const auto plan = PlanMemory(api::Dataplane::HUGEPAGES_AUTO, 80 * kMib + 1, two_sizes);
  EXPECT_FALSE(plan->hugepages);
  EXPECT_EQ(plan->megabytes, 81u);
  EXPECT_THAT(plan->notice, HasSubstr("81 MiB of free hugepages are needed, 80 MiB are there"));
  EXPECT_THAT(plan->notice, HasSubstr("echo 41 > /proc/sys/vm/nr_hugepages"));
  const auto off = PlanMemory(api::Dataplane::HUGEPAGES_OFF, kMib, two_sizes);
  EXPECT_FALSE(off->hugepages);
  EXPECT_EQ(off->notice, "");
}

TEST(Memory, RequiredHugepagesMissing) {
  EXPECT_EQ(PlanMemory(api::Dataplane::HUGEPAGES_REQUIRE, 100 * kMib, {}).status().message(),
            "dataplane.hugepages: 100 MiB of free hugepages are needed, 0 MiB are there; get them "
            "with: echo 50 > /proc/sys/vm/nr_hugepages");
}

InterfaceFacts Nic(uint32_t combined, uint32_t max_combined) {
  InterfaceFacts facts;
  facts.name = "eth0";
  facts.driver = "ice";
  facts.combined = combined;
  facts.max_combined = max_combined;
  return facts;
}

TEST(AfXdp, ANicGetsAsManyChannelsAsThereAreWorkers) {
  const AfXdpPlan fewer = *PlanAfXdp(Nic(8, 16), 2, true);
  EXPECT_EQ(fewer.queues, 2);
  EXPECT_TRUE(fewer.set_channels);
  EXPECT_THAT(fewer.notices, ElementsAre(HasSubstr("\"eth0\" had 8 channels, now 2")));
  const AfXdpPlan same = *PlanAfXdp(Nic(2, 16), 2, true);
  EXPECT_FALSE(same.set_channels);
  EXPECT_EQ(PlanAfXdp(Nic(1, 1), 4, true)->queues, 1);
  InterfaceFacts mixed = Nic(2, 16);
  mixed.rx_only = 2;
  EXPECT_THAT(std::string(PlanAfXdp(mixed, 2, true).status().message()),
              HasSubstr("ethtool -L eth0 rx 0"));
}

TEST(AfXdp, TheWorkerCanNeverBlock) {
  InterfaceFacts veth;
  veth.name = "veth0";
  veth.driver = "veth";
  veth.rx_only = 1;
  veth.strips_vlan = true;
  const AfXdpPlan copy = *PlanAfXdp(veth, 2, false);
  EXPECT_EQ(AfXdpArguments(veth, copy, "/p.o"),
            "iface=veth0,start_queue=0,queue_count=1,xdp_prog=/p.o,busy_budget=0");
  EXPECT_TRUE(copy.partial_checksums);
  EXPECT_FALSE(copy.stop_vlan_stripping);
  EXPECT_EQ(AfXdpArguments(Nic(2, 2), *PlanAfXdp(Nic(2, 2), 2, true), "/p.o"),
            "iface=eth0,start_queue=0,queue_count=2,xdp_prog=/p.o,busy_budget=64");
  // Copy mode is forced, and the kernel never asks to be woken in it.
  EXPECT_EQ(AfXdpArguments(Nic(2, 2), *PlanAfXdp(Nic(2, 2), 2, false), "/p.o"),
            "iface=eth0,start_queue=0,queue_count=2,xdp_prog=/p.o,busy_budget=0,force_copy=1");
}

TEST(AfXdp, VlanTagsStayInTheFrame) {
  InterfaceFacts nic = Nic(1, 1);
  nic.strips_vlan = true;
  EXPECT_TRUE(PlanAfXdp(nic, 1, true)->stop_vlan_stripping);
  InterfaceFacts veth;
  veth.name = "veth0";
  veth.driver = "veth";
  veth.has_vlans = true;
  EXPECT_THAT(PlanAfXdp(veth, 1, true)->notices,
              ElementsAre(HasSubstr("ethtool -K PEER txvlan off")));
}

TEST(AfXdp, ProcessErrors) {
  EXPECT_TRUE(CheckProcess({}).ok());
  EXPECT_THAT(std::string(CheckProcess({{"CAP_BPF"}, true}).message()),
              HasSubstr("no permission to attach to it (CAP_BPF missing)"));
  EXPECT_THAT(std::string(CheckProcess({{}, false}).message()), HasSubstr("CONFIG_XDP_SOCKETS"));
}

TEST(Pool, LayoutFitsEveryMtu) {
  for (uint32_t mtu = 1280; mtu <= kMaxAfXdpMtu; ++mtu) {
    const PoolLayout layout = LayOutPool(4096, mtu, true);
    // What the kernel can write: the object less its headers, 128 of headroom and XDP's 256.
    ASSERT_GE(layout.object_bytes - 64 - 128 - 128 - 256, mtu + 18) << mtu;
    ASSERT_LE(layout.object_bytes, 4096u) << mtu;
    ASSERT_GE(layout.object_bytes, 2048u) << mtu;  // XDP_UMEM_MIN_CHUNK_SIZE
    ASSERT_EQ(layout.object_bytes % 64, 0u);
    ASSERT_EQ(layout.object_bytes, 64u + 128 + layout.data_room);
    ASSERT_TRUE(layout.object_bytes / 64 % 2 == 1 || layout.object_bytes == 4096) << mtu;
  }
  EXPECT_GE(LayOutPool(4096, 9000, false).data_room, 128 + 9018);
}

TEST(Vdev, NameAndArguments) {
  EXPECT_EQ(SplitVdev("net_memif0,role=client,id=1").name, "net_memif0");
  EXPECT_EQ(SplitVdev("net_memif0,role=client,id=1").arguments, "role=client,id=1");
  EXPECT_EQ(SplitVdev("net_null0").name, "net_null0");
  EXPECT_EQ(SplitVdev("net_null0").arguments, "");
}

TEST(InterfaceLock, OneHolderNamedByItsPid) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("port-test-lock-" + std::to_string(getpid()));
  std::filesystem::create_directories(directory);
  {
    const auto first = InterfaceLock::Take(7, directory);
    ASSERT_TRUE(first.ok()) << first.status();
    const auto second = InterfaceLock::Take(7, directory);
    EXPECT_TRUE(absl::IsAlreadyExists(second.status()));
    EXPECT_EQ(second.status().message(), std::to_string(getpid()));
    EXPECT_TRUE(InterfaceLock::Take(8, directory).ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  EXPECT_TRUE(InterfaceLock::Take(7, directory).ok());
  EXPECT_THAT(
      std::string(InterfaceLock::Take(7, directory / "gone" / "further").status().message()),
      HasSubstr("can not make"));
  std::filesystem::remove_all(directory);
}

TEST(InterfaceLock, ListsHeldAndLeftOnesOfThisNamespace) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("port-test-list-" + std::to_string(getpid()));
  EXPECT_TRUE(InterfaceLock::Interfaces(directory).empty());
  {
    const auto held = InterfaceLock::Take(8, directory);
    ASSERT_TRUE(held.ok()) << held.status();
    // What a relay that was killed leaves: the file, with nobody's lock on it.
    const std::string mine = std::filesystem::directory_iterator(directory)->path().filename();
    const std::string netns = mine.substr(0, mine.find('-'));
    std::ofstream(directory / (netns + "-7.lock")) << "1234";
    std::ofstream(directory / "1-9.lock") << "of another network namespace";
    std::ofstream(directory / "nonsense") << "";
    EXPECT_THAT(InterfaceLock::Interfaces(directory), testing::ElementsAre(7u, 8u));
    EXPECT_TRUE(InterfaceLock::Take(7, directory).ok());
    EXPECT_THAT(InterfaceLock::Interfaces(directory), testing::ElementsAre(8u));
  }
  EXPECT_TRUE(InterfaceLock::Interfaces(directory).empty());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace bridgehead::port
