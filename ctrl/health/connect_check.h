// A connection, and its TLS handshake where it has one, is all that is asked for.
#pragma once

#include <string>
#include <utility>

#include "ctrl/health/check.h"

namespace bridgehead::health {

class ConnectCheck : public Check {
 public:
  ConnectCheck(event_base* base, Way way, std::chrono::milliseconds timeout, Done done)
      : Check(base, std::move(way), timeout, std::move(done)) {}

 private:
  std::string Question() override { return ""; }
  void OnData(const char*, size_t) override {}  // it is over by then
  void OnEnd() override {}
  std::string WhenLate() const override { return "no connection"; }
};

}  // namespace bridgehead::health
