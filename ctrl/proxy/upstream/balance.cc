#include "ctrl/proxy/upstream/balance.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace bridgehead::proxy {
namespace {

constexpr uint8_t kV6SourceBits = 64;

// FNV-1a, 64 bits. A hash that is the same everywhere and always; absl's is not meant to be.
uint64_t HashBytes(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : bytes) {
    hash ^= static_cast<uint8_t>(byte);
    hash *= 0x100000001b3;
  }
  return hash;
}

// The finaliser of splitmix64: each bit of the result depends on each bit of `x`.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

Balancer::Lease& Balancer::Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  Release();
  balancer_ = std::exchange(other.balancer_, nullptr);
  server_ = std::exchange(other.server_, kNone);
  probe_ = std::exchange(other.probe_, false);
  return *this;
}

void Balancer::Lease::Release() {
  if (balancer_ == nullptr) return;
  Server& server = balancer_->servers_[server_];
  --server.connections;
  server.counters->connections.Subtract(1);
  if (probe_) server.probing = false;
  balancer_ = nullptr;
  server_ = kNone;
}

void Balancer::Lease::Connected() {
  Server& server = balancer_->servers_[server_];
  server.failures = 0;
  server.alone_until = {};
  server.counters->alone_until.Set(0);
  if (probe_) server.probing = false;
  probe_ = false;
}

void Balancer::Lease::Failed(Time now) {
  Server& server = balancer_->servers_[server_];
  server.counters->failed.Add(1);
  ++server.failures;
  if (balancer_->IsOut(server)) {
    server.alone_until = now + balancer_->failure_timeout_;
    const std::chrono::nanoseconds until = server.alone_until.time_since_epoch();
    server.counters->alone_until.Set(static_cast<uint64_t>(until.count()));
  }
  Release();
}

Balancer::Balancer(const config::Upstream& upstream, Counters counters)
    : balance_(upstream.balance),
      max_failures_(upstream.servers.size() > 1 ? upstream.max_failures : 0),
      max_connections_(upstream.max_connections),
      failure_timeout_(upstream.failure_timeout) {
  counters.resize(upstream.servers.size());
  for (const config::UpstreamServer& server : upstream.servers) {
    std::shared_ptr<ServerCounters>& counted = counters[servers_.size()];
    Server& added = servers_.emplace_back();
    added.seed = Mix(HashBytes(server.name.empty() ? server.address.text() : server.name));
    added.weight = server.weight;
    added.backup = server.backup;
    added.counters = counted ? std::move(counted) : std::make_shared<ServerCounters>();
    // A group before this one may have found them otherwise.
    added.counters->down.Set(0);
    added.counters->draining.Set(0);
    added.counters->alone_until.Set(0);
  }
  usable_.reserve(servers_.size());
}

void Balancer::SetUp(size_t server, bool up) {
  servers_[server].up = up;
  servers_[server].counters->down.Set(up ? 0 : 1);
}

void Balancer::SetDraining(size_t server, bool draining) {
  servers_[server].draining = draining;
  servers_[server].counters->draining.Set(draining ? 1 : 0);
}

// It has failed too often, and no connection has come about since.
bool Balancer::IsOut(const Server& server) const {
  return max_failures_ > 0 && server.failures >= max_failures_;
}

Balancer::Refusal Balancer::WhyNot(const Server& server, Time now) const {
  const bool alone = IsOut(server) && (server.probing || now < server.alone_until);
  if (!server.up || server.draining || alone) return Refusal::kDown;
  const bool full = max_connections_ > 0 && server.connections >= max_connections_;
  return full ? Refusal::kFull : Refusal::kNone;
}

Balancer::Refusal Balancer::CollectUsable(bool backup, Time now, std::span<const size_t> tried) {
  usable_.clear();
  Refusal refusal = Refusal::kDown;
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i].backup != backup) continue;
    if (std::find(tried.begin(), tried.end(), i) != tried.end()) continue;
    const Refusal why = WhyNot(servers_[i], now);
    if (why == Refusal::kNone) usable_.push_back(i);
    if (why == Refusal::kFull) refusal = why;
  }
  return usable_.empty() ? refusal : Refusal::kNone;
}

Balancer::Choice Balancer::Pick(const config::Address& source, Time now,
                                std::span<const size_t> tried) {
  Refusal refusal = CollectUsable(/*backup=*/false, now, tried);
  if (refusal != Refusal::kNone) {
    const Refusal of_backups = CollectUsable(/*backup=*/true, now, tried);
    // Full is the better news.
    if (of_backups != Refusal::kDown) refusal = of_backups;
    if (refusal != Refusal::kNone) return {{}, refusal};
  }
  size_t picked = kNone;
  switch (balance_) {
    case config::Balance::kRoundRobin:
      picked = PickRoundRobin();
      break;
    case config::Balance::kLeastConnections:
      picked = PickLeastConnections();
      break;
    case config::Balance::kSourceHash:
      picked = PickBySource(source);
      break;
  }
  Server& server = servers_[picked];
  ++server.connections;
  server.counters->connections.Add(1);
  server.counters->picked.Add(1);
  server.probing = IsOut(server);
  return {Lease(this, picked, server.probing), Refusal::kNone};
}

size_t Balancer::PickRoundRobin() {
  int64_t sum = 0;
  size_t best = usable_.front();
  for (const size_t i : usable_) {
    servers_[i].credit += servers_[i].weight;
    sum += servers_[i].weight;
    if (servers_[i].credit > servers_[best].credit) best = i;
  }
  servers_[best].credit -= sum;
  return best;
}

size_t Balancer::PickLeastConnections() {
  // a is less loaded than b: (a.connections + 1) / a.weight < (b.connections + 1) / b.weight.
  const auto less = [this](size_t a, size_t b) {
    const Server &of_a = servers_[a], &of_b = servers_[b];
    return (uint64_t{of_a.connections} + 1) * of_b.weight <
           (uint64_t{of_b.connections} + 1) * of_a.weight;
  };
  const auto begin = usable_.begin() + static_cast<ptrdiff_t>(turn_++ % usable_.size());
  std::rotate(usable_.begin(), begin, usable_.end());
  return *std::min_element(usable_.begin(), usable_.end(), less);
}

size_t Balancer::PickBySource(const config::Address& source) const {
  const auto network = source.is_v6() ? source.Network(kV6SourceBits) : source;
  const uint64_t key = HashBytes(network.bytes());
  size_t best = kNone;
  double best_score = 0;
  for (const size_t i : usable_) {
    // Evenly in (0, 1). With it, the chance of -weight / ln(x) to be the greatest is the weight's
    // share of the sum (Schindelhauer and Schomaker, "Weighted distributed hash tables").
    const double x = (static_cast<double>(Mix(key ^ servers_[i].seed) >> 11) + 0.5) * 0x1p-53;
    const double score = -static_cast<double>(servers_[i].weight) / std::log(x);
    if (best == kNone || score > best_score) {
      best = i;
      best_score = score;
    }
  }
  return best;
}

Balancer::View Balancer::view(size_t server, Time now) const {
  const Server& of = servers_[server];
  const bool alone = IsOut(of) && (of.probing || now < of.alone_until);
  return {of.up,
          of.draining,
          alone,
          of.connections,
          of.counters->picked.Get(),
          of.counters->failed.Get()};
}

}  // namespace bridgehead::proxy
