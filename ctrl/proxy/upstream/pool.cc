#include "ctrl/proxy/upstream/pool.h"

#include <algorithm>
#include <utility>

namespace bridgehead::proxy {

Pool::Pool(Loop& loop, std::vector<std::shared_ptr<ServerCounters>> servers, uint32_t most,
           std::chrono::milliseconds idle)
    : loop_(loop),
      counters_(std::move(servers)),
      most_(most),
      idle_(idle),
      kept_(counters_.size()),
      sweep_(loop, [this] { Sweep(); }) {}

Pool::~Pool() {
  for (size_t server = 0; server < kept_.size(); ++server) {
    for (Kept& kept : kept_[server]) kept.stream->SetHandler(nullptr);
    counters_[server]->kept.Subtract(kept_[server].size());
  }
}

std::unique_ptr<Stream> Pool::Take(size_t server) {
  DropAged(server);  // the sweep may be late
  auto& kept = kept_[server];
  if (kept.empty()) return nullptr;
  std::unique_ptr<Stream> stream = std::move(kept.back().stream);
  kept.pop_back();
  counters_[server]->kept.Subtract(1);
  stream->SetHandler(nullptr);
  return stream;
}

void Pool::Put(size_t server, std::unique_ptr<Stream> stream) {
  auto& kept = kept_[server];
  // An end that came with the response's last bytes is told of once only, and that was before.
  uint8_t byte;
  const bool open = most_ > 0 && stream->Read({&byte, 1}).io == Io::kAgain;
  if (!open) return loop_.Bury(std::move(stream));
  stream->SetHandler(this);
  if (kept.size() == most_) {
    kept.front().stream->SetHandler(nullptr);
    loop_.Bury(std::move(kept.front().stream));
    kept.erase(kept.begin());
    counters_[server]->kept.Subtract(1);
  }
  kept.push_back({std::move(stream), loop_.now()});
  counters_[server]->kept.Add(1);
  if (!sweep_.pending()) sweep_.Set(idle_);
}

void Pool::OnReady(Stream& stream) {
  uint8_t byte;
  if (stream.Read({&byte, 1}).io == Io::kAgain) return;
  stream.SetHandler(nullptr);
  for (size_t i = 0; i < kept_.size(); ++i) {
    auto& server = kept_[i];
    const auto found = std::find_if(server.begin(), server.end(),
                                    [&](const Kept& kept) { return kept.stream.get() == &stream; });
    if (found == server.end()) continue;
    loop_.Bury(std::move(found->stream));
    server.erase(found);
    counters_[i]->kept.Subtract(1);
    return;
  }
}

void Pool::DropAged(size_t server) {
  auto& kept = kept_[server];
  const auto young = std::find_if(kept.begin(), kept.end(),
                                  [&](const Kept& one) { return loop_.now() - one.since < idle_; });
  for (auto old = kept.begin(); old != young; ++old) {
    old->stream->SetHandler(nullptr);
    loop_.Bury(std::move(old->stream));
  }
  counters_[server]->kept.Subtract(static_cast<uint64_t>(young - kept.begin()));
  kept.erase(kept.begin(), young);
}

void Pool::Sweep() {
  auto oldest = Loop::Clock::time_point::max();
  for (size_t server = 0; server < kept_.size(); ++server) {
    DropAged(server);
    if (!kept_[server].empty()) oldest = std::min(oldest, kept_[server].front().since);
  }
  if (oldest == Loop::Clock::time_point::max()) return;
  sweep_.Set(std::chrono::ceil<std::chrono::milliseconds>(oldest + idle_ - loop_.now()));
}

}  // namespace bridgehead::proxy
