#include "ctrl/proxy/seats.h"

#include <algorithm>

namespace bridgehead::proxy {

Seats NextSeats(const Seats& before, std::span<const uint32_t> cores) {
  std::vector<uint32_t> free;
  for (const uint32_t core : cores) {
    if (std::find(before.begin(), before.end(), core) == before.end()) free.push_back(core);
  }
  Seats next(before.size());
  for (size_t i = 0; i < before.size(); ++i) {
    if (std::find(cores.begin(), cores.end(), before[i]) != cores.end()) next[i] = before[i];
  }
  size_t taken = 0;
  for (const bool resting : {false, true}) {
    for (size_t i = 0; i < next.size() && taken < free.size(); ++i) {
      if (!next[i] && !before[i] == resting) next[i] = free[taken++];
    }
  }
  next.insert(next.end(), free.begin() + static_cast<ptrdiff_t>(taken), free.end());
  return next;
}

}  // namespace bridgehead::proxy
