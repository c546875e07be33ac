// How much may have been sent by now.
#pragma once

#include <cstdint>

namespace bridgehead::rig {

class Pace {
 public:
  // `rate` in units per second from `begin` on, of a clock with `hz` ticks per second. 0: no limit.
  Pace(double rate, uint64_t begin, double hz) : per_tick_(rate / hz), begin_(begin) {}

  bool Allows(uint64_t sent, uint64_t now) const {
    return per_tick_ == 0 ||
           static_cast<double>(sent) < per_tick_ * static_cast<double>(now - begin_);
  }

 private:
  double per_tick_;
  uint64_t begin_;
};

}  // namespace bridgehead::rig
