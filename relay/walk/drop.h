// The names of all drops, from relay/drops.def, and of the XDP program's, from bpf/early_drops.def.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bridgehead {

enum class Drop : uint8_t {
  kNone = 0,  // not dropped; the only value without an entry in drops.def
#define BH_DROP(identifier, label, text) identifier,
#include "relay/drops.def"
#undef BH_DROP
};

struct DropInfo {
  std::string_view label;  // metric label and CLI name, stable
  std::string_view text;   // one line for people
};

// Indexed by static_cast<size_t>(Drop) - 1: kNone has no entry.
inline constexpr DropInfo kDropInfo[] = {
#define BH_DROP(identifier, label, text) {label, text},
#include "relay/drops.def"
#undef BH_DROP
};

inline constexpr size_t kDropCount = sizeof(kDropInfo) / sizeof(kDropInfo[0]);

// What the XDP program drops: labels that are among those above.
inline constexpr std::string_view kEarlyDropLabels[] = {
#define BH_EARLY_DROP(identifier, label) label,
#include "bpf/early_drops.def"
#undef BH_EARLY_DROP
};

inline constexpr size_t kEarlyDropCount = sizeof(kEarlyDropLabels) / sizeof(kEarlyDropLabels[0]);

constexpr size_t DropIndex(Drop drop) {
  return static_cast<size_t>(drop) - 1;
}

}  // namespace bridgehead
