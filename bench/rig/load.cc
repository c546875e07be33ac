#include "bench/rig/load.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <random>

#include <rte_cycles.h>
#include <rte_memcpy.h>

#include "bench/rig/pace.h"

namespace bridgehead::rig {
namespace {

constexpr unsigned kCheckEvery = 16;         // receive calls; of each, the first frame
constexpr unsigned kReceiveRounds = 4;       // calls before sending again
constexpr double kDrainSeconds = 0.3;        // of silence, before a frame counts as lost
constexpr double kPacedBurstSeconds = 2e-6;  // for latency, frames of this time go together
constexpr unsigned kPauseMicroseconds = 50;

struct alignas(64) Template {
  uint8_t bytes[kMaxTemplateBytes];
};

// What looks at frames besides counting them.
struct Observers {
  std::optional<Latency> latency;
  std::optional<Opening> opening;
};

// For latency as few together as the loop can keep up with: at a given rate frames are not to wait
// for each other.
unsigned BurstOf(const Options& options) {
  if (options.rate == 0 || !options.latency) return options.burst;
  const double frames = options.rate / 2 * kPacedBurstSeconds;
  return std::clamp(static_cast<unsigned>(frames), 1U, options.burst);
}

// Sends one direction's frames, from templates, round and round.
class Sender {
 public:
  Sender(const Options& options, const Sessions& sessions, const Wire& wire,
         Latency::Direction direction)
      : wire_(wire),
        direction_(direction),
        burst_(BurstOf(options)),
        frame_bytes_(options.frame_bytes),
        template_bytes_(TemplateBytes(options.ipv6)),
        order_(options.sessions) {
    std::iota(order_.begin(), order_.end(), 0U);
    if (options.random_order) std::shuffle(order_.begin(), order_.end(), std::mt19937(20));
    templates_.resize(order_.size());
    for (size_t i = 0; i < order_.size(); ++i) {
      const uint32_t index = order_[i];
      const Flow flow =
          direction == Latency::kToBridge ? sessions.ToListener(index) : sessions.FromBridge(index);
      BuildMedia(flow, index, frame_bytes_, templates_[i].bytes);
    }
    // Behind the template a frame has what its buffer has, which was a STUN message before.
    rte_mempool_obj_iter(wire.tx_pool, ZeroData, nullptr);
  }
  ~Sender() { rte_pktmbuf_free_bulk(waiting_ + first_, count_ - first_); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // One call's worth at most; what the ring refuses is offered again next time.
  void Send(Direction& direction, Latency* latency, uint64_t now) {
    if (first_ == count_ && !Fill(latency, now)) return;
    const uint16_t sent =
        rte_eth_tx_burst(wire_.port, 0, waiting_ + first_, static_cast<uint16_t>(count_ - first_));
    first_ += sent;
    direction.sent += sent;
    ++direction.send_calls;
    direction.ring_full_calls += first_ < count_ ? 1 : 0;
  }

 private:
  static void ZeroData(rte_mempool*, void*, void* object, unsigned) {
    const auto* mbuf = static_cast<const rte_mbuf*>(object);
    std::memset(mbuf->buf_addr, 0, mbuf->buf_len);
  }

  bool Fill(Latency* latency, uint64_t now) {
    if (rte_pktmbuf_alloc_bulk(wire_.tx_pool, waiting_, burst_) != 0) return false;
    for (unsigned i = 0; i < burst_; ++i) {
      rte_mbuf* mbuf = waiting_[i];
      rte_memcpy(rte_pktmbuf_mtod(mbuf, uint8_t*), templates_[next_].bytes, template_bytes_);
      mbuf->data_len = static_cast<uint16_t>(frame_bytes_);
      mbuf->pkt_len = frame_bytes_;
      if (latency != nullptr) latency->Sent(direction_, order_[next_], now);
      if (++next_ == templates_.size()) next_ = 0;
    }
    first_ = 0;
    count_ = burst_;
    return true;
  }

  const Wire& wire_;
  Latency::Direction direction_;
  unsigned burst_;
  uint32_t frame_bytes_;
  size_t template_bytes_;
  std::vector<uint32_t> order_;  // the session of each template
  std::vector<Template> templates_;
  size_t next_ = 0;
  rte_mbuf* waiting_[kMaxBurst] = {};
  unsigned first_ = 0;
  unsigned count_ = 0;
};

// Counts one direction's frames where they arrive, and looks at a sample of them.
class Receiver {
 public:
  Receiver(const Options& options, const Sessions& sessions, const Wire& wire,
           Latency::Direction direction)
      : sessions_(sessions),
        wire_(wire),
        direction_(direction),
        burst_(static_cast<uint16_t>(options.burst)),
        check_(!options.stateless) {}

  uint64_t Receive(Direction& direction, uint64_t& checked, Observers& observers) {
    uint64_t total = 0;
    rte_mbuf* mbufs[kMaxBurst];
    for (unsigned round = 0; round < kReceiveRounds; ++round) {
      const uint16_t count = rte_eth_rx_burst(wire_.port, 0, mbufs, burst_);
      if (count == 0) break;
      const uint16_t media =
          observers.opening ? SortOutStun(mbufs, count, *observers.opening) : count;
      if (media > 0) {
        if (observers.latency) {
          observers.latency->Came(direction_, TagOf(Bytes(mbufs[0])), rte_get_tsc_cycles());
        }
        if (check_ && ++calls_ % kCheckEvery == 0) {
          ++checked;
          direction.wrong += Right(mbufs[0]) ? 0 : 1;
        }
      }
      rte_pktmbuf_free_bulk(mbufs, count);
      total += media;
      if (count < burst_) break;
    }
    direction.received += total;
    return total;
  }

