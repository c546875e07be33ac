// The relay's walk without its I/O: as many workers as a test wants, with packets handed from one
// to the other as the rings would, a clock that only moves when told, and every outcome in reach.
#pragma once

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "relay/api/counters.h"
#include "relay/api/relay.pb.h"
#include "relay/walk/walk.h"
#include "tests/support/packet_builder.h"

namespace bridgehead::test {

inline constexpr Mac kRelayWan = {0x02, 0, 0, 0, 1, 0x01};
inline constexpr Mac kRelayLan = {0x02, 0, 0, 0, 1, 0x02};
inline constexpr Mac kGateway = {0x02, 0, 0, 0, 2, 0x01};  // next hop towards clients
inline constexpr Mac kBridge = {0x02, 0, 0, 0, 2, 0x02};
inline constexpr uint8_t kWan = 0;
inline constexpr uint8_t kLan = 1;

inline std::string AddressBytes(std::string_view text) {
  if (text.find(':') != text.npos) {
    auto bytes = Ip6(text);
    return std::string(bytes.begin(), bytes.end());
  }
  auto bytes = Ip4(text);
  return std::string(bytes.begin(), bytes.end());
}
inline std::string MacBytes(const Mac& mac) {
  return std::string(reinterpret_cast<const char*>(mac.data()), mac.size());
}
inline be32 Address(std::string_view text) {
  uint32_t raw;
  memcpy(&raw, Ip4(text).data(), sizeof(raw));
  return be32::FromRaw(raw);
}

// Either family.
inline Ipv6Address AnyAddress(std::string_view text) {
  if (text.find(':') == text.npos) return Ipv6Address::Mapped(Address(text));
  return Ipv6Address{Ip6(text)};
}

// The addresses of a test's network:
//
//   client - gateway - WAN, listener | relay | LAN, nat - bridge
struct Net {
  const char* name;
  const char* client;
  const char* gateway;
  const char* listener;
  const char* nat;
  const char* bridge;

  bool ClientIsV6() const { return std::string_view(client).find(':') != std::string_view::npos; }
  bool BridgeIsV6() const { return std::string_view(bridge).find(':') != std::string_view::npos; }
};
inline constexpr Net kNet4{"V4",       "203.0.113.7", "198.51.100.1", "198.51.100.10",
                           "10.8.0.2", "10.8.0.11"};
inline constexpr Net kNet6{"V6",
                           "2001:db8:ffff::7",
                           "2001:db8:10::1",
                           "2001:db8:10::10",
                           "2001:db8:8::2",
                           "2001:db8:8::11"};
inline constexpr Net kNet6To4{"V6ToV4",          "2001:db8:ffff::7", "2001:db8:10::1",
                              "2001:db8:10::10", "10.8.0.2",         "10.8.0.11"};

inline void AddRouting(const Net& net, api::Routing& routing) {
  auto add_interface = [&](uint32_t port, const Mac& mac) {
    auto& interface = *routing.add_interfaces();
    interface.set_port(port);
    interface.set_ifindex(port + 10);
    interface.set_mac(MacBytes(mac));
    interface.set_mtu(1500);
  };
  add_interface(kWan, kRelayWan);
  add_interface(kLan, kRelayLan);
  auto add_route = [&](std::string_view prefix, uint32_t length, uint32_t interface,
                       std::string_view gateway) {
    auto& route = *routing.add_routes();
    route.set_prefix(AddressBytes(prefix));
    route.set_prefix_length(length);
    route.set_interface(interface);
    if (!gateway.empty()) route.set_gateway(AddressBytes(gateway));
  };
  if (net.ClientIsV6()) {
    add_route("::", 0, 0, net.gateway);
    add_route("2001:db8:10::", 64, 0, "");
  } else {
    add_route("0.0.0.0", 0, 0, net.gateway);
    add_route("198.51.100.0", 24, 0, "");
  }
  if (net.BridgeIsV6()) {
    add_route("2001:db8:8::", 64, 1, "");
  } else {
    add_route("10.8.0.0", 24, 1, "");
  }
  auto add_neighbour = [&](uint32_t interface, std::string_view address, const Mac& mac) {
    auto& neighbour = *routing.add_neighbours();
    neighbour.set_interface(interface);
    neighbour.set_address(AddressBytes(address));
    neighbour.set_mac(MacBytes(mac));
  };
  add_neighbour(0, net.gateway, kGateway);
  add_neighbour(1, net.bridge, kBridge);
}

// Two ports, one bridge on the LAN, clients behind a gateway on the WAN.
inline api::Snapshot BasicSnapshot(bool source_nat, const Net& net = kNet4) {
  api::Snapshot snapshot;
  snapshot.set_id(1);
  snapshot.mutable_nat()->add_addresses(AddressBytes(net.nat));
  snapshot.mutable_nat()->mutable_ports()->set_first(20000);
  snapshot.mutable_nat()->mutable_ports()->set_last(59999);
  snapshot.mutable_timeouts()->set_idle_seconds(300);
  snapshot.mutable_timeouts()->set_unconfirmed_seconds(10);
  snapshot.mutable_timeouts()->set_quarantine_seconds(120);
  snapshot.mutable_limits()->set_sessions_per_source(1024);
  snapshot.mutable_limits()->set_unconfirmed(4096);
  snapshot.mutable_limits()->set_hold_packets(4);
  auto& bridge = *snapshot.add_bridges();
  bridge.set_name("jvb1");
  bridge.set_address(AddressBytes(net.bridge));
  auto& media = *snapshot.add_media();
  media.set_name("meet");
  media.set_address(AddressBytes(net.listener));
  media.mutable_ports()->set_first(10000);
  media.mutable_ports()->set_last(10000);
  media.set_nat(source_nat ? api::MediaListener::NAT_SOURCE : api::MediaListener::NAT_DESTINATION);
  media.add_bridges("jvb1");
  media.set_bridge_first_port(10000);
  AddRouting(net, *snapshot.mutable_routing());
  return snapshot;
}

// How one packet ended.
struct Outcome {
  Verdict verdict = Verdict::kOpen;
  Drop drop = Drop::kNone;
  uint8_t port = 0;     // of kTransmit
  size_t handoffs = 0;  // how often it changed workers
  Bytes frame;          // of kTransmit
};

class WalkHarness {
 public:
  struct Options {
    size_t workers = 1;
    size_t max_sessions = 1024;
    bool partial_checksums = false;
    bool verify_udp_checksum = true;
    bool tx_checksum_offload = false;
    bool charge_requests = true;
    uint16_t nat_first_port = 20000;
    uint16_t nat_last_port = 59999;
  };

