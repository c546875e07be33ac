// ICMP errors about packets of sessions: right to their checksums, with any type and code, and with
// a quoted packet that is cut and damaged. What comes out goes to the sender of the quoted packet
// and quotes the packet as that sender sent it.
//
// Input: which scene and session; the error; size and damage of what it quotes.
#include "tests/fuzz/scene.h"

namespace bridgehead::fuzz {
namespace {

struct Error {
  uint8_t type, code;
  uint32_t rest;
  uint8_t ttl;
  uint16_t payload, quoted;  // bytes
};

Error ReadError(Input& input) {
  Error error{};
  error.type = input.U8();
  error.code = input.U8();
  error.rest = input.U32();
  error.ttl = input.U8();
  error.payload = input.U16() % 1400;
  error.quoted = input.U16();
  return error;
}

Bytes Address(std::string_view text) {
  return FromText(test::AddressBytes(text));
}

// `in` and `out`: IP packets, with the error as it came and as it left.
void CheckTranslated(const Quotable& about, const Bytes& original_bytes, const IpPacket& in,
                     const IpPacket& out, bool damaged) {
  const auto original = ReadIp(original_bytes);
  FUZZ_CHECK(original && original->v6 == out.v6);
  FUZZ_CHECK(Same(out.destination(), original->source()));
  FUZZ_CHECK(Same(out.source(), Address(about.sender_hears)));
  const auto quoted = ReadIp(out.l4.subspan(8)), arrived = ReadIp(in.l4.subspan(8));
  FUZZ_CHECK(quoted && arrived && quoted->udp() && quoted->l4.size() >= 8);
  FUZZ_CHECK(Same(quoted->addresses, original->addresses));
  FUZZ_CHECK(Same(quoted->l4.first(4), original->l4.first(4)));
  // Whatever was behind the quoted ports and checksum still is, as much of it as there is room for.
  FUZZ_CHECK(quoted->l4.size() <= arrived->l4.size());
  FUZZ_CHECK(Same(quoted->l4.subspan(8), arrived->l4.first(quoted->l4.size()).subspan(8)));
  if (damaged) return;
  FUZZ_CHECK(HeaderChecksumHolds(*quoted) && quoted->ttl == arrived->ttl);
  FUZZ_CHECK(quoted->length == original->length);
  FUZZ_CHECK(Same(quoted->l4, original->l4.first(quoted->l4.size())));
}

}  // namespace

std::vector<Bytes> Seeds() {
  std::vector<Bytes> seeds;
  const uint8_t kinds = static_cast<uint8_t>(SceneKinds().size());
  for (uint8_t kind = 0; kind < kinds; ++kind) {
    for (uint8_t session = 0; session < 4; ++session) {
      for (const auto& [type, code] :
           {std::pair{3, 3}, {3, 4}, {11, 0}, {12, 0}, {1, 4}, {2, 0}, {3, 0}, {4, 1}}) {
        seeds.push_back({kind, session, static_cast<uint8_t>(type), static_cast<uint8_t>(code), 0,
                         0, 0x05, 0x78, 64, 0, 100, 0x05, 0x00, 0, 0});
      }
    }
  }
  return seeds;
}

}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead;
  using namespace bridgehead::fuzz;
  Input input(data, size);
  Scene& scene = EstablishedScene(input);

  const Quotable& about = scene.quotables()[input.U8() % scene.quotables().size()];
  const Error error = ReadError(input);
  const Bytes whole = test::Packet(about.left).Ttl(63).PayloadSize(error.payload).Build();
  Bytes quoted = whole;
  quoted.resize(std::min<size_t>(quoted.size(), error.quoted));
  const Bytes before = quoted;
  Damage(quoted, input);
  quoted.resize(std::min<size_t>(quoted.size(), 1400));
  if (input.U8() % 2 != 0) RepairHeader(quoted);  // else a damaged header ends the walk
  // An error may carry what is not of the packet behind it (RFC 4884).
  const bool damaged = !Same(std::span(quoted).first(std::min(quoted.size(), before.size())),
                             std::span(before).first(std::min(quoted.size(), before.size()))) ||
                       quoted.size() > before.size();
  const bool wan = about.port == test::kWan;
  const Bytes frame =
      test::Packet()
          .Eth(wan ? test::kGateway : test::kBridge, wan ? test::kRelayWan : test::kRelayLan)
          .IP(about.router, about.destination)
          .Icmp(error.type, error.code, error.rest)
          .Ttl(error.ttl)
          .Payload(quoted)
          .Build();
  for (size_t worker = 0; worker < scene.kind().workers; ++worker) {
    const test::Outcome out = scene.Send(about.port, frame, worker);
    if (out.verdict != Verdict::kTransmit) continue;
    const Bytes original = test::Packet(about.original).PayloadSize(error.payload).Build();
    CheckTranslated(about, original, *ReadFrame(frame), *ReadFrame(out.frame), damaged);
  }
  FUZZ_CHECK(scene.Send(test::kWan, scene.StillHere(), 0).verdict == Verdict::kTransmit);
  scene.Clear();
  return 0;
}
