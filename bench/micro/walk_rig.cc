#include "bench/micro/walk_rig.h"

#include <cstring>
#include <stdexcept>
#include <utility>

#include "relay/net/checksum.h"
#include "relay/walk/lookup.h"
#include "relay/walk/parse.h"
#include "tests/support/walk_harness.h"

namespace bridgehead::bench {
namespace {

using test::Bytes;

constexpr uint16_t kFirstPort = 1024, kLastPort = 65535;  // of NAT addresses
constexpr size_t kPortsUsed = 64000;   // of each: all of them would take long to find
constexpr size_t kClientPorts = 4096;  // of each client address
constexpr size_t kBufferBytes = 256;
constexpr size_t kHeadroom = 128;
constexpr size_t kPayloadBytes = 18;  // 64 bytes on the wire over IPv4, with the FCS
constexpr uint32_t kStart = 1000;     // the clock, in seconds

std::string BytesOf(be32 address) {
  return {reinterpret_cast<const char*>(&address), sizeof(address)};
}
std::string BytesOf(const Ipv6Address& address) {
  return {reinterpret_cast<const char*>(&address), sizeof(address)};
}

// `base` and a number in its last four bytes.
be32 Numbered(be32 base, uint32_t number) {
  return be32::FromHost(base.ToHost() + number);
}
Ipv6Address Numbered(Ipv6Address base, uint32_t number) {
  const be32 last = be32::FromHost(number);
  memcpy(reinterpret_cast<uint8_t*>(&base) + 12, &last, sizeof(last));
  return base;
}

// Not a member of the shard: no packet here is too large for its way out.
struct NoBuffers : BufferSource {
  bool Take(Packet&, size_t) override { return false; }
  void GiveBack(const Packet&) override {}
};

template <class Family>
class RigOf : public WalkRig {
 public:
  explicit RigOf(const Options& options)
      : net_(std::is_same_v<Family, Ipv4> ? test::kNet4 : test::kNet6),
        segment_(CounterSegment::CreatePrivate(1)),
        steering_(1, kFirstPort, kLastPort) {
    const ShardConfig config = BuildSnapshot(options);
    shard_ = std::make_unique<SessionShard>(config, segment_->worker(0));
    shard_->Start(kStart);
    ports_.assign(2, PortTraits{.verify_udp_checksum = false});
    walk_ = std::make_unique<Walk>(*shard_, steering_, ports_, segment_->worker(0), resolve_,
                                   no_buffers_);
    Establish(options.sessions);
  }

  void Fill(const uint32_t* sessions) override {
    for (size_t i = 0; i < kBurst; ++i) {
      const bool reply = i % 2 == 1;
      Put(i, reply ? test::kLan : test::kWan, keys_[sessions[i] * 2 + reply], media_);
    }
  }

  void FillOpening(Opening step) override {
    if (step == Opening::kRequest) {
      for (FlowKey<Family>& key : opening_) key = ClientKey(opened_++);
    }
    for (size_t i = 0; i < kBurst; ++i) {
      if (step == Opening::kAnswer) {
        PutStun(i, test::kLan, Reversed(Leaving<Family>(*burst_[i].flow, *snapshot_)), answer_);
      } else {
        PutStun(i, test::kWan, opening_[i], request_);
      }
    }
  }

  void Advance(uint32_t seconds) override {
    shard_->Advance(kStart + 1 + seconds, snapshot_->timeouts);
  }
  size_t active_sessions() const override { return segment_->worker(0).sessions_active.Get(); }

  void Run(Stage stage) override {
    const Snapshot& snapshot = *snapshot_;
    switch (stage) {
      case Stage::kParse:
        for (Packet& packet : burst_) {
          const Drop drop = Parse(packet, ports_[packet.port], *snapshot.forwarding);
          if (drop != Drop::kNone) [[unlikely]]
            packet.End(drop);
        }
        return;
      case Stage::kSteer:
        for (Packet& packet : burst_) {
          Classify(packet, packet.Key<Family>(), snapshot);
          BeginLookup<Family>(packet, *shard_);
        }
        return;
      case Stage::kCandidate:
        for (Packet& packet : burst_) FindCandidate(packet, *shard_);
        return;
      case Stage::kConfirm:
        for (Packet& packet : burst_) {
          if (!ConfirmFlow<Family>(packet, *shard_, snapshot)) [[unlikely]]
            packet.End(Drop::kNotStun);
        }
        return;
      case Stage::kRewrite:
        for (Packet& packet : burst_) {
          RewritePlain<Family>(packet.frame + packet.ip_offset, *packet.flow, snapshot);
          WriteEthernet(packet, *snapshot.forwarding->Get(packet.flow->adjacency));
        }
        return;
      case Stage::kWalk:
        walk_->Run(burst_, snapshot, kStart + 1);
        return;
    }
  }

  void Check() const override {
    for (const Packet& packet : burst_) {
      if (packet.verdict != Verdict::kTransmit) {
        throw std::logic_error("a packet was not forwarded");
      }
    }
  }
  size_t bytes() const override { return shard_->bytes(); }