  WalkHarness(const api::Snapshot& snapshot, const Options& options)
      : segment_(CounterSegment::CreatePrivate(options.workers)),
        steering_(options.workers, options.nat_first_port, options.nat_last_port),
        builder_(kMaxListeners, kMaxBridges) {
    Switch(snapshot);
    for (size_t w = 0; w < options.workers; ++w) {
      ShardConfig config;
      config.worker = w;
      config.workers = options.workers;
      config.max_sessions = options.max_sessions;
      auto nat_addresses = builder_.NatAddresses(snapshot);
      if (!nat_addresses.ok()) throw std::logic_error(nat_addresses.status().ToString());
      config.nat_addresses = *nat_addresses;
      config.nat_first_port = options.nat_first_port;
      config.nat_last_port = options.nat_last_port;
      auto worker = std::make_unique<OneWorker>();
      worker->shard = std::make_unique<SessionShard>(config, segment_->worker(w));
      worker->shard->Start(now_);
      std::vector<PortTraits> ports;
      for (const Mac& mac : {kRelayWan, kRelayLan}) {
        ports.push_back({mac, true, options.verify_udp_checksum, options.partial_checksums,
                         options.tx_checksum_offload, options.charge_requests});
      }
      worker->walk = std::make_unique<Walk>(*worker->shard, steering_, ports, segment_->worker(w),
                                            worker->resolve, buffer_source_);
      workers_.push_back(std::move(worker));
    }
  }

  // Sends frames through worker `first`, in bursts of kBurst; hand-offs are followed to their end.
  std::vector<Outcome> Send(uint8_t port, const std::vector<Bytes>& frames, size_t first = 0,
                            uint8_t checksum_flags = 0) {
    std::vector<Outcome> outcomes;
    ++sends_;
    for (size_t begin = 0; begin < frames.size(); begin += kBurst) {
      size_t count = std::min(kBurst, frames.size() - begin);
      std::vector<Buffer*> buffers;
      for (size_t i = 0; i < count; ++i) {
        buffers.push_back(NewBuffer(frames[begin + i], port));
        buffers.back()->checksum_flags = checksum_flags;
      }
      size_t before = outcomes.size();
      outcomes.resize(before + count);
      for (size_t i = 0; i < count; ++i) {
        buffers[i]->outcome = before + i;
        buffers[i]->send = sends_;
      }
      RunOn(first, buffers, outcomes);
    }
    return outcomes;
  }
  Outcome Send(uint8_t port, const Bytes& frame, size_t first = 0, uint8_t checksum_flags = 0) {
    return Send(port, std::vector<Bytes>{frame}, first, checksum_flags)[0];
  }

