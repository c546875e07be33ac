// Accepts the connections of one address on one loop, and refuses those there is no place for.
#pragma once

#include <chrono>
#include <memory>

#include "ctrl/proxy/accept/accepted.h"
#include "ctrl/proxy/accept/listening_socket.h"
#include "ctrl/proxy/net/loop.h"

namespace bridgehead::proxy {

class Listener final : private Watcher {
 public:
  // In one turn of the loop, so that those who are connected have theirs.
  static constexpr int kAcceptsPerTurn = 64;
  // When the kernel can not hand a connection over (no descriptor, no memory): it would be told of
  // at once again, and the loop would turn for nothing.
  static constexpr std::chrono::milliseconds kRest{500};

  class Owner {
   public:
    // `admitted`: false for a source that must say first whom it speaks for.
    virtual void OnAccept(AcceptedConnection connection, bool admitted) = 0;
    // Counted already.
    virtual void OnRefused(const config::EdgeListener& listener, const SocketAddress& client,
                           AcceptRefusal refusal) = 0;

   protected:
    ~Owner() = default;
  };

  Listener(Loop& loop, ListeningSocket socket, std::shared_ptr<const config::EdgeListener> config,
           Owner& owner);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // For connections from now on. The address stays.
  void Update(std::shared_ptr<const config::EdgeListener> config);
  // All that waits to be accepted, in one turn: the socket will be closed.
  void AcceptWaiting() { Accept(ListeningSocket::kBacklog); }
  const std::shared_ptr<ListenerState>& state() const { return state_; }

 private:
  void OnEvents(uint32_t) override { Accept(kAcceptsPerTurn); }
  void Listen();
  void Accept(int most);
  void Rest(int error);
  void OnSocket(int fd, const SocketAddress& peer);
  void Refuse(int fd, const SocketAddress& peer, AcceptRefusal refusal);

  Loop& loop_;
  const ListeningSocket socket_;
  const std::shared_ptr<ListenerState> state_;
  const SocketAddress local_;  // of every connection; empty: of any address of the host
  Owner& owner_;
  Timer rest_;
};

}  // namespace bridgehead::proxy
