#include "ctrl/proxy/http/header_id.h"

#include <algorithm>
#include <array>

#include "ctrl/proxy/http/grammar.h"

namespace bridgehead::proxy {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(HeaderId::kCount)> kNames = {
    "",
#define BRIDGEHEAD_X(id, name) name,
    BRIDGEHEAD_HEADERS(BRIDGEHEAD_X)
#undef BRIDGEHEAD_X
};

constexpr size_t kLongestName = std::max_element(kNames.begin(), kNames.end(), [](auto a, auto b) {
                                  return a.size() < b.size();
                                }) -> size();

// A perfect hash of length, first and last letter and one that tells -Host from -Port:
// one comparison tells whether a name is
// known. The multiplier is searched for by the compiler.
constexpr size_t kSlots = 1024;
constexpr int kShift = 22;

constexpr size_t SlotOf(std::string_view name, uint32_t multiplier) {
  const auto folded = [&](size_t at) { return static_cast<uint32_t>(name[at]) | 0x20; };
  const uint32_t mixed = static_cast<uint32_t>(name.size()) ^ folded(0) << 5 ^
                         folded(name.size() * 3 / 4) << 13 ^ folded(name.size() - 1) << 21;
  return mixed * multiplier >> kShift;
}
static_assert((0xffffffff >> kShift) < kSlots);

struct Table {
  uint32_t multiplier = 0x9e3779b1;
  std::array<uint8_t, kSlots> ids{};
};

constexpr bool Fill(Table& table) {
  table.ids = {};
  for (size_t id = 1; id < kNames.size(); ++id) {
    uint8_t& slot = table.ids[SlotOf(kNames[id], table.multiplier)];
    if (slot != 0) return false;
    slot = static_cast<uint8_t>(id);
  }
  return true;
}

constexpr Table MakeTable() {
  Table table;
  while (!Fill(table)) table.multiplier += 2;
  return table;
}

constexpr Table kTable = MakeTable();

}  // namespace

HeaderId HeaderIdOf(std::string_view name) {
  if (name.empty()) return HeaderId::kUnknown;
  const uint8_t id = kTable.ids[SlotOf(name, kTable.multiplier)];
  return SameText(kNames[id], name) ? static_cast<HeaderId>(id) : HeaderId::kUnknown;
}

NameUse UseOf(HeaderId id, std::string_view name) {
  const auto is_plain = [](char c) { return kPlainNameChars[static_cast<uint8_t>(c)]; };
  if (id != HeaderId::kUnknown || std::all_of(name.begin(), name.end(), is_plain)) {
    return NameUse::kTake;
  }
  std::array<char, 32> plain;
  static_assert(kLongestName <= plain.size());
  if (name.size() > plain.size()) return NameUse::kDrop;
  std::transform(name.begin(), name.end(), plain.begin(),
                 [&](char c) { return is_plain(c) ? c : '-'; });
  const HeaderId meant = HeaderIdOf({plain.data(), name.size()});
  return meant == HeaderId::kUnknown ? NameUse::kDrop : NameUse::kRefuse;
}

std::string_view NameOf(HeaderId id) {
  return kNames[static_cast<size_t>(id)];
}

}  // namespace bridgehead::proxy
