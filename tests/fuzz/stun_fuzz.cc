// STUN: what parses to a Binding Request is one, by a second reading of RFC 8489, and nothing of
// the result comes from behind the message.
#include <zlib.h>

#include "relay/net/stun.h"
#include "tests/fuzz/wire.h"
#include "tests/support/walk_harness.h"

namespace bridgehead::fuzz {
namespace {

constexpr uint16_t kUsername = 0x0006, kIntegrity = 0x0008, kFingerprint = 0x8028;

uint32_t FingerprintOf(std::span<const uint8_t> before) {
  return static_cast<uint32_t>(crc32(0, before.data(), static_cast<uInt>(before.size()))) ^
         0x5354554e;
}

bool SameText(std::string_view a, std::string_view b) {
  return a.data() == b.data() && a.size() == b.size();
}

// The message attribute by attribute; writes it out again as it reads.
void CheckRequest(std::span<const uint8_t> message, const StunBindingRequest& request) {
  FUZZ_CHECK(message.size() >= 20 && message.size() % 4 == 0);
  FUZZ_CHECK(Get16(message, 0) == 1 && Get16(message, 2) == message.size() - 20);
  Bytes again(message.begin(), message.begin() + 20);
  bool username = false, integrity = false, fingerprint = false;
  for (size_t at = 20; at < message.size();) {
    FUZZ_CHECK(message.size() - at >= 4 && !fingerprint);
    const uint16_t type = Get16(message, at), length = Get16(message, at + 2);
    const size_t padded = (size_t{length} + 3) / 4 * 4;
    FUZZ_CHECK(message.size() - at - 4 >= padded);
    const auto value = message.subspan(at + 4, length);
    if (type == kUsername && !username && !integrity) {
      username = true;
      FUZZ_CHECK(SameText(request.username, AsText(value)));
    }
    integrity = integrity || type == kIntegrity || type == 0x001c;
    if (type == kFingerprint) {
      fingerprint = true;
      const uint32_t crc = FingerprintOf(message.first(at));
      FUZZ_CHECK(length == 4 && Get16(value, 0) == crc >> 16 && Get16(value, 2) == (crc & 0xffff));
    }
    again.insert(again.end(), message.begin() + static_cast<ptrdiff_t>(at),
                 message.begin() + static_cast<ptrdiff_t>(at + 4 + padded));
    at += 4 + padded;
  }
  FUZZ_CHECK(std::equal(again.begin(), again.end(), message.begin(), message.end()));
  FUZZ_CHECK(username && request.username.size() < 509);
  FUZZ_CHECK(request.has_fingerprint == fingerprint && request.has_integrity == integrity);
  FUZZ_CHECK(!request.server_ufrag.empty() &&
             request.server_ufrag.find(':') == std::string_view::npos);
  FUZZ_CHECK(request.server_ufrag.data() == request.username.data() &&
             request.username[request.server_ufrag.size()] == ':');
}

// Puts right what random bytes never are: cookie, length, FINGERPRINT where the last attribute is
// one.
void Repair(std::span<uint8_t> message) {
  if (message.size() < 20) return;
  const uint8_t head[] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
  std::copy(std::begin(head), std::end(head), message.begin());
  Put16(message, 2, message.size() - 20);
  const size_t last = message.size() - 8;
  if (message.size() < 28 || Get16(message, last) != kFingerprint) return;
  const uint32_t crc = FingerprintOf(message.first(last));
  Put16(message, last + 4, crc >> 16);
  Put16(message, last + 6, crc & 0xffff);
}

}  // namespace

// The first byte: as it is, or repaired.
std::vector<Bytes> Seeds() {
  std::vector<Bytes> seeds;
  for (const auto& message : {test::StunRequest(), test::StunRequest("jvb1/abc:xyz", false),
                              test::StunRequest(std::string(256, 'u') + ":c")}) {
    for (uint8_t repaired : {0, 1}) {
      seeds.push_back({repaired});
      seeds.back().insert(seeds.back().end(), message.begin(), message.end());
    }
  }
  return seeds;
}

}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead;
  using namespace bridgehead::fuzz;
  Input input(data, size);
  const bool repaired = input.U8() % 2 != 0;
  const Exact message(input.TakeRest());
  if (repaired) Repair(message.span());

  StunBindingRequest request;
  const StunResult result = ParseStunBindingRequest(message.span(), request);
  const bool error = IsStunError(message.span());
  // The same message in front of other bytes.
  Bytes longer(message.span().begin(), message.span().end());
  longer.resize(longer.size() + 64, 0x3a);
  StunBindingRequest same;
  const auto prefix = std::span<const uint8_t>(longer).first(message.span().size());
  FUZZ_CHECK(ParseStunBindingRequest(prefix, same) == result);
  FUZZ_CHECK(same.username == request.username && same.server_ufrag == request.server_ufrag);
  FUZZ_CHECK(IsStunError(prefix) == error);
  if (result != StunResult::kBindingRequest) {
    FUZZ_CHECK(request.username.empty() && request.server_ufrag.empty());
    return 0;
  }
  FUZZ_CHECK(!error);
  CheckRequest(message.span(), request);
  // Its length is in it: one byte more or less is another message.
  FUZZ_CHECK(ParseStunBindingRequest(std::span(longer).first(prefix.size() + 1), same) !=
             StunResult::kBindingRequest);
  FUZZ_CHECK(ParseStunBindingRequest(prefix.first(prefix.size() - 1), same) !=
             StunResult::kBindingRequest);
  return 0;
}
