// Which worker has which core, from one configuration to the next.
//
// A worker is never ended before the edge is: its connections could not go elsewhere. One that
// loses its core takes a new one, and where there is none it rests: it serves what it has, on the
// cores of the others, and takes nothing new until there is a core for it again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace bridgehead::proxy {

// By worker; none: it rests.
using Seats = std::vector<std::optional<uint32_t>>;

// Every one of `cores`, each once, has a worker: who has it already, else one who loses its own,
// else one who rests, else a new one behind the others.
Seats NextSeats(const Seats& before, std::span<const uint32_t> cores);

}  // namespace bridgehead::proxy
