// A STUN Binding Request over UDP (RFC 8489): good when a STUN answer to it comes back, a success
// or an error. Whoever answers is alive; whether it would like the request is another matter.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "ctrl/config/check_url.h"
#include "ctrl/health/check.h"

namespace bridgehead::health {

using StunTransaction = std::array<uint8_t, 12>;

enum class StunAnswer { kGood, kOther, kMalformed };
// kOther: STUN, but no answer to this transaction.
StunAnswer JudgeStunAnswer(std::span<const uint8_t> message, const StunTransaction& transaction);

class StunCheck : public Check {
 public:
  StunCheck(event_base* base, const config::CheckUrl& url, std::chrono::milliseconds timeout,
            Done done);

 private:
  std::string Question() override;
  void OnData(const char* data, size_t size) override;
  void OnEnd() override {}  // there is none over UDP
  std::string WhenLate() const override;

  StunTransaction transaction_{};
  size_t strangers_ = 0;  // datagrams that were no answer
};

}  // namespace bridgehead::health
