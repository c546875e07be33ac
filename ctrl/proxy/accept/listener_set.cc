#include "ctrl/proxy/accept/listener_set.h"

#include <utility>

namespace bridgehead::proxy {

void ListenerSet::Apply(const std::shared_ptr<const config::Edge>& edge, ListeningSockets sockets) {
  decltype(listeners_) before = std::exchange(listeners_, {});
  for (const config::EdgeListener& listener : edge->listeners) {
    // Whoever has the listener keeps the whole configuration.
    std::shared_ptr<const config::EdgeListener> config(edge, &listener);
    auto kept = before.extract(listener.listen);
    if (kept.empty()) {
      listeners_.emplace(
          listener.listen,
          std::make_unique<Listener>(loop_, std::move(sockets.at(listener.listen)),
                                     std::move(config), static_cast<Listener::Owner&>(*this)));
      continue;
    }
    kept.mapped()->Update(std::move(config));
    listeners_.insert(std::move(kept));
  }
}

void ListenerSet::AcceptWaiting() {
  for (const auto& [address, listener] : listeners_) listener->AcceptWaiting();
}

std::set<config::Endpoint> ListenerSet::addresses() const {
  std::set<config::Endpoint> addresses;
  for (const auto& [address, listener] : listeners_) addresses.insert(address);
  return addresses;
}

std::shared_ptr<ListenerState> ListenerSet::state(const config::Endpoint& listen) const {
  const auto found = listeners_.find(listen);
  return found == listeners_.end() ? nullptr : found->second->state();
}

void ListenerSet::OnAccept(AcceptedConnection connection, bool admitted) {
  const config::Address source = connection.stream->peer().address();
  if (admitted && !Peek::IsNeeded(*connection.listener, source)) {
    connection.rule = DecidePass(connection.listener->rules, {source}).rule;
    return HandOn(std::move(connection));
  }
  auto peek = std::make_unique<Peek>(std::move(connection), static_cast<Peek::Owner&>(*this));
  Peek& started = *peek;
  peeks_.emplace(&started, std::move(peek));
  started.Start();
}

void ListenerSet::OnRefused(const config::EdgeListener& listener, const SocketAddress& client,
                            AcceptRefusal refusal) {
  taker_.OnRefused(listener, client, refusal);
}

void ListenerSet::OnPeeked(Peek& peek, AcceptRefusal refusal) {
  auto ended = peeks_.extract(&peek);
  AcceptedConnection& connection = peek.connection();
  if (refusal == AcceptRefusal::kNone) {
    HandOn(std::move(connection));
  } else {
    connection.admission.state().counters.Count(refusal);
    taker_.OnRefused(*connection.listener, connection.stream->peer(), refusal);
  }
  loop_.Bury(std::move(ended.mapped()));
}

void ListenerSet::HandOn(AcceptedConnection connection) {
  connection.admission.state().counters.CountAccepted();
  taker_.OnConnection(std::move(connection));
}

}  // namespace bridgehead::proxy
