// The walk alone, packets made in memory: cycles per packet of the established path, by number of
// sessions and order of packets.
//
// One iteration is one burst through Walk::Run; frames are put back as they were before the next
// one, outside the measured time, so that every packet is parsed, found and rewritten as from the
// wire. "cycles/packet" is TSC cycles.
#include <chrono>
#include <memory>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include "relay/net/checksum.h"
#include "relay/walk/walk.h"
#include "tests/support/walk_harness.h"

namespace bridgehead {
namespace {

using test::Bytes;

// TSC cycles in a second, measured once.
double TscHz() {
  static const double hz = [] {
    auto begin = std::chrono::steady_clock::now();
    uint64_t start = __rdtsc();
    while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(20)) {
    }
    uint64_t cycles = __rdtsc() - start;
    std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    return static_cast<double>(cycles) / passed.count();
  }();
  return hz;
}

constexpr size_t kFrameBytes = 60;  // 64 on the wire, with its FCS
constexpr size_t kBufferBytes = 256;
constexpr size_t kHeadroom = 128;

// A worker with established sessions and one frame towards the bridge for each.
class Rig {
 public:
  Rig(size_t sessions, bool source_nat)
      : sessions_(sessions), segment_(CounterSegment::CreatePrivate(1)), steering_(1, 1024, 65535) {
    api::Snapshot message = test::BasicSnapshot(source_nat);
    message.mutable_nat()->mutable_ports()->set_first(1024);
    message.mutable_nat()->mutable_ports()->set_last(65535);
    message.mutable_limits()->set_unconfirmed(1u << 31);
    message.mutable_limits()->set_sessions_per_source(1u << 31);
    ShardConfig config;
    config.max_sessions = sessions;
    config.nat_first_port = 1024;
    config.nat_last_port = 65535;
    message.mutable_nat()->clear_addresses();
    for (size_t i = 0; i <= sessions / 64000; ++i) {
      be32 address = be32::FromHost(0x0a080100 + static_cast<uint32_t>(i));
      uint32_t raw = address.Raw();
      config.nat_addresses.push_back({Ipv6Address::Mapped(address), static_cast<Place>(i)});
      message.mutable_nat()->add_addresses(std::string(reinterpret_cast<char*>(&raw), 4));
    }
    SnapshotBuilder builder(kMaxListeners, kMaxBridges);
    auto built = builder.Build(message, {test::kRelayWan, test::kRelayLan}, nullptr, {});
    if (!built.ok()) throw std::runtime_error(built.status().ToString());
    snapshot_ = *std::move(built);
    shard_ = std::make_unique<SessionShard>(config, segment_->worker(0));
    shard_->Start(1000);
    PortTraits trusting{.verify_udp_checksum = false};
    walk_ = std::make_unique<Walk>(*shard_, steering_, std::vector{trusting, trusting},
                                   segment_->worker(0), resolve_, no_buffers_);
    Establish();
  }

  // One burst of packets of the sessions named by `order`; returns cycles.
  uint64_t RunBurst(const uint32_t* order) {
    for (size_t i = 0; i < kBurst; ++i) Put(i, order[i], media_);
    _mm_lfence();
    uint64_t start = __rdtsc();
    walk_->Run(burst_, *snapshot_, 1001);
    uint64_t cycles = __rdtsc() - start;
    for (const Packet& packet : burst_) {
      if (packet.verdict != Verdict::kTransmit)
        throw std::logic_error("a packet was not forwarded");
    }
    return cycles;
  }
  size_t bytes() const { return shard_->bytes(); }

