#include "ctrl/proxy/upstream/pool.h"

#include <algorithm>
#include <utility>

namespace bridgehead::proxy {

Pool::Pool(Loop& loop, std::vector<std::shared_ptr<ServerCounters>> servers, uint32_t most)
    : loop_(loop),
      counters_(std::move(servers)),
      most_(most),
      kept_(counters_.size()),
      sweep_(loop, [this] { Sweep(); }) {}

Pool::~Pool() {
  for (size_t server = 0; server < kept_.size(); ++server) {
    for (Kept& kept : kept_[server]) kept.stream->SetHandler(nullptr);
    counters_[server]->kept.Subtract(kept_[server].size());
  }
}

std::unique_ptr<Stream> Pool::Take(size_t server) {
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
  if (!sweep_.pending()) sweep_.Set(kIdle);
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

void Pool::Sweep() {
  bool more = false;
  for (size_t i = 0; i < kept_.size(); ++i) {
    auto& server = kept_[i];
    const auto young = std::find_if(server.begin(), server.end(), [&](const Kept& kept) {
      return loop_.now() - kept.since < kIdle;
    });
    for (auto old = server.begin(); old != young; ++old) {
      old->stream->SetHandler(nullptr);
      loop_.Bury(std::move(old->stream));
    }
    counters_[i]->kept.Subtract(static_cast<uint64_t>(young - server.begin()));
    server.erase(server.begin(), young);
    more = more || !server.empty();
  }
  if (more) sweep_.Set(kIdle);
}

}  // namespace bridgehead::proxy
