// Connections to servers that wait for their next request.
//
// A kept connection that becomes readable has been closed by its server, or was sent what nobody
// asked for: it is dropped. The one used last is used first, so that the others can go.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "ctrl/proxy/net/loop.h"
#include "ctrl/proxy/net/stream.h"
#include "ctrl/proxy/stats/counters.h"

namespace bridgehead::proxy {

class Pool final : private Stream::Handler {
 public:
  // Below the 60 s and more that servers keep connections for: who closes first loses no request.
  static constexpr std::chrono::milliseconds kIdle{50'000};

  // `servers`: where what is kept of each is counted; `most`: kept of each.
  Pool(Loop& loop, std::vector<std::shared_ptr<ServerCounters>> servers, uint32_t most,
       std::chrono::milliseconds idle = kIdle);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Null: there is none.
  std::unique_ptr<Stream> Take(size_t server);
  void Put(size_t server, std::unique_ptr<Stream> stream);
  size_t size(size_t server) const { return kept_[server].size(); }

 private:
  struct Kept {
    std::unique_ptr<Stream> stream;
    Loop::Clock::time_point since;
  };

  void OnReady(Stream& stream) override;
  void DropAged(size_t server);
  void Sweep();

  Loop& loop_;
  const std::vector<std::shared_ptr<ServerCounters>> counters_;
  const uint32_t most_;
  const std::chrono::milliseconds idle_;
  std::vector<std::vector<Kept>> kept_;  // of each server, the oldest first
  Timer sweep_;
};

}  // namespace bridgehead::proxy