  // Moves the clock and lets the timers run, in as many pieces as they need.
  void Advance(uint32_t seconds) {
    for (uint32_t i = 0; i < seconds; ++i) {
      ++now_;
      for (auto& worker : workers_) {
        for (int piece = 0; piece < 64; ++piece) {
          worker->shard->Advance(now_, snapshot_->timeouts);
        }
      }
    }
  }

  // As many pieces of the timers' work as very many sessions need, the clock standing still.
  void RunTimers(size_t pieces) {
    for (auto& worker : workers_) {
      for (size_t i = 0; i < pieces; ++i) worker->shard->Advance(now_, snapshot_->timeouts);
    }
  }

  // A new configuration, as a reload brings it; listeners that it does not name stay, retired,
  // unless told otherwise. Returns the error text, empty when it was taken.
  std::string Switch(const api::Snapshot& snapshot, bool keep_removed = true) {
    std::span<const Listener> kept;
    if (snapshot_ && keep_removed) kept = snapshot_->listeners;
    auto built = builder_.Build(snapshot, {kRelayWan, kRelayLan}, snapshot_.get(), kept);
    if (!built.ok()) return std::string(built.status().message());
    snapshot_ = *std::move(built);
    return "";
  }

  // Packets that waited for a next hop and are now ready or given up.
  std::vector<Outcome> RetryHeld() {
    std::vector<Outcome> outcomes;
    for (auto& worker : workers_) {
      worker->walk->RetryHeld(*snapshot_, now_, [&](const bridgehead::Packet& packet) {
        outcomes.push_back(Finish(packet, 0));
      });
    }
    return outcomes;
  }
  // What has come out beside the frames of a Send: pieces of large ones, and fragments that an
  // earlier Send had left waiting. Taken away with each call.
  std::vector<Outcome> Others() { return std::exchange(others_, {}); }
  // Frees the memory of all frames sent so far. Only while no packet is held.
  void ForgetFrames() { buffers_.clear(); }
  // How many buffers there are for pieces.
  void LeaveBuffers(size_t count) { buffer_source_.left = count; }
  std::vector<ResolveRequest> Asked() {
    std::vector<ResolveRequest> asked;
    ResolveRequest request;
    for (auto& worker : workers_) {
      while (worker->resolve.Pop(request)) asked.push_back(request);
    }
    return asked;
  }

  // Frees the packets of the past. None may be held.
  void ReleaseBuffers() { buffers_.clear(); }

  WorkerCounters& counters(size_t worker) { return segment_->worker(worker); }
  SessionShard& shard(size_t worker) { return *workers_[worker]->shard; }
  const Snapshot& snapshot() const { return *snapshot_; }
  uint32_t now() const { return now_; }
  size_t workers() const { return workers_.size(); }
  const Steering& steering() const { return steering_; }

  // Sum over the workers.
  uint64_t Sum(Counter WorkerCounters::*counter) {
    uint64_t sum = 0;
    for (size_t w = 0; w < workers_.size(); ++w) sum += (counters(w).*counter).Get();
    return sum;
  }

 private:
  static constexpr size_t kHeadroom = 128;
  // What lies before the room that the walk may use must stay as it is.
  static constexpr uint8_t kUntouched = 0xcd;

