// Places: the addresses that come from the configuration (listeners, NAT addresses, bridges), by
// number. Sessions keep the number, so a number means the same address as long as the relay runs.
#pragma once

#include <cstdint>

#include "relay/net/address.h"

namespace bridgehead {

using Place = uint16_t;
inline constexpr Place kNoPlace = 0xffff;

}  // namespace bridgehead
