// Which addresses may use something: longest-prefix lookup in SourceAccess.
//
// Prefixes nest or are apart, so they cut the address space into ranges of one verdict each. Those
// are made once; a lookup is a binary search among their begins.
#pragma once

#include <span>
#include <vector>

#include "ctrl/config/edge.h"

namespace bridgehead::proxy {

class SourceList {
 public:
  // Everybody is allowed.
  SourceList() = default;
  // A prefix in both lists is denied.
  explicit SourceList(const config::SourceAccess& access);
  // Only these, and nobody if there are none: Host::trusted_proxies, accept_proxy_from.
  static SourceList Only(std::span<const config::Prefix> prefixes);

  // `source`: not empty; IPv4-mapped addresses are IPv4 already (SocketAddress sees to that).
  bool Allows(const config::Address& source) const;

 private:
  struct Range {
    config::Address first;  // up to the next one's
    bool allowed;
  };
  struct Rule {
    config::Prefix prefix;
    bool allowed;
  };
  void Build(std::vector<Rule> rules, bool otherwise);
  void Begin(const config::Address& first, bool allowed);

  std::vector<Range> ranges_;  // sorted; IPv4 in front of IPv6
};

}  // namespace bridgehead::proxy
