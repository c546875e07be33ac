// All listeners of one loop, and the connections that have not said enough yet: from the
// configuration to connections that are decided.
//
// A new configuration (Apply) changes no decision: each goes by the listener it came to. Sockets
// of addresses in both configurations stay; those of others are closed, and with them the
// connections that nobody has accepted.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "ctrl/proxy/accept/listener.h"
#include "ctrl/proxy/accept/peek.h"

namespace bridgehead::proxy {

class ListenerSet final : private Listener::Owner, private Peek::Owner {
 public:
  class Taker {
   public:
    // Of a connection that is decided. The stream has no handler; the next one will be called.
    virtual void OnConnection(AcceptedConnection connection) = 0;
    // Of one that is not: it is closed, and counted. `client`: who sent the PROXY header, when
    // there was to be one and it was not right.
    virtual void OnRefused(const config::EdgeListener& listener, const SocketAddress& client,
                           AcceptRefusal refusal) = 0;

   protected:
    ~Taker() = default;
  };

  ListenerSet(Loop& loop, Taker& taker) : loop_(loop), taker_(taker) {}

  // Takes `edge`'s listeners, each of another address, instead of those before. `sockets`: of every
  // address that is not in addresses(). An edge without listeners closes all. Not from a Taker.
  void Apply(const std::shared_ptr<const config::Edge>& edge, ListeningSockets sockets);
  // Takes the connections that nobody has accepted yet: their sockets will be closed. Not from a
  // Taker either.
  void AcceptWaiting();
  // That have a socket here.
  std::set<config::Endpoint> addresses() const;
  // Of the listener with this address; none: there is none.
  std::shared_ptr<ListenerState> state(const config::Endpoint& listen) const;
  // Connections whose first bytes are waited for.
  size_t waiting() const { return peeks_.size(); }

 private:
  void OnAccept(AcceptedConnection connection, bool admitted) override;
  void OnRefused(const config::EdgeListener& listener, const SocketAddress& client,
                 AcceptRefusal refusal) override;
  void OnPeeked(Peek& peek, AcceptRefusal refusal) override;
  void HandOn(AcceptedConnection connection);

  Loop& loop_;
  Taker& taker_;
  std::map<config::Endpoint, std::unique_ptr<Listener>> listeners_;
  absl::flat_hash_map<Peek*, std::unique_ptr<Peek>> peeks_;
};

}  // namespace bridgehead::proxy
