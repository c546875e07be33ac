#include "ctrl/health/stun_check.h"

#include <cstring>

#include <event2/util.h>
#include <sys/socket.h>

#include "fmt/format.h"
#include "relay/net/stun.h"

namespace bridgehead::health {
namespace {

// RFC 8489 section 5: type, length, cookie, transaction.
constexpr std::array<uint8_t, 8> kRequestHead = {0x00, 0x01, 0, 0, 0x21, 0x12, 0xa4, 0x42};
constexpr unsigned kBindingSuccess = 0x0101;
constexpr unsigned kBindingError = 0x0111;

unsigned Number16(std::span<const uint8_t> at) {
  return at[0] * 256u + at[1];
}

// RFC 8489 section 14: attributes of a type, a length and a value padded to four bytes.
bool AttributesFit(std::span<const uint8_t> left) {
  while (!left.empty()) {
    if (left.size() < 4) return false;
    const size_t size = 4 + (Number16(left.subspan(2)) + 3u) / 4 * 4;
    if (size > left.size()) return false;
    left = left.subspan(size);
  }
  return true;
}

}  // namespace

StunAnswer JudgeStunAnswer(std::span<const uint8_t> message, const StunTransaction& transaction) {
  if (message.size() < kStunHeaderBytes || (message[0] & 0xc0) != 0) return StunAnswer::kMalformed;
  if (Number16(message.subspan(2)) != message.size() - kStunHeaderBytes ||
      memcmp(&message[4], &kRequestHead[4], 4) != 0 ||
      !AttributesFit(message.subspan(kStunHeaderBytes))) {
    return StunAnswer::kMalformed;
  }
  const unsigned type = Number16(message);
  // RFC 8489 section 6.3: an answer that matches no transaction is nobody's.
  const bool ours = (type == kBindingSuccess || type == kBindingError) &&
                    memcmp(&message[8], transaction.data(), transaction.size()) == 0;
  return ours ? StunAnswer::kGood : StunAnswer::kOther;
}

StunCheck::StunCheck(event_base* base, const config::CheckUrl& url,
                     std::chrono::milliseconds timeout, Done done)
    : Check(base, {url.at, SOCK_DGRAM, "", nullptr}, timeout, std::move(done)) {}

std::string StunCheck::Question() {
  strangers_ = 0;
  // RFC 8489 section 5: not to be guessed by who does not see the request.
  evutil_secure_rng_get_bytes(transaction_.data(), transaction_.size());
  std::string request(kRequestHead.begin(), kRequestHead.end());
  request.append(transaction_.begin(), transaction_.end());
  return request;
}

void StunCheck::OnData(const char* data, size_t size) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(data);
  if (JudgeStunAnswer({bytes, size}, transaction_) == StunAnswer::kGood) return Good();
  ++strangers_;  // the answer may be behind it
}

std::string StunCheck::WhenLate() const {
  if (strangers_ == 0) return "no answer";
  return fmt::format("{} packets came, none of them the STUN answer", strangers_);
}

}  // namespace bridgehead::health
