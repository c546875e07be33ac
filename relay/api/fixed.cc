#include "relay/api/fixed.h"

#include <algorithm>

namespace bridgehead {

std::vector<std::string> FixedKeysThatDiffer(const api::Snapshot& a, const api::Snapshot& b) {
  const api::Dataplane& x = a.dataplane();
  const api::Dataplane& y = b.dataplane();
  auto same = [](const auto& p, const auto& q) {
    return std::equal(p.begin(), p.end(), q.begin(), q.end());
  };
  auto same_messages = [](const auto& p, const auto& q) {
    return std::equal(p.begin(), p.end(), q.begin(), q.end(), [](const auto& m, const auto& n) {
      return m.SerializeAsString() == n.SerializeAsString();
    });
  };
  std::vector<std::string> keys;
  auto note = [&](const char* key, bool equal) {
    if (!equal) keys.emplace_back(key);
  };
  note("dataplane.workers", same(x.workers(), y.workers()));
  note("dataplane.idle", x.idle() == y.idle());
  note("dataplane.hugepages", x.hugepages() == y.hugepages());
  note("dataplane.max_sessions", x.max_sessions() == y.max_sessions());
  note("dataplane.packet_buffers", x.packet_buffers() == y.packet_buffers());
  note("dataplane.nat_addresses", same(a.nat().addresses(), b.nat().addresses()));
  note("outbound.addresses", same(a.nat().outside_addresses(), b.nat().outside_addresses()));
  note("dataplane.nat_ports",
       a.nat().ports().SerializeAsString() == b.nat().ports().SerializeAsString());
  note("dataplane.ports", same_messages(x.ports(), y.ports()));
  // A part that has no line above is no less fixed.
  const bool differs = x.SerializeAsString() != y.SerializeAsString() ||
                       a.nat().SerializeAsString() != b.nat().SerializeAsString();
  if (keys.empty() && differs) keys.emplace_back("dataplane");
  return keys;
}

}  // namespace bridgehead