 private:
  void Establish() {
    Bytes stun = Frame(test::StunRequest());
    media_ = Frame(Bytes(kFrameBytes - 42, 0xa5));
    for (size_t i = 0; i < sessions_; ++i) {
      Put(0, static_cast<uint32_t>(i), stun);
      walk_->Run(std::span(burst_.data(), 1), *snapshot_, 1000);
      if (burst_[0].verdict != Verdict::kTransmit) throw std::logic_error("not admitted");
      // Confirmed at once: an unconfirmed one would make room for those that come after it.
      shard_->Answered(*burst_[0].flow);
      shard_->Confirm(*burst_[0].flow);
    }
  }
  static Bytes Frame(const Bytes& payload) {
    return test::Packet()
        .Eth()
        .IPv4("100.64.0.0", "198.51.100.10")
        .Udp(1024, 10000)
        .UdpChecksum(0)
        .Payload(payload)
        .Build();
  }
  // The frame as session `session` sends it; the IP checksum follows the changed address.
  void Put(size_t slot, uint32_t session, const Bytes& frame) {
    uint8_t* at = &buffers_[slot * kBufferBytes + kHeadroom];
    memcpy(at, frame.data(), frame.size());
    Packet& packet = burst_[slot];
    packet = Packet{};
    packet.frame = at;
    packet.length = static_cast<uint32_t>(frame.size());
    auto& ip = *reinterpret_cast<Ipv4Header*>(at + 14);
    be32 source = be32::FromHost(0x64400000 + session / 4096);
    ip.checksum =
        be16::FromRaw(ApplyDelta(ip.checksum.Raw(), ChecksumDelta(ip.source.Raw(), source.Raw())));
    ip.source = source;
    auto& udp = *reinterpret_cast<UdpHeader*>(at + 34);
    udp.source = be16::FromHost(static_cast<uint16_t>(1024 + session % 4096));
  }

  size_t sessions_;
  std::unique_ptr<CounterSegment> segment_;
  Steering steering_;
  std::unique_ptr<const Snapshot> snapshot_;
  // Nothing here is too large for its way out.
  struct NoBuffers : BufferSource {
    bool Take(Packet&, size_t) override { return false; }
    void GiveBack(const Packet&) override {}
  };
  ResolveQueue resolve_;
  NoBuffers no_buffers_;
  std::unique_ptr<SessionShard> shard_;
  std::unique_ptr<Walk> walk_;
  std::vector<uint8_t> buffers_ = std::vector<uint8_t>(kBurst * kBufferBytes);
  std::array<Packet, kBurst> burst_;
  Bytes media_;
};

void Established(benchmark::State& state, bool source_nat, bool random_order) {
  auto sessions = static_cast<size_t>(state.range(0));
  Rig rig(sessions, source_nat);
  std::vector<uint32_t> order(1 << 20);
  std::mt19937 random(1);
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = static_cast<uint32_t>((random_order ? random() : i) % sessions);
  }
  uint64_t cycles = 0;
  size_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    uint64_t took = rig.RunBurst(&order[at]);
    at = (at + kBurst) % (order.size() - kBurst);
    cycles += took;
    state.SetIterationTime(static_cast<double>(took) / TscHz());
  }
  auto packets = static_cast<double>(state.iterations() * kBurst);
  state.counters["cycles/packet"] = static_cast<double>(cycles) / packets;
  state.counters["bytes/session"] =
      static_cast<double>(rig.bytes()) / static_cast<double>(sessions);
}

BENCHMARK_CAPTURE(Established, source_in_order, true, false)
    ->RangeMultiplier(32)
    ->Range(1 << 10, 1 << 20)
    ->UseManualTime();
BENCHMARK_CAPTURE(Established, source_random, true, true)
    ->RangeMultiplier(32)
    ->Range(1 << 10, 1 << 20)
    ->UseManualTime();
BENCHMARK_CAPTURE(Established, destination_in_order, false, false)
    ->RangeMultiplier(32)
    ->Range(1 << 10, 1 << 20)
    ->UseManualTime();
BENCHMARK_CAPTURE(Established, destination_random, false, true)
    ->RangeMultiplier(32)
    ->Range(1 << 10, 1 << 20)
    ->UseManualTime();

}  // namespace
}  // namespace bridgehead

BENCHMARK_MAIN();
