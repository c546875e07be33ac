#include "bench/rig/latency.h"

#include <algorithm>
#include <cmath>

namespace bridgehead::rig {
namespace {

constexpr size_t kMaxSamples = 50'000'000;
constexpr size_t kMaxSpikes = 1000;
constexpr double kOneSpikeUs = 1000;  // frames that are late within this time are late of one cause

}  // namespace

Latency::Latency(uint32_t sessions, uint64_t begin, double hz)
    : begin_(begin), ticks_per_us_(hz / 1e6), last_turn_(begin) {
  for (auto& times : sent_at_) times.resize(sessions);
  samples_.reserve(1 << 20);
}

double Latency::Microseconds(uint64_t ticks) const {
  return static_cast<double>(ticks) / ticks_per_us_;
}

void Latency::Turn(uint64_t now) {
  if (Microseconds(now - last_turn_) > kPauseUs) {
    pause_end_ = now;
    if (now > measured_from_) ++report_.pauses;
  }
  last_turn_ = now;
}

void Latency::Came(Direction direction, uint32_t session, uint64_t now) {
  if (session >= sent_at_[direction].size()) return;
  const uint64_t sent = sent_at_[direction][session];
  if (sent < measured_from_ || samples_.size() == kMaxSamples) return;
  if (sent < pause_end_) {
    ++report_.excluded;
    return;
  }
  const uint64_t ticks = now - sent;
  samples_.push_back(static_cast<uint32_t>(std::min<uint64_t>(ticks, UINT32_MAX)));
  if (const double us = Microseconds(ticks); us > kSpikeUs) Spike(sent, us);
}

void Latency::Spike(uint64_t sent, double us) {
  const double at = Microseconds(sent - begin_) / 1e6;
  auto& spikes = report_.spikes;
  if (!spikes.empty() && at < spikes.back().at_seconds + kOneSpikeUs / 1e6) {
    spikes.back().worst_us = std::max(spikes.back().worst_us, us);
  } else if (spikes.size() < kMaxSpikes) {
    spikes.push_back({at, us});
  }
}

LatencyReport Latency::Report() {
  report_.samples = samples_.size();
  if (samples_.empty()) return report_;
  std::sort(samples_.begin(), samples_.end());
  const auto at = [&](double share) {
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(samples_.size())));
    return Microseconds(samples_[std::max<size_t>(rank, 1) - 1]);
  };
  report_.median_us = at(0.5);
  report_.p99_us = at(0.99);
  report_.p999_us = at(0.999);
  report_.worst_us = Microseconds(samples_.back());
  return report_;
}

}  // namespace bridgehead::rig
