#include "relay/port/steer_rules.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace bridgehead::port {

namespace {

bh_steer_side SideOf(SteerRule::Side side) {
  switch (side) {
    case SteerRule::Side::kDestination:
      return BH_STEER_DESTINATION;
    case SteerRule::Side::kSource:
      return BH_STEER_SOURCE;
    case SteerRule::Side::kOutbound:
      return BH_STEER_OUTBOUND;
  }
  return BH_STEER_DESTINATION;
}

}  // namespace

bool SteerKeyLess::operator()(const bh_steer_key& a, const bh_steer_key& b) const {
  return std::memcmp(&a, &b, sizeof(a)) < 0;  // no padding, see shared.h
}

absl::StatusOr<SteerTable> BuildSteerTable(std::span<const SteerRule> rules) {
  std::map<bh_steer_key, std::shared_ptr<bh_steer_ports>, SteerKeyLess> merged;
  for (const SteerRule& rule : rules) {
    if (rule.first_port > rule.last_port) {
      return absl::InvalidArgumentError(fmt::format("steering rule for ports {}-{} is upside down",
                                                    rule.first_port, rule.last_port));
    }
    bh_steer_key key{};
    key.side = SideOf(rule.side);
    std::copy(rule.address.begin(), rule.address.end(), key.address);
    std::shared_ptr<bh_steer_ports>& ports = merged[key];
    if (!ports) {
      ports = std::make_shared<bh_steer_ports>();
    }
    for (uint32_t port = rule.first_port; port <= rule.last_port; ++port) {
      ports->bits[port / 64] |= uint64_t{1} << port % 64;
    }
  }
  if (merged.size() > BH_STEER_MAX_RULES) {
    return absl::ResourceExhaustedError(
        fmt::format("{} addresses to steer, but an interface can hold {}; use fewer listener, NAT "
                    "and bridge addresses",
                    merged.size(), BH_STEER_MAX_RULES));
  }
  return SteerTable(merged.begin(), merged.end());
}

SteerRows::SteerRows() {
  for (uint32_t row = BH_STEER_MAX_RULES; row > 0; --row) {
    free_.push_back(row - 1);
  }
}

SteerChange SteerRows::ChangeTo(const SteerTable& wanted) {
  SteerChange change;
  std::vector<uint32_t> released;
  for (auto it = used_.begin(); it != used_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    change.removals.push_back(it->first);
    released.push_back(it->second.index);
    it = used_.erase(it);
  }
  // A row given away in the same change could show its new ports to a packet that has just found
  // its old key: so only when there is no other.
  change.remove_first = wanted.size() - used_.size() > free_.size();
  if (change.remove_first) {
    free_.insert(free_.begin(), released.begin(), released.end());
    released.clear();
  }
  for (const auto& [key, ports] : wanted) {
    const auto it = used_.find(key);
    if (it == used_.end()) {
      const uint32_t row = free_.back();
      free_.pop_back();
      used_.emplace(key, Row{row, ports});
      change.puts.push_back({key, row, ports, /*add_key=*/true});
    } else if (std::memcmp(it->second.ports.get(), ports.get(), sizeof(*ports)) != 0) {
      it->second.ports = ports;
      change.puts.push_back({key, it->second.index, ports, /*add_key=*/false});
    }
  }
  free_.insert(free_.begin(), released.begin(), released.end());
  return change;
}

}  // namespace bridgehead::port
