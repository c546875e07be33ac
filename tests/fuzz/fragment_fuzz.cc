// Fragments of some packets of one session, in any order, overlapping or not: of each packet what
// leaves brings no byte twice, brings the bytes that were sent, and once all of it has left makes a
// packet whose checksum holds.
//
// Input: which scene and session, the packets' size; then for each fragment which packet it is of,
// where it begins and ends, and the worker it comes to.
#include <array>

#include "tests/fuzz/scene.h"
#include "tests/support/fragments.h"

namespace bridgehead::fuzz {
namespace {

constexpr size_t kPackets = 3;  // their identifications: 1, 2, 3
constexpr size_t kMostFragments = 24;
constexpr size_t kMostBytes = 1400;  // of a fragment: each fits the way out

// What has left of one packet, so far: its UDP header and payload.
struct Left {
  Bytes bytes;
  std::vector<bool> there;
  bool lied = false;  // a fragment has said that it was the last one, or not, and was wrong
};

// One fragment that has left, or a whole packet.
struct Piece {
  size_t id = 0, offset = 0;
  std::span<const uint8_t> payload;
  IpPacket ip;
};

Piece ReadPiece(const Bytes& frame) {
  Piece piece;
  piece.ip = *ReadFrame(frame);
  const auto header = piece.ip.header;
  if (!piece.ip.v6) {
    piece.id = Get16(header, 4);
    piece.offset = size_t{Get16(header, 6) & 0x1fffu} * 8;
    piece.payload = piece.ip.l4;
    return piece;
  }
  const auto extension = piece.ip.l4;
  FUZZ_CHECK(piece.ip.fragment && extension.size() > 8 && extension[0] == 17);
  piece.id = Get16(extension, 6);
  piece.offset = Get16(extension, 2) & 0xfff8u;
  piece.payload = extension.subspan(8);
  return piece;
}

// The packet that has left in whole, by the addresses of its last piece.
void CheckWhole(const Piece& last, const Bytes& l4) {
  IpPacket whole = last.ip;
  whole.protocol = 17;
  whole.l4 = l4;
  FUZZ_CHECK(Get16(l4, 4) == l4.size() && L4ChecksumHolds(whole));
}

// `sent`: UDP header and payload as they came. Behind the header nothing changes.
void Note(const Bytes& frame, std::span<const uint8_t> sent, std::array<Left, kPackets>& packets) {
  const Piece piece = ReadPiece(frame);
  FUZZ_CHECK(piece.id >= 1 && piece.id <= kPackets);
  Left& left = packets[piece.id - 1];
  FUZZ_CHECK(piece.offset + piece.payload.size() <= sent.size());
  for (size_t i = 0; i < piece.payload.size(); ++i) {
    const size_t at = piece.offset + i;
    FUZZ_CHECK(at < 8 || piece.payload[i] == sent[at]);
    FUZZ_CHECK(left.lied || !left.there[at]);
    left.there[at] = true;
    left.bytes[at] = piece.payload[i];
  }
  if (left.lied || std::count(left.there.begin(), left.there.end(), false) > 0) return;
  CheckWhole(piece, left.bytes);
  left.there.assign(sent.size(), false);  // the next one may have its number
}

// A fragment that is the last one by its more bit alone, or is not.
void Lie(Bytes& frame) {
  if (test::IsV6Frame(frame)) {
    frame[14 + 43] ^= 1;
  } else {
    frame[14 + 6] ^= 0x20;
    test::SealIpv4(frame);
  }
}

}  // namespace

std::vector<Bytes> Seeds() {
  std::vector<Bytes> seeds;
  const auto kinds = static_cast<uint8_t>(SceneKinds().size());
  for (uint8_t kind = 0; kind < kinds; ++kind) {
    for (uint8_t session = 0; session < 3; ++session) {
      const Bytes begin = {kind, session, 0x0b, 0xb8};  // 3000 bytes
      // In order; the last one first; two packets in turns; one fragment twice.
      for (const std::initializer_list<std::array<uint8_t, 2>>& order :
           {std::initializer_list<std::array<uint8_t, 2>>{{0, 0}, {0, 160}, {0, 240}},
            {{0, 240}, {0, 0}, {0, 160}},
            {{0, 0}, {5, 160}, {0, 160}, {5, 0}, {0, 240}, {1, 240}},
            {{0, 0}, {0, 0}, {0, 100}, {8, 160}}}) {
        Bytes seed = begin;
        for (const auto& [how, at] : order) {
          const Bytes fragment = {how, 0, at,
                                  static_cast<uint8_t>(at == 0     ? 160
                                                       : at == 160 ? 80
                                                                   : 140)};
          seed.insert(seed.end(), fragment.begin(), fragment.end());
        }
        seeds.push_back(seed);
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

  const Quotable& session = scene.quotables()[input.U8() % scene.quotables().size()];
  const auto port = static_cast<uint8_t>(1 - session.port);
  const bool wan = port == test::kWan;
  test::Packet packet = session.original;
  packet.Eth(wan ? test::kGateway : test::kBridge, wan ? test::kRelayWan : test::kRelayLan);
  Bytes payload(input.U16() % 8000);
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<uint8_t>(i * 7 >> 2);
  const Bytes whole = packet.Payload(payload).Build();
  const std::span<const uint8_t> sent = ReadFrame(whole)->l4;
  std::array<Left, kPackets> packets;
  for (Left& left : packets) left = {Bytes(sent.size()), std::vector<bool>(sent.size()), false};

  for (size_t count = 0; count < kMostFragments && !input.empty(); ++count) {
    const uint8_t how = input.U8();
    const size_t id = (how >> 2) % kPackets + 1;
    const size_t begin = size_t{input.U16()} * 8;
    const size_t bytes = std::min<size_t>(size_t{input.U8()} * 8, kMostBytes);
    if (begin >= sent.size() || bytes == 0 || (begin == 0 && bytes >= sent.size())) continue;
    Bytes frame = test::FragmentOf(whole, begin, begin + bytes, static_cast<uint32_t>(id));
    if (how & 0x80) {
      Lie(frame);
      packets[id - 1].lied = true;
    }
    const test::Outcome out = scene.Send(port, frame, how & 1);
    if (out.verdict == Verdict::kTransmit) Note(out.frame, sent, packets);
    for (const test::Outcome& other : scene.others()) {
      if (other.verdict == Verdict::kTransmit) Note(other.frame, sent, packets);
    }
  }
  FUZZ_CHECK(scene.Send(test::kWan, scene.StillHere(), 0).verdict == Verdict::kTransmit);
  scene.Clear();
  return 0;
}
