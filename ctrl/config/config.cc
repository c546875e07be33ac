#include "ctrl/config/config.h"

#include <algorithm>

#include "fmt/format.h"
#include "relay/port/limits.h"

namespace bridgehead::config {

namespace {

// As the relay lays out its pool (relay/port/pool.cc): headers of the object and the mbuf, and room
// for the largest frame behind its headrooms, in an odd number of cache lines.
uint64_t BytesPerPacket(const Config& config, uint32_t mtu) {
  bool any_device = false;
  for (const Port& port : config.dataplane.ports) {
    any_device = any_device || !port.device.empty();
    if (port.device.empty()) mtu = std::max(mtu, port.mtu);
  }
  constexpr uint64_t kHeaders = 64 + 128, kHeadroom = 128, kXdpHeadroom = 256, kEthernet = 18;
  constexpr uint64_t kLeastRoom = kHeadroom + 2048, kLine = 64, kPage = 4096;
  const uint64_t room = kHeadroom + (any_device ? kXdpHeadroom : 0) + kEthernet + mtu;
  uint64_t lines = (kHeaders + std::max(room, kLeastRoom) + kLine - 1) / kLine;
  if (lines % 2 == 0 && !(any_device && lines * kLine == kPage)) ++lines;
  return lines * kLine;
}

}  // namespace

std::string PlacedListener::BridgesKey() const {
  return path + (listener->octo ? ".bridge" : ".bridges");
}

std::string PlacedListener::BridgeKey(size_t place) const {
  return listener->octo ? BridgesKey() : fmt::format("{}[{}]", BridgesKey(), place);
}

std::vector<PlacedListener> AllListeners(const Config& config) {
  std::vector<PlacedListener> all;
  for (size_t i = 0; i < config.media.size(); i++) {
    all.push_back({fmt::format("media[{}]", i), &config.media[i]});
  }
  for (size_t i = 0; i < config.octo.size(); i++) {
    all.push_back({fmt::format("octo[{}]", i), &config.octo[i]});
  }
  return all;
}

std::vector<PlacedAddress> AllNatAddresses(const Config& config) {
  std::vector<PlacedAddress> all;
  const auto add = [&](const char* list, const std::vector<Address>& addresses) {
    for (size_t i = 0; i < addresses.size(); i++) {
      const bool known = std::any_of(all.begin(), all.end(), [&](const PlacedAddress& placed) {
        return placed.address == addresses[i];
      });
      if (!known) all.push_back({fmt::format("{}[{}]", list, i), addresses[i]});
    }
  };
  add("dataplane.nat_addresses", config.dataplane.nat_addresses);
  add("outbound.addresses", config.outbound.addresses);
  return all;
}

MemoryEstimate EstimateMemory(const Config& config, uint32_t device_mtu) {
  // Record of two cache lines, its places in the flow table and the timer wheel, and the count of
  // its source.
  constexpr uint64_t kBytesPerSession = 168;
  // What remembers sources and their rates: of a fixed size.
  constexpr uint64_t kBytesPerWorker = uint64_t{9} << 20;
  // Session number, taken bit and place in the quarantine queue.
  constexpr uint64_t kBytesPerNatPort = 11;
  const Dataplane& dataplane = config.dataplane;
  MemoryEstimate estimate;
  estimate.sessions =
      dataplane.workers.size() * (dataplane.max_sessions * kBytesPerSession + kBytesPerWorker);
  estimate.nat_ports =
      AllNatAddresses(config).size() * uint64_t{dataplane.nat_ports.count()} * kBytesPerNatPort;
  estimate.packet_buffers = dataplane.packet_buffers * BytesPerPacket(config, device_mtu);
  estimate.dpdk_itself = port::kOtherDpdkMemory;
  return estimate;
}

}  // namespace bridgehead::config
