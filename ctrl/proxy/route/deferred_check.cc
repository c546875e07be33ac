#include "ctrl/proxy/route/deferred_check.h"

#include <array>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "absl/container/flat_hash_map.h"

namespace bridgehead::proxy {
namespace {

using Key = std::array<uint8_t, 32>;  // HMAC-SHA-256 of the secret
constexpr uint8_t kV6SourceBits = 64;

}  // namespace

struct DeferredCheck::State {
  struct Request {
    config::Address source;
    Done done;
  };
  Key salt{};
  absl::flat_hash_map<Key, std::vector<Request>> waiting;
  size_t waiting_requests = 0;
  absl::flat_hash_map<config::Address, size_t> of_source;  // of waiting_requests
  absl::flat_hash_map<Key, Time> good_until;
  std::deque<Key> by_age;  // keys of good_until as they came

  bool Remembers(const Key& key, Time now) {
    while (!by_age.empty() && good_until[by_age.front()] <= now) ForgetOldest();
    const auto found = good_until.find(key);
    return found != good_until.end() && now < found->second;
  }
  void ForgetOldest() {
    good_until.erase(by_age.front());
    by_age.pop_front();
  }
  void Finish(const Key& key, bool yes, Time until) {
    if (yes) {
      if (good_until.size() == kMaxRemembered) ForgetOldest();
      if (good_until.try_emplace(key, until).second) by_age.push_back(key);
    }
    auto found = waiting.extract(key);
    for (const Request& request : found.mapped()) Leave(request.source);
    for (const Request& request : found.mapped()) request.done(yes);
  }
  Answer MayWait(const config::Address& source) const {
    if (waiting_requests >= kMaxWaitingRequests) return Answer::kBusy;
    const auto found = of_source.find(source);
    const bool many = found != of_source.end() && found->second >= kMaxWaitingRequestsOfSource;
    return many ? Answer::kBusyOfSource : Answer::kLater;
  }
  void Wait(const Key& key, const config::Address& source, Done done) {
    waiting[key].push_back({source, std::move(done)});
    ++waiting_requests;
    ++of_source[source];
  }
  void Leave(const config::Address& source) {
    --waiting_requests;
    const auto found = of_source.find(source);
    if (--found->second == 0) of_source.erase(found);
  }
};

DeferredCheck::DeferredCheck(WorkerPool& pool, Post post, std::chrono::milliseconds good_for)
    : pool_(pool), post_(std::move(post)), good_for_(good_for), state_(std::make_shared<State>()) {
  // Without randomness the keys are those of an unkeyed hash, which does for telling secrets apart.
  RAND_bytes(state_->salt.data(), static_cast<int>(state_->salt.size()));
}

DeferredCheck::~DeferredCheck() = default;

DeferredCheck::Answer DeferredCheck::Ask(std::string_view secret, const config::Address& source,
                                         Time now, std::function<bool()> question, Done done) {
  State& state = *state_;
  Key key{};
  const Key& salt = state.salt;
  if (HMAC(EVP_sha256(), salt.data(), static_cast<int>(salt.size()),
           reinterpret_cast<const uint8_t*>(secret.data()), secret.size(), key.data(),
           nullptr) == nullptr) {
    return Answer::kBusy;  // out of memory
  }
  if (state.Remembers(key, now)) return Answer::kYes;
  const config::Address network = source.is_v6() ? source.Network(kV6SourceBits) : source;
  const Answer may_wait = state.MayWait(network);
  if (may_wait != Answer::kLater) return may_wait;
  if (!state.waiting.contains(key)) {
    auto task = [weak = std::weak_ptr(state_), post = post_, question = std::move(question), key,
                 until = now + good_for_] {
      const bool yes = question();
      post([weak, key, yes, until] {
        if (const auto alive = weak.lock()) alive->Finish(key, yes, until);
      });
    };
    switch (pool_.Submit(network, std::move(task))) {
      case WorkerPool::Submitted::kYes:
        break;
      case WorkerPool::Submitted::kFull:
        return Answer::kBusy;
      case WorkerPool::Submitted::kFullOfSource:
        return Answer::kBusyOfSource;
    }
  }
  state.Wait(key, network, std::move(done));
  return Answer::kLater;
}

}  // namespace bridgehead::proxy
