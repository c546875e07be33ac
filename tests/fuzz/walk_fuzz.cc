// The whole walk: some packets, damaged or not, through a relay with sessions of every kind. What
// is forwarded is right to its checksums, every packet has one verdict, and the established session
// goes on.
//
// Input: which scene; then for each packet where it enters, what it is made of, and its damage.
#include "relay/walk/parse.h"
#include "tests/fuzz/scene.h"

namespace bridgehead::fuzz {
namespace {

constexpr size_t kMostPackets = 12;
constexpr size_t kMostBytes = 2048;

// Bits of a packet's first byte; the template's number is the second.
enum How : uint8_t {
  kRaw = 1,  // a whole frame from the input instead of a template
  kOtherPort = 2,
  kSecondWorker = 4,
  kRepaired = 8,          // checksums hold again, whatever was damaged
  kRepairedLengths = 16,  // lengths too
  kNoUdpChecksum = 32,
};

Bytes MakeFrame(uint8_t how, const test::Packet& base, Input& input) {
  Bytes frame;
  if (how & kRaw) {
    const auto raw = input.Take(std::min<size_t>(input.U16(), kMostBytes));
    frame.assign(raw.begin(), raw.end());
  } else {
    frame = base.Build();
    Damage(frame, input);
  }
  const size_t offset = IpOffset(frame);
  if ((how & (kRepaired | kRepairedLengths)) && frame.size() > offset) {
    Repair(std::span(frame).subspan(offset), (how & kRepairedLengths) != 0);
  }
  const auto ip = ReadFrame(frame);
  if ((how & kNoUdpChecksum) && ip && ip->udp() && ip->l4.size() >= 8) {
    Put16(frame, offset + ip->header.size() + 6, 0);
  }
  return frame;
}

// The parser by itself: its result is the same with other bytes behind the IP packet.
void CheckTrailer(Scene& scene, uint8_t port, const Bytes& frame) {
  const auto ip = ReadFrame(frame);
  if (!ip || IpOffset(frame) + ip->length >= frame.size()) return;
  const PortTraits traits{.mac = port == test::kWan ? test::kRelayWan : test::kRelayLan,
                          .check_mac = true,
                          .partial_checksums = scene.kind().partial_checksums};
  const Exact as_it_is(frame), other(frame);
  for (uint8_t& byte : other.span().subspan(IpOffset(frame) + ip->length)) byte ^= 0xff;
  const auto parse = [&](const Exact& bytes, bridgehead::Packet& packet) {
    packet.frame = bytes.span().data();
    packet.length = static_cast<uint32_t>(bytes.span().size());
    packet.port = port;
    return Parse(packet, traits, *scene.harness().snapshot().forwarding);
  };
  bridgehead::Packet a, b;
  const Drop drop = parse(as_it_is, a);
  FUZZ_CHECK(drop == parse(other, b));
  FUZZ_CHECK(a.length == b.length && a.ip_length == b.ip_length && a.ip_offset == b.ip_offset);
  FUZZ_CHECK(a.ipv6 == b.ipv6 && a.kind == b.kind && a.partial_checksum == b.partial_checksum);
  FUZZ_CHECK(drop != Drop::kNone || a.length == a.ip_offset + a.ip_length);
}

}  // namespace

std::vector<Bytes> Seeds() {
  std::vector<Bytes> seeds;
  const auto kinds = SceneKinds();
  for (uint8_t kind = 0; kind < kinds.size(); ++kind) {
    Scene scene(kinds[kind]);
    scene.Establish();
    const auto count = static_cast<uint8_t>(scene.packets().size());
    for (uint8_t how :
         {uint8_t{0}, uint8_t{kSecondWorker | kRepaired}, uint8_t{kRepaired | kNoUdpChecksum}}) {
      for (uint8_t begin = 0; begin < count; begin = static_cast<uint8_t>(begin + 4)) {
        Bytes seed = {kind};
        for (uint8_t i = begin; i < std::min<int>(begin + 4, count); ++i) {
          const Bytes packet = {how, i, 0, kAppend, i};
          seed.insert(seed.end(), packet.begin(), packet.end());
        }
        seeds.push_back(seed);
      }
    }
    // Hops used up: the relay complains.
    for (uint8_t i = 0; i < count; ++i) {
      const Bytes frame = scene.packets()[i].packet.Build();
      const auto at = static_cast<uint8_t>(IpOffset(frame) + (ReadFrame(frame)->v6 ? 7 : 8));
      seeds.push_back({kind, kRepaired, i, 1, 0, at, 64 ^ 1, kKeepSize});
    }
    // Whole frames, for what no template looks like.
    for (uint8_t i = 0; i < count; i = static_cast<uint8_t>(i + 3)) {
      const Bytes frame = scene.packets()[i].packet.Build();
      Bytes seed = {kind, kRaw | kRepaired, i, static_cast<uint8_t>(frame.size() >> 8),
                    static_cast<uint8_t>(frame.size())};
      seed.insert(seed.end(), frame.begin(), frame.end());
      seeds.push_back(seed);
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
  for (size_t sent = 0; sent < kMostPackets && !input.empty(); ++sent) {
    const uint8_t how = input.U8();
    const ScenePacket& base = scene.packets()[input.U8() % scene.packets().size()];
    const auto port = static_cast<uint8_t>(how & kOtherPort ? 1 - base.port : base.port);
    const Bytes frame = MakeFrame(how, base.packet, input);
    CheckTrailer(scene, port, frame);
    scene.Send(port, frame, how & kSecondWorker ? 1 : 0);
  }
  FUZZ_CHECK(scene.Send(test::kWan, scene.StillHere(), 0).verdict == Verdict::kTransmit);
  scene.Clear();
  return 0;
}
