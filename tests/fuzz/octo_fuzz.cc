// Octo: what is taken for a version has its header and something behind it, and `any` is either.
#include "relay/net/octo.h"
#include "tests/fuzz/fuzz.h"

namespace bridgehead::fuzz {
namespace {

enum Media { kAudio, kVideo, kData };

void CheckPayload(std::span<const uint8_t> payload, int media) {
  FUZZ_CHECK(!payload.empty() && media <= kData);
  if (media != kData) FUZZ_CHECK((payload[0] & 0xc0) == 0x80);  // RTP and RTCP, version 2
}

}  // namespace

std::vector<Bytes> Seeds() {
  return {
      {0x00, 0, 0, 9, 0xab, 0xcd, 0, 1, 0x80, 111, 0, 1},                      // v0, audio
      {0xa0, 0, 0, 9, 0xab, 0xcd, 0, 1, 0x80, 96, 0, 1},                       // v0, video, relayed
      {0x40, 0, 0, 9, 0xab, 0xcd, 0, 1, '{', '}'},                             // v0, data
      {0, 0, 0, 9, 0xab, 0xcd, 0, 1, 0x40, 0, 0, 0, 0x80, 96, 0, 1},           // v1, video
      {0, 0, 0, 9, 0xab, 0xcd, 0, 1, 0x80, 0, 0, 0, '{', '"', 'a', '"', '}'},  // v1, data
  };
}

}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead;
  using namespace bridgehead::fuzz;
  const Exact exact({data, size});
  const std::span<const uint8_t> message = exact.span();
  const bool v0 = IsOcto(message, OctoVersion::kV0), v1 = IsOcto(message, OctoVersion::kV1);
  FUZZ_CHECK(IsOcto(message, OctoVersion::kAny) == (v0 || v1));
  Bytes longer(message.begin(), message.end());
  longer.resize(longer.size() + 16, 0x80);
  const auto prefix = std::span<const uint8_t>(longer).first(message.size());
  FUZZ_CHECK(IsOcto(prefix, OctoVersion::kV0) == v0 && IsOcto(prefix, OctoVersion::kV1) == v1);
  if (v0) {
    FUZZ_CHECK(message.size() > 8 && message[0] % 8 == 0);
    CheckPayload(message.subspan(8), (message[0] & 0x60) >> 5);
  }
  if (v1) {
    FUZZ_CHECK(message.size() > 12 && message[8] % 64 == 0);
    FUZZ_CHECK((message[9] | message[10] | message[11]) == 0);
    CheckPayload(message.subspan(12), message[8] >> 6);
  }
  return 0;
}
