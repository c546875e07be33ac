#include "bench/rig/load.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>

#include <rte_cycles.h>
#include <rte_memcpy.h>

namespace bridgehead::rig {
namespace {

constexpr unsigned kCheckEvery = 16;    // receive calls; of each, the first frame
constexpr unsigned kReceiveRounds = 4;  // calls before sending again
constexpr double kDrainSeconds = 0.3;   // of silence, before a frame counts as lost

struct alignas(64) Template {
  uint8_t bytes[kTemplateBytes];
};

// Sends one direction's frames, from templates, round and round.
class Sender {
 public:
  Sender(const Options& options, const Sessions& sessions, const Wire& wire, bool to_bridge)
      : wire_(wire), burst_(options.burst), frame_bytes_(options.frame_bytes) {
    std::vector<uint32_t> order(sessions.size());
    std::iota(order.begin(), order.end(), 0U);
    if (options.random_order) std::shuffle(order.begin(), order.end(), std::mt19937(20));
    templates_.resize(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
      const uint32_t index = order[i];
      BuildMedia(to_bridge ? sessions.ToListener(index) : sessions.FromBridge(index), index,
                 frame_bytes_, templates_[i].bytes);
    }
  }
  ~Sender() { rte_pktmbuf_free_bulk(waiting_ + first_, count_ - first_); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // One call's worth at most; what the ring refuses is offered again next time.
  void Send(Direction& direction) {
    if (first_ == count_ && !Fill()) return;
    const uint16_t sent =
        rte_eth_tx_burst(wire_.port, 0, waiting_ + first_, static_cast<uint16_t>(count_ - first_));
    first_ += sent;
    direction.sent += sent;
    ++direction.send_calls;
    direction.ring_full_calls += first_ < count_ ? 1 : 0;
  }

 private:
  bool Fill() {
    if (rte_pktmbuf_alloc_bulk(wire_.tx_pool, waiting_, burst_) != 0) return false;
    for (unsigned i = 0; i < burst_; ++i) {
      rte_mbuf* mbuf = waiting_[i];
      rte_memcpy(rte_pktmbuf_mtod(mbuf, uint8_t*), templates_[next_].bytes, kTemplateBytes);
      mbuf->data_len = static_cast<uint16_t>(frame_bytes_);
      mbuf->pkt_len = frame_bytes_;
      if (++next_ == templates_.size()) next_ = 0;
    }
    first_ = 0;
    count_ = burst_;
    return true;
  }

  const Wire& wire_;
  unsigned burst_;
  uint32_t frame_bytes_;
  std::vector<Template> templates_;
  size_t next_ = 0;
  rte_mbuf* waiting_[kMaxBurst] = {};
  unsigned first_ = 0;
  unsigned count_ = 0;
};

// Counts one direction's frames where they arrive, and looks at a sample of them.
class Receiver {
 public:
  Receiver(const Options& options, const Sessions& sessions, const Wire& wire, bool at_bridge)
      : sessions_(sessions),
        wire_(wire),
        burst_(static_cast<uint16_t>(options.burst)),
        check_(!options.stateless),
        at_bridge_(at_bridge) {}

  uint64_t Receive(Direction& direction, uint64_t& checked) {
    uint64_t total = 0;
    rte_mbuf* mbufs[kMaxBurst];
    for (unsigned round = 0; round < kReceiveRounds; ++round) {
      const uint16_t count = rte_eth_rx_burst(wire_.port, 0, mbufs, burst_);
      if (count == 0) break;
      if (check_ && ++calls_ % kCheckEvery == 0) {
        ++checked;
        direction.wrong += Right(mbufs[0]) ? 0 : 1;
      }
      rte_pktmbuf_free_bulk(mbufs, count);
      total += count;
      if (count < burst_) break;
    }
    direction.received += total;
    return total;
  }

 private:
  bool Right(const rte_mbuf* mbuf) const {
    const auto received = ReadFrame(rte_pktmbuf_mtod(mbuf, const uint8_t*), mbuf->data_len);
    return received &&
           (at_bridge_ ? sessions_.RightAtBridge(*received) : sessions_.RightAtClient(*received));
  }

  const Sessions& sessions_;
  const Wire& wire_;
  uint16_t burst_;
  bool check_;
  bool at_bridge_;
  unsigned calls_ = 0;
};

// How many frames may have been sent by now.
class Pace {
 public:
  Pace(double rate, uint64_t begin)
      : per_cycle_(rate / static_cast<double>(rte_get_tsc_hz())), begin_(begin) {}
  bool Allows(uint64_t sent, uint64_t now) const {
    return per_cycle_ == 0 ||
           static_cast<double>(sent) < per_cycle_ * static_cast<double>(now - begin_);
  }

 private:
  double per_cycle_;
  uint64_t begin_;
};

}  // namespace

LoadReport RunLoad(const Options& options, const Sessions& sessions, Wires& wires) {
  Sender client_sender(options, sessions, wires.client(), true);
  Sender bridge_sender(options, sessions, wires.bridge(), false);
  Receiver at_bridge(options, sessions, wires.bridge(), true);
  Receiver at_client(options, sessions, wires.client(), false);
  LoadReport report;
  const auto hz = static_cast<double>(rte_get_tsc_hz());
  const auto window = static_cast<uint64_t>(kWindowSeconds * hz);
  const uint64_t begin = rte_get_tsc_cycles();
  const uint64_t measure = begin + static_cast<uint64_t>(options.warmup_seconds * hz);
  const uint64_t end =
      measure + static_cast<uint64_t>((options.seconds + kWindowSeconds / 10) * hz);
  const Pace pace(options.rate, begin);
  uint64_t window_end = measure;
  uint64_t at_window[2] = {0, 0};
  for (uint64_t now = begin; now < end; now = rte_get_tsc_cycles()) {
    if (pace.Allows(report.to_bridge.sent + report.to_client.sent, now)) {
      client_sender.Send(report.to_bridge);
      bridge_sender.Send(report.to_client);
    }
    at_bridge.Receive(report.to_bridge, report.checked);
    at_client.Receive(report.to_client, report.checked);
    if (now < window_end) continue;
    if (window_end > measure) {
      report.to_bridge.windows.push_back(report.to_bridge.received - at_window[0]);
      report.to_client.windows.push_back(report.to_client.received - at_window[1]);
    }
    at_window[0] = report.to_bridge.received;
    at_window[1] = report.to_client.received;
    window_end += window;
  }
  const auto silence = static_cast<uint64_t>(kDrainSeconds * hz);
  uint64_t last_arrival = rte_get_tsc_cycles();
  while (rte_get_tsc_cycles() - last_arrival < silence) {
    if (at_bridge.Receive(report.to_bridge, report.checked) +
            at_client.Receive(report.to_client, report.checked) >
        0) {
      last_arrival = rte_get_tsc_cycles();
    }
  }
  return report;
}

}  // namespace bridgehead::rig
