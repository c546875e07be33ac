#include "ctrl/proxy/route/source_list.h"

#include <algorithm>
#include <optional>
#include <string>

namespace bridgehead::proxy {
namespace {

using config::Address;

// Nothing behind the family's last one.
std::optional<Address> Next(const Address& address) {
  std::string bytes = address.bytes();
  for (size_t at = bytes.size(); at-- > 0;) {
    const auto byte = static_cast<uint8_t>(static_cast<uint8_t>(bytes[at]) + 1);
    bytes[at] = static_cast<char>(byte);
    if (byte != 0) return Address::FromBytes(bytes);
  }
  return std::nullopt;
}

}  // namespace

SourceList::SourceList(const config::SourceAccess& access) {
  std::vector<Rule> rules;
  for (const auto& prefix : access.allow) rules.push_back({prefix, true});
  for (const auto& prefix : access.deny) rules.push_back({prefix, false});
  Build(std::move(rules), access.allow.empty());
}

SourceList SourceList::Only(std::span<const config::Prefix> prefixes) {
  std::vector<Rule> rules;
  for (const auto& prefix : prefixes) rules.push_back({prefix, true});
  SourceList list;
  list.Build(std::move(rules), false);
  return list;
}

void SourceList::Begin(const Address& first, bool allowed) {
  // A range that another one begins with was empty.
  if (!ranges_.empty() && ranges_.back().first == first) ranges_.pop_back();
  if (ranges_.empty() || ranges_.back().allowed != allowed) ranges_.push_back({first, allowed});
}

void SourceList::Build(std::vector<Rule> rules, bool otherwise) {
  for (Rule& rule : rules) rule.prefix.address = rule.prefix.Network();
  // Each family has one prefix that holds all others. Of equal prefixes the last one decides.
  rules.push_back({{Address::V4(0), 0}, otherwise});
  rules.push_back({{*Address::FromBytes(std::string(16, '\0')), 0}, otherwise});
  std::rotate(rules.begin(), rules.end() - 2, rules.end());
  std::stable_sort(rules.begin(), rules.end(),
                   [](const Rule& a, const Rule& b) { return a.prefix < b.prefix; });
  std::vector<Rule> open;  // those that hold the address gone through to, from wide to narrow
  const auto close = [&] {
    const std::optional<Address> next = Next(open.back().prefix.Last());
    open.pop_back();
    if (next && !open.empty()) Begin(*next, open.back().allowed);
  };
  for (const Rule& rule : rules) {
    while (!open.empty() && !open.back().prefix.Contains(rule.prefix.address)) close();
    Begin(rule.prefix.address, rule.allowed);
    open.push_back(rule);
  }
  while (!open.empty()) close();
}

bool SourceList::Allows(const Address& source) const {
  const auto behind = std::upper_bound(
      ranges_.begin(), ranges_.end(), source,
      [](const Address& address, const Range& range) { return address < range.first; });
  return behind == ranges_.begin() || std::prev(behind)->allowed;
}

}  // namespace bridgehead::proxy
