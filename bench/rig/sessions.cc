#include "bench/rig/sessions.h"

#include <algorithm>

#include <fmt/format.h>
#include <rte_cycles.h>

namespace bridgehead::rig {
namespace {

// Under every limit that counts sessions which no bridge has answered yet.
constexpr uint32_t kOutstanding = 256;
constexpr double kRepeatSeconds = 0.2;
constexpr double kSettleSeconds = 0.1;
constexpr uint16_t kFirstClientPort = 1024;  // RFC 4814: source ports from here on
constexpr uint32_t kClientPorts = 64512;

// Sends one frame, waiting a short time when the ring is full. A lost one is repeated by the
// caller.
template <typename Build>
void SendOne(const Wire& wire, Build build) {
  rte_mbuf* mbuf = MakeFrame(wire, build);
  if (mbuf == nullptr) return;
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (rte_eth_tx_burst(wire.port, 0, &mbuf, 1) == 1) return;
    rte_delay_us_block(10);
  }
  rte_pktmbuf_free(mbuf);
}

// Calls handle(received or empty) for everything that waits at the port.
template <typename Handle>
void ReceiveAll(const Wire& wire, Handle handle) {
  rte_mbuf* mbufs[kMaxBurst];
  while (const uint16_t count = rte_eth_rx_burst(wire.port, 0, mbufs, kMaxBurst)) {
    for (uint16_t i = 0; i < count; ++i) {
      handle(ReadFrame(rte_pktmbuf_mtod(mbufs[i], const uint8_t*), mbufs[i]->data_len));
    }
    rte_pktmbuf_free_bulk(mbufs, count);
  }
}

}  // namespace

Sessions::Sessions(const Options& options)
    : options_(options),
      listener_{options.listener_address, options.listener_port},
      bridge_{options.bridge_address, options.bridge_port},
      sessions_(options.sessions + options.open_sessions()) {
  for (uint32_t i = 0; i < size(); ++i) {
    const uint32_t nth = i % options.sessions_per_source;
    // A stride that shares no factor with the range spreads the ports over all of it.
    const uint32_t port = kFirstClientPort + nth * 40503U % kClientPorts;
    sessions_[i].client = {options.first_client + i / options.sessions_per_source,
                           static_cast<uint16_t>(port)};
  }
}

Flow Sessions::ToListener(uint32_t index) const {
  return {options_.ipv6, kRigClientMac, kDeviceClientMac, sessions_[index].client, listener_};
}

Flow Sessions::FromBridge(uint32_t index) const {
  return {options_.ipv6, kRigBridgeMac, kDeviceBridgeMac, bridge_, sessions_[index].learned};
}

bool Sessions::RightAtBridge(const Received& received) const {
  return received.tag < size() && received.to == bridge_ &&
         received.from == sessions_[received.tag].learned;
}

bool Sessions::RightAtClient(const Received& received) const {
  return received.tag < size() && received.from == listener_ &&
         received.to == sessions_[received.tag].client;
}

void Sessions::AssumeUnchanged() {
  for (Session& session : sessions_) session.learned = session.client;
}

bool Sessions::Learn(const Received& received) {
  if (received.tag >= size() || received.to != bridge_) return false;
  Session& session = sessions_[received.tag];
  if (options_.nat == NatMode::kDestination && received.from != session.client) return false;
  session.learned = received.from;
  return true;
}

void Sessions::SendRequests(Wires& wires, uint32_t first, uint32_t last, SetupReport& report) {
  for (uint32_t i = first; i < last; ++i) {
    if (sessions_[i].confirmed) continue;
    SendOne(wires.client(), [&](uint8_t* out) { return BuildStunRequest(ToListener(i), i, out); });
    ++report.requests_sent;
  }
}

void Sessions::AnswerAtBridge(Wires& wires, SetupReport& report) {
  ReceiveAll(wires.bridge(), [&](const std::optional<Received>& received) {
    if (!received || !received->stun || !Learn(*received)) {
      ++report.stray_frames;
      return;
    }
    const uint32_t index = received->tag;
    SendOne(wires.bridge(),
            [&](uint8_t* out) { return BuildStunResponse(FromBridge(index), index, out); });
  });
}

uint32_t Sessions::CollectAtClient(Wires& wires, SetupReport& report) {
  uint32_t confirmed = 0;
  ReceiveAll(wires.client(), [&](const std::optional<Received>& received) {
    if (!received || !RightAtClient(*received)) {
      ++report.stray_frames;
      return;
    }
    Session& session = sessions_[received->tag];
    if (session.confirmed) return;
    session.confirmed = true;
    ++confirmed;
    // As a client does: the relay takes the session for confirmed when it has heard both sides.
    const uint32_t index = received->tag;
    SendOne(wires.client(),
            [&](uint8_t* out) { return BuildStunRequest(ToListener(index), index, out); });
  });
  return confirmed;
}

absl::StatusOr<SetupReport> Sessions::Establish(Wires& wires) {
  const auto hz = static_cast<double>(rte_get_tsc_hz());
  const uint64_t begin = rte_get_tsc_cycles();
  const auto elapsed = [&] { return static_cast<double>(rte_get_tsc_cycles() - begin) / hz; };
  SetupReport report;
  for (uint32_t first = 0; first < options_.sessions; first += kOutstanding) {
    const uint32_t last = std::min(options_.sessions, first + kOutstanding);
    uint32_t missing = last - first;
    double next_send = 0;
    while (missing > 0) {
      const double now = elapsed();
      if (now > options_.setup_seconds) {
        return absl::DeadlineExceededError(fmt::format(
            "{} of {} sessions came up in {} s ({} requests, {} stray frames); first missing: {}",
            first + (last - first - missing), options_.sessions, options_.setup_seconds,
            report.requests_sent, report.stray_frames, first));
      }
      if (now >= next_send) {
        SendRequests(wires, first, last, report);
        next_send = now + kRepeatSeconds;
      }
      AnswerAtBridge(wires, report);
      missing -= CollectAtClient(wires, report);
    }
  }
  report.seconds = elapsed();
  // What is still on its way, as the clients' second requests are, is no load.
  double last_arrival = report.seconds;
  const auto arrived = [&](const std::optional<Received>&) { last_arrival = elapsed(); };
  while (elapsed() - last_arrival < kSettleSeconds && elapsed() < options_.setup_seconds) {
    ReceiveAll(wires.bridge(), arrived);
    ReceiveAll(wires.client(), arrived);
  }
  return report;
}

}  // namespace bridgehead::rig
