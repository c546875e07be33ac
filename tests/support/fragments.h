// Whole frames and their fragments, for tests: cut as a sender or router cuts them, and put
// together again as a receiver does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/packet_builder.h"

namespace bridgehead::test {

inline bool IsV6Frame(const Bytes& frame) {
  return frame.at(12) == 0x86;
}

inline void SetWord(Bytes& frame, size_t at, size_t value) {
  frame.at(at) = static_cast<uint8_t>(value >> 8);
  frame.at(at + 1) = static_cast<uint8_t>(value);
}
inline size_t Word(const Bytes& frame, size_t at) {
  return static_cast<size_t>(frame.at(at) << 8 | frame.at(at + 1));
}

inline void SealIpv4(Bytes& frame) {
  SetWord(frame, 24, 0);
  SetWord(frame, 24, ChecksumFinish(ChecksumAdd(std::span(frame).subspan(14, 20))));
}

// The bytes [begin, end) of the IP payload of an untagged frame, as one fragment.
inline Bytes FragmentOf(const Bytes& frame, size_t begin, size_t end, uint32_t id) {
  const size_t headers = 14 + (IsV6Frame(frame) ? 40 : 20);
  const size_t payload = frame.size() - headers;
  const bool more = end < payload;
  Bytes out(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(headers));
  const size_t bytes = std::min(end, payload) - begin;
  if (IsV6Frame(frame)) {
    SetWord(out, 14 + 4, 8 + bytes);
    out[14 + 6] = 44;
    for (size_t byte : {size_t{17}, size_t{0}, begin >> 8, (begin & 0xf8) | (more ? 1 : 0)}) {
      out.push_back(static_cast<uint8_t>(byte));
    }
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(id >> shift));
  } else {
    SetWord(out, 14 + 2, 20 + bytes);
    SetWord(out, 14 + 4, id & 0xffff);
    SetWord(out, 14 + 6, begin / 8 | (more ? 0x2000 : 0));
    SealIpv4(out);
  }
  auto from = frame.begin() + static_cast<ptrdiff_t>(headers + begin);
  out.insert(out.end(), from, from + static_cast<ptrdiff_t>(bytes));
  return out;
}

// All of it, in pieces of `step` bytes of payload.
inline std::vector<Bytes> Fragments(const Bytes& frame, size_t step, uint32_t id = 77) {
  const size_t payload = frame.size() - 14 - (IsV6Frame(frame) ? 40 : 20);
  std::vector<Bytes> out;
  for (size_t at = 0; at < payload; at += step) out.push_back(FragmentOf(frame, at, at + step, id));
  return out;
}

// The frame that these are the fragments of. Anything that does not fit is an error: a gap, an
// overlap, other headers, a wrong header checksum.
inline Bytes Join(std::vector<Bytes> pieces, uint32_t id = 77) {
  if (pieces.empty()) throw std::runtime_error("no fragments");
  const bool v6 = IsV6Frame(pieces[0]);
  const size_t headers = 14 + (v6 ? 48 : 20);
  auto field = [&](const Bytes& piece) { return Word(piece, v6 ? 14 + 42 : 14 + 6); };
  auto offset = [&](const Bytes& piece) {
    return v6 ? field(piece) & 0xfff8 : (field(piece) & 0x1fff) * 8;
  };
  auto more = [&](const Bytes& piece) { return (field(piece) & (v6 ? 1 : 0x2000)) != 0; };
  std::sort(pieces.begin(), pieces.end(),
            [&](const Bytes& a, const Bytes& b) { return offset(a) < offset(b); });
  Bytes out(pieces[0].begin(), pieces[0].begin() + (v6 ? 54 : 34));
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Bytes& piece = pieces[i];
    if (offset(piece) != out.size() - (v6 ? 54 : 34)) throw std::runtime_error("gap or overlap");
    if (more(piece) != (i + 1 < pieces.size())) throw std::runtime_error("wrong more bit");
    if (!v6 && ChecksumAdd(std::span(piece).subspan(14, 20)) != 0xffff) {
      throw std::runtime_error("wrong IP checksum");
    }
    const size_t length = v6 ? 40 + Word(piece, 18) : Word(piece, 16);
    if (piece.size() != 14 + length) throw std::runtime_error("wrong IP length");
    const size_t got = v6 ? Word(piece, 14 + 44) << 16 | Word(piece, 14 + 46) : Word(piece, 18);
    if (got != (v6 ? id : id & 0xffff)) throw std::runtime_error("wrong identification");
    out.insert(out.end(), piece.begin() + static_cast<ptrdiff_t>(headers), piece.end());
  }
  if (v6) {
    SetWord(out, 18, out.size() - 54);
    out[20] = 17;
  } else {
    SetWord(out, 16, out.size() - 14);
    SetWord(out, 18, 0);
    SetWord(out, 20, 0);
    SealIpv4(out);
  }
  return out;
}

}  // namespace bridgehead::test
