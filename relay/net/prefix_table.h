// Values by address prefix, found by the longest match: routes, access lists. Built once, then only
// read. One hash table for each prefix length in use, asked from the longest on.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "relay/net/family.h"

namespace bridgehead {

template <class Family, class Value>
class PrefixTable {
 public:
  using Address = typename Family::Address;
  static constexpr size_t kBits = sizeof(Address) * 8;

  // False: the prefix is there already, or none can be so long.
  bool Add(const Address& prefix, uint32_t length, const Value& value) {
    if (length > kBits || !tables_[length].emplace(PrefixOf(prefix, length), value).second) {
      return false;
    }
    if (tables_[length].size() == 1) {
      auto shorter = lengths_.begin();
      while (shorter != lengths_.end() && *shorter > length) ++shorter;
      lengths_.insert(shorter, static_cast<uint8_t>(length));
    }
    return true;
  }

  // The value of the longest prefix of `address`, or nullptr.
  const Value* Find(const Address& address) const {
    for (uint8_t length : lengths_) {
      auto found = tables_[length].find(PrefixOf(address, length));
      if (found != tables_[length].end()) return &found->second;
    }
    return nullptr;
  }

  template <class Visit>
  void ForEach(Visit&& visit) const {
    for (const auto& table : tables_) {
      for (const auto& [prefix, value] : table) visit(value);
    }
  }

  // visit(prefix, length, value), in no order.
  template <class Visit>
  void ForEachPrefix(Visit&& visit) const {
    for (size_t length = 0; length < tables_.size(); ++length) {
      for (const auto& [prefix, value] : tables_[length]) visit(AddressOf(prefix), length, value);
    }
  }

  bool operator==(const PrefixTable& other) const { return tables_ == other.tables_; }

 private:
  using Prefix = std::pair<uint64_t, uint64_t>;  // host bits zero; IPv4 only has the second

  static uint64_t Mask(size_t length) {
    return length == 0 ? 0 : length >= 64 ? ~uint64_t{0} : ~uint64_t{0} << (64 - length);
  }
  static Prefix PrefixOf(be32 address, size_t length) {
    return {0, address.ToHost() & Mask(length) >> 32};
  }
  static Prefix PrefixOf(const Ipv6Address& address, size_t length) {
    return {__builtin_bswap64(address.High()) & Mask(length),
            __builtin_bswap64(address.Low()) & Mask(length < 64 ? 0 : length - 64)};
  }
  static Address AddressOf(const Prefix& prefix) {
    if constexpr (std::is_same_v<Address, be32>) {
      return be32::FromHost(static_cast<uint32_t>(prefix.second));
    } else {
      Address address;
      const uint64_t halves[] = {__builtin_bswap64(prefix.first), __builtin_bswap64(prefix.second)};
      memcpy(address.bytes.data(), halves, sizeof(halves));
      return address;
    }
  }

  std::array<absl::flat_hash_map<Prefix, Value>, kBits + 1> tables_;  // by prefix length
  std::vector<uint8_t> lengths_;                                      // in use, longest first
};

// The same for addresses of either family.
template <class Value>
class AnyPrefixTable {
 public:
  bool Add(const Ipv6Address& prefix, uint32_t length, const Value& value) {
    return prefix.IsMapped() ? v4_.Add(prefix.Unmapped(), length, value)
                             : v6_.Add(prefix, length, value);
  }
  const Value* Find(const Ipv6Address& address) const {
    return address.IsMapped() ? v4_.Find(address.Unmapped()) : v6_.Find(address);
  }
  template <class Visit>
  void ForEach(Visit&& visit) const {
    v4_.ForEach(visit);
    v6_.ForEach(visit);
  }
  // visit(prefix, bits, value), in no order: IPv4 mapped, its lengths are 96 more.
  template <class Visit>
  void ForEachPrefix(Visit&& visit) const {
    v4_.ForEachPrefix([&](be32 prefix, size_t length, const Value& value) {
      visit(Ipv6Address::Mapped(prefix), 96 + length, value);
    });
    v6_.ForEachPrefix(visit);
  }
  bool operator==(const AnyPrefixTable& other) const = default;

 private:
  PrefixTable<Ipv4, Value> v4_;
  PrefixTable<Ipv6, Value> v6_;
};

}  // namespace bridgehead