 private:
  ShardConfig BuildSnapshot(const Options& options) {
    api::Snapshot message = test::BasicSnapshot(options.source_nat, net_);
    message.mutable_nat()->mutable_ports()->set_first(kFirstPort);
    message.mutable_nat()->mutable_ports()->set_last(kLastPort);
    message.mutable_limits()->set_unconfirmed(1U << 31);
    message.mutable_limits()->set_sessions_per_source(1U << 31);
    message.mutable_nat()->clear_addresses();
    const auto first = Family::From(test::AnyAddress(net_.nat));
    for (size_t i = 0; i <= (options.sessions + options.room) / kPortsUsed; ++i) {
      message.mutable_nat()->add_addresses(
          BytesOf(Numbered(first, static_cast<uint32_t>(i + 256))));
    }
    SnapshotBuilder builder(kMaxListeners, kMaxBridges);
    ShardConfig config;
    config.max_sessions = options.sessions + options.room;
    config.nat_first_port = kFirstPort;
    config.nat_last_port = kLastPort;
    auto addresses = builder.NatAddresses(message);
    if (!addresses.ok()) throw std::runtime_error(addresses.status().ToString());
    config.nat_addresses = *std::move(addresses);
    auto built = builder.Build(message, {test::kRelayWan, test::kRelayLan}, nullptr, {});
    if (!built.ok()) throw std::runtime_error(built.status().ToString());
    snapshot_ = *std::move(built);
    return config;
  }

  // Of the n-th client port.
  FlowKey<Family> ClientKey(size_t number) const {
    return {Numbered(Family::From(test::AnyAddress(net_.client)),
                     static_cast<uint32_t>(number / kClientPorts)),
            Family::From(test::AnyAddress(net_.listener)),
            be16::FromHost(static_cast<uint16_t>(kFirstPort + number % kClientPorts)),
            be16::FromHost(10000)};
  }

  void Establish(size_t sessions) {
    request_ = Frame(test::StunRequest());
    Bytes answer = test::StunRequest();
    answer[0] = answer[1] = 1;  // a success response (RFC 8489 section 5)
    answer_ = Frame(answer);
    media_ = Frame(Bytes(kPayloadBytes, 0xa5));
    keys_.reserve(sessions * 2);
    for (; opened_ < sessions; ++opened_) {
      const FlowKey<Family> key = ClientKey(opened_);
      PutStun(0, test::kWan, key, request_);
      walk_->Run(std::span(burst_.data(), 1), *snapshot_, kStart);
      if (burst_[0].verdict != Verdict::kTransmit) throw std::runtime_error("not admitted");
      // Confirmed at once: an unconfirmed one would make room for those that come after it.
      Flow& flow = *burst_[0].flow;
      shard_->Answered(flow);
      shard_->Confirm(flow);
      keys_.push_back(key);
      keys_.push_back(Reversed(Leaving<Family>(flow, *snapshot_)));
    }
  }

  Bytes Frame(const Bytes& payload) const {
    return test::Packet()
        .Eth()
        .IP(net_.client, net_.listener)
        .Udp(kFirstPort, 10000)
        .UdpChecksum(0xbeef)  // not looked at here, and not zero: there is one to update
        .Payload(payload)
        .Build();
  }

  void Put(size_t slot, uint8_t port, const FlowKey<Family>& key, const Bytes& frame) {
    uint8_t* at = &buffers_[slot * kBufferBytes + kHeadroom];
    memcpy(at, frame.data(), frame.size());
    Packet& packet = burst_[slot];
    packet = Packet{};
    packet.frame = at;
    packet.length = static_cast<uint32_t>(frame.size());
    packet.port = port;
    memcpy(at + sizeof(EthernetHeader) + Family::kKeyOffset, &key, sizeof(key));
    if constexpr (std::is_same_v<Family, Ipv4>) {
      auto& ip = *reinterpret_cast<Ipv4Header*>(at + sizeof(EthernetHeader));
      ip.checksum = be16();
      ip.checksum = be16::FromRaw(static_cast<uint16_t>(~FoldChecksum(SumBytes(&ip, sizeof(ip)))));
    }
  }

  void PutStun(size_t slot, uint8_t port, const FlowKey<Family>& key, const Bytes& frame) {
    Put(slot, port, key, frame);
    burst_[slot].ip_offset = sizeof(EthernetHeader);
    WriteUdpChecksum<Family>(burst_[slot], /*port_finishes=*/false);
  }

  const test::Net& net_;
  std::unique_ptr<CounterSegment> segment_;
  Steering steering_;
  std::unique_ptr<const Snapshot> snapshot_;
  std::vector<PortTraits> ports_;
  ResolveQueue resolve_;
  NoBuffers no_buffers_;
  std::unique_ptr<SessionShard> shard_;
  std::unique_ptr<Walk> walk_;
  std::vector<FlowKey<Family>> keys_;  // of each session, to the bridge and to the client
  size_t opened_ = 0;                  // client ports that have had a session
  std::array<FlowKey<Family>, kBurst> opening_;
  Bytes request_, answer_, media_;
  std::vector<uint8_t> buffers_ = std::vector<uint8_t>(kBurst * kBufferBytes);
  std::array<Packet, kBurst> burst_;
};

}  // namespace

std::string_view Name(Stage stage) {
  constexpr std::array<std::string_view, kStages.size()> kNames = {
      "parse", "steer", "candidate", "confirm", "rewrite", "walk"};
  return kNames[static_cast<size_t>(stage)];
}

std::unique_ptr<WalkRig> WalkRig::Make(const Options& options) {
  if (options.ipv6) return std::make_unique<RigOf<Ipv6>>(options);
  return std::make_unique<RigOf<Ipv4>>(options);
}

}  // namespace bridgehead::bench
