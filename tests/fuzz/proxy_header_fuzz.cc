// PROXY headers: a decision never changes with the bytes that follow; what is read is written, and
// read again as the same.
#include <nmmintrin.h>

#include "ctrl/proxy/accept/proxy_header.h"
#include "tests/fuzz/fuzz.h"

namespace bridgehead::fuzz {
namespace {

using Progress = proxy::ProxyHeader::Progress;
using proxy::ProxyVersion;

bool Same(const proxy::ProxyHeader& a, const proxy::ProxyHeader& b) {
  return a.progress == b.progress && a.bytes == b.bytes && a.source == b.source &&
         a.destination == b.destination;
}

proxy::ProxyHeader Parse(std::span<const uint8_t> bytes) {
  const Exact exact(bytes);
  const auto header = proxy::ParseProxyHeader(exact.span());
  const Progress signature = proxy::FindProxySignature(exact.span());
  FUZZ_CHECK(signature != Progress::kBad);
  FUZZ_CHECK((signature == Progress::kNone) == (header.progress == Progress::kNone));
  if (signature == Progress::kMore) FUZZ_CHECK(header.progress == Progress::kMore);
  return header;
}

void CheckWritten(const proxy::ProxyHeader& header, std::string_view authority) {
  for (const ProxyVersion version : {ProxyVersion::k1, ProxyVersion::k2}) {
    const proxy::WrittenProxyHeader written(version, header.source, header.destination, authority);
    const auto again = Parse(written.bytes());
    FUZZ_CHECK(again.progress == Progress::kDone && again.bytes == written.bytes().size());
    FUZZ_CHECK(again.source == header.source && again.destination == header.destination);
  }
}

// Puts right what random bytes never are: a sum in the last TLV.
void Repair(std::span<uint8_t> header) {
  if (header.size() < 23 || header[header.size() - 7] != 3) return;
  std::fill(header.end() - 4, header.end(), uint8_t{0});
  uint32_t crc = ~0u;
  for (const uint8_t byte : header) crc = _mm_crc32_u8(crc, byte);
  for (size_t i = 0; i < 4; ++i) {
    header[header.size() - 4 + i] = static_cast<uint8_t>(~crc >> (24 - 8 * i));
  }
}

}  // namespace

// The first byte: as it is, or repaired; the next two: which prefix is tried too.
std::vector<Bytes> Seeds() {
  const proxy::SocketAddress v4(*config::Address::Parse("192.0.2.1"), 1);
  const proxy::SocketAddress v6(*config::Address::Parse("2001:db8::1"), 65535);
  std::vector<Bytes> seeds;
  for (const ProxyVersion version : {ProxyVersion::k1, ProxyVersion::k2}) {
    for (const auto& [source, destination] :
         {std::pair(v4, v4), std::pair(v6, v6), std::pair(v4, proxy::SocketAddress())}) {
      const proxy::WrittenProxyHeader header(version, source, destination, "a.example.org");
      seeds.push_back({0, 0, 14});
      seeds.back().insert(seeds.back().end(), header.bytes().begin(), header.bytes().end());
    }
  }
  seeds.push_back({1, 0, 20});
  const proxy::WrittenProxyHeader summed(ProxyVersion::k2, v4, v4, "abcd");
  seeds.back().insert(seeds.back().end(), summed.bytes().begin(), summed.bytes().end());
  *(seeds.back().end() - 7) = 3;
  return seeds;
}

}  // namespace bridgehead::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bridgehead;
  using namespace bridgehead::fuzz;
  Input input(data, size);
  const bool repaired = input.U8() % 2 != 0;
  const size_t cut = input.U16();
  const auto rest = input.TakeRest();
  Bytes bytes(rest.begin(), rest.end());
  if (repaired) Repair(bytes);

  const auto whole = Parse(bytes);
  const size_t prefix_size = cut % (bytes.size() + 1);
  const auto prefix = Parse(std::span(bytes).first(prefix_size));
  if (prefix.progress != Progress::kMore) {
    FUZZ_CHECK(Same(prefix, whole));
  } else {
    FUZZ_CHECK(prefix.bytes > prefix_size && prefix.bytes <= proxy::kMaxProxyHeaderBytes);
    if (bytes.size() < prefix.bytes) FUZZ_CHECK(whole.progress != Progress::kDone);
  }
  if (whole.progress != Progress::kDone) {
    FUZZ_CHECK(whole.source.empty() && whole.destination.empty());
    return 0;
  }
  FUZZ_CHECK(whole.bytes <= bytes.size() && whole.bytes <= proxy::kMaxProxyHeaderBytes);
  FUZZ_CHECK(whole.source.empty() == whole.destination.empty());
  FUZZ_CHECK(!whole.source.address().IsV4Mapped() && !whole.destination.address().IsV4Mapped());
  FUZZ_CHECK(Parse(std::span(bytes).first(whole.bytes - 1)).progress == Progress::kMore);
  CheckWritten(whole, AsText(std::span(bytes).subspan(whole.bytes)));
  return 0;
}
