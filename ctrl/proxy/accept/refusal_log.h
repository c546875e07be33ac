// The log of refused connections, bounded: of each reason the first few in ten seconds are a line
// each, and the others one line together, with the last of them.
//
//   edge: refused 203.0.113.5:4000 (listener web): source_rate
//   edge: refused 203.0.113.9:4001 (listener web): source_rate; 1233 more in the last 10 s
//
// Of one loop. No I/O but the sink, and no clock.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "ctrl/proxy/accept/refusal.h"
#include "ctrl/proxy/net/socket_address.h"

namespace bridgehead::proxy {

class AcceptRefusalLog {
 public:
  static constexpr std::chrono::seconds kWindow{10};
  static constexpr uint32_t kLines = 3;  // of each reason in a window
  using Sink = std::function<void(const std::string& line)>;

  explicit AcceptRefusalLog(Sink sink) : sink_(std::move(sink)) {}

  // Who closes early is only counted: a health check that opens a connection and closes it does.
  // The first refusal of a window begins it: EndWindow is to be called kWindow after a true.
  [[nodiscard]] bool Note(std::string_view listener, const SocketAddress& client,
                          AcceptRefusal refusal);
  void EndWindow();

 private:
  struct Reason {
    uint32_t noted = 0;
    std::string listener;  // of the last one without a line
    SocketAddress client;
  };
  void Write(size_t reason, std::string_view listener, const SocketAddress& client, uint32_t more);

  const Sink sink_;
  bool window_ = false;
  std::array<Reason, kRefusalCount> reasons_{};
};

}  // namespace bridgehead::proxy