  struct OneWorker {
    ResolveQueue resolve;
    std::unique_ptr<SessionShard> shard;
    std::unique_ptr<Walk> walk;
  };
  // Each frame gets memory of its exact size, so that a sanitizer sees a read past its end.
  struct Buffer {
    std::unique_ptr<uint8_t[]> memory;
    size_t length = 0;
    uint8_t port = 0;
    uint8_t checksum_flags = 0;
    bool ordered = false;
    size_t outcome = 0;
    size_t send = 0;  // which Send it came with; 0: none, the relay has made it
    size_t handoffs = 0;
  };
  struct Buffers : BufferSource {
    explicit Buffers(WalkHarness& owner) : harness(owner) {}
    bool Take(bridgehead::Packet& packet, size_t bytes) override {
      if (left == 0) return false;
      --left;
      Buffer* buffer = harness.NewBuffer(Bytes(bytes), packet.port);
      packet.buffer = buffer;
      packet.frame = buffer->memory.get() + kHeadroom;
      return true;
    }
    void GiveBack(const bridgehead::Packet&) override { ++left; }
    WalkHarness& harness;
    size_t left = SIZE_MAX;
  };

  Buffer* NewBuffer(const Bytes& frame, uint8_t port) {
    auto buffer = std::make_unique<Buffer>();
    buffer->memory = std::make_unique<uint8_t[]>(kHeadroom + frame.size());
    memset(buffer->memory.get(), kUntouched, kHeadroom);
    if (!frame.empty()) memcpy(buffer->memory.get() + kHeadroom, frame.data(), frame.size());
    buffer->length = frame.size();
    buffer->port = port;
    buffers_.push_back(std::move(buffer));
    return buffers_.back().get();
  }

  static Outcome Finish(const bridgehead::Packet& packet, size_t handoffs) {
    Outcome outcome{packet.verdict, packet.drop, packet.egress, handoffs, {}};
    if (packet.verdict == Verdict::kTransmit) {
      outcome.frame.assign(packet.frame, packet.frame + packet.length);
    }
    return outcome;
  }

  void RunOn(size_t worker, const std::vector<Buffer*>& buffers, std::vector<Outcome>& outcomes) {
    std::vector<bridgehead::Packet> burst(buffers.size());
    for (size_t i = 0; i < buffers.size(); ++i) {
      burst[i].frame = buffers[i]->memory.get() + kHeadroom;
      burst[i].buffer = buffers[i];
      burst[i].length = static_cast<uint32_t>(buffers[i]->length);
      burst[i].port = buffers[i]->port;
      burst[i].checksum_flags = buffers[i]->checksum_flags;
      burst[i].ordered = buffers[i]->ordered;
    }
    workers_[worker]->walk->Run(burst, *snapshot_, now_);
    std::vector<std::vector<Buffer*>> handoffs(workers_.size());
    auto act = [&](const bridgehead::Packet& packet) {
      auto* buffer = static_cast<Buffer*>(packet.buffer);
      if (packet.verdict == Verdict::kOpen) throw std::logic_error("a packet has no verdict");
      // One comparison of a block with itself, a byte on: all bytes are the same.
      const uint8_t* before = buffer->memory.get();
      if (before[0] != kUntouched ||
          memcmp(before, before + 1, kHeadroom - kUsedHeadroom - 1) != 0) {
        throw std::logic_error("written before the packet");
      }
      if (packet.verdict == Verdict::kHandoff) {
        // A fragment to whom its datagram belongs, then to whom the session does.
        if (++buffer->handoffs > (packet.ordered ? 2 : 1))
          throw std::logic_error("handed off twice");
        buffer->ordered = packet.ordered;
        handoffs[packet.egress].push_back(buffer);
      } else if (buffer->send == sends_) {
        outcomes[buffer->outcome] = Finish(packet, buffer->handoffs);
      } else {
        others_.push_back(Finish(packet, buffer->handoffs));
      }
    };
    for (const bridgehead::Packet& packet : burst) act(packet);
    workers_[worker]->walk->TakeMore(act);
    for (size_t w = 0; w < handoffs.size(); ++w) {
      if (!handoffs[w].empty()) RunOn(w, handoffs[w], outcomes);
    }
  }

  std::unique_ptr<CounterSegment> segment_;
  Steering steering_;
  SnapshotBuilder builder_;
  std::unique_ptr<const Snapshot> snapshot_;
  uint32_t now_ = 1000;
  Buffers buffer_source_{*this};
  size_t sends_ = 0;
  std::vector<Outcome> others_;
  std::vector<std::unique_ptr<OneWorker>> workers_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

// A payload that is media by its first byte.
inline constexpr std::string_view kRtp = "\x80\x6f rtp";

// A STUN Binding Request with USERNAME and a correct FINGERPRINT, as ICE sends it.
Bytes StunRequest(std::string_view username = "bridge:client", bool fingerprint = true);

}  // namespace bridgehead::test