 private:
  static const uint8_t* Bytes(const rte_mbuf* mbuf) {
    return rte_pktmbuf_mtod(mbuf, const uint8_t*);
  }

  // Hands over what is STUN; returns how many others there are, which are then the first.
  uint16_t SortOutStun(rte_mbuf** mbufs, uint16_t count, Opening& opening) const {
    const uint64_t now = rte_get_tsc_cycles();
    rte_mbuf** const others = std::partition(
        mbufs, mbufs + count, [](const rte_mbuf* mbuf) { return !IsStun(Bytes(mbuf)); });
    for (rte_mbuf** stun = others; stun < mbufs + count; ++stun) {
      if (direction_ == Latency::kToBridge) {
        opening.AtBridge(*stun);
      } else {
        opening.AtClient(*stun, now);
      }
    }
    return static_cast<uint16_t>(others - mbufs);
  }

  bool Right(const rte_mbuf* mbuf) const {
    const auto received = ReadFrame(Bytes(mbuf), mbuf->data_len);
    return received && (direction_ == Latency::kToBridge ? sessions_.RightAtBridge(*received)
                                                         : sessions_.RightAtClient(*received));
  }

  const Sessions& sessions_;
  const Wire& wire_;
  Latency::Direction direction_;
  uint16_t burst_;
  bool check_;
  unsigned calls_ = 0;
};

// Counts what was received in each window of the measurement.
class Windows {
 public:
  Windows(uint64_t begin, double hz)
      : length_(static_cast<uint64_t>(kWindowSeconds * hz)), begin_(begin), end_(begin) {}

  void Turn(uint64_t now, LoadReport& report) {
    if (now < end_) return;
    if (end_ > begin_) {
      report.to_bridge.windows.push_back(report.to_bridge.received - before_[0]);
      report.to_client.windows.push_back(report.to_client.received - before_[1]);
    }
    before_[0] = report.to_bridge.received;
    before_[1] = report.to_client.received;
    end_ += length_;
  }

 private:
  uint64_t length_;
  uint64_t begin_;
  uint64_t end_;
  uint64_t before_[2] = {0, 0};
};

}  // namespace

LoadReport RunLoad(const Options& options, Sessions& sessions, Wires& wires) {
  Sender client_sender(options, sessions, wires.client(), Latency::kToBridge);
  Sender bridge_sender(options, sessions, wires.bridge(), Latency::kToClient);
  Receiver at_bridge(options, sessions, wires.bridge(), Latency::kToBridge);
  Receiver at_client(options, sessions, wires.client(), Latency::kToClient);
  LoadReport report;
  const auto hz = static_cast<double>(rte_get_tsc_hz());
  const uint64_t begin = rte_get_tsc_cycles();
  const uint64_t measure = begin + static_cast<uint64_t>(options.warmup_seconds * hz);
  const uint64_t end =
      measure + static_cast<uint64_t>((options.seconds + kWindowSeconds / 10) * hz);
  Observers observers;
  if (options.latency) {
    observers.latency.emplace(options.sessions, begin, hz);
    observers.latency->Begin(measure);
  }
  if (options.open_rate > 0) observers.opening.emplace(options, sessions, wires, measure, hz);
  Latency* const latency = observers.latency ? &*observers.latency : nullptr;
  const auto receive = [&] {
    return at_bridge.Receive(report.to_bridge, report.checked, observers) +
           at_client.Receive(report.to_client, report.checked, observers);
  };
  const Pace pace(options.rate, begin, hz);
  // Kernel interfaces are measured in CPU time of the whole machine: waiting must not look like
  // work.
  const bool pauses = !options.interfaces.empty();
  std::vector<CoreTimes> cores;  // when the measurement began
  Windows windows(measure, hz);
  for (uint64_t now = begin; now < end; now = rte_get_tsc_cycles()) {
    if (latency != nullptr) latency->Turn(now);
    const bool send = pace.Allows(report.to_bridge.sent + report.to_client.sent, now);
    if (send) {
      client_sender.Send(report.to_bridge, latency, now);
      bridge_sender.Send(report.to_client, latency, now);
    }
    if (observers.opening) observers.opening->Step(now);
    if (receive() == 0 && !send && pauses) rte_delay_us_sleep(kPauseMicroseconds);
    if (cores.empty() && now >= measure) cores = ReadCoreTimes();
    windows.Turn(now, report);
  }
  report.cores =
      UseBetween(cores, ReadCoreTimes(), static_cast<double>(rte_get_tsc_cycles() - measure) / hz);
  const auto silence = static_cast<uint64_t>(kDrainSeconds * hz);
  uint64_t last_arrival = rte_get_tsc_cycles();
  for (uint64_t now = last_arrival; now - last_arrival < silence; now = rte_get_tsc_cycles()) {
    if (latency != nullptr) latency->Turn(now);
    if (observers.opening) observers.opening->Step(now);
    if (receive() > 0) last_arrival = now;
  }
  if (latency != nullptr) report.latency = latency->Report();
  if (observers.opening) report.opening = observers.opening->Report();
  return report;
}

}  // namespace bridgehead::rig
