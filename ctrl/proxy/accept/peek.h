// Looks at a connection's first bytes for what its listener has to know: a PROXY header, which is
// taken, and a ClientHello, which is left for whoever decrypts it.
//
// A listed source must send a PROXY header, nobody else may: bytes that begin like one are refused
// wherever bytes are looked at, also behind a listed source's header. That a connection is silent
// until the time is over means that it is not TLS (a server may have to speak first); that it is
// then half-way through something is a refusal. Who was silent and may not send a PROXY header is
// handed on as `screened`: its first bytes are looked at when they come.
//
// Bytes are peeked at (MSG_PEEK), each time from the first. What is known to be missing is told to
// the kernel (SO_RCVLOWAT), so that a sender of single bytes does not have all looked at for each.
#pragma once

#include <span>

#include "ctrl/proxy/accept/accepted.h"
#include "ctrl/proxy/net/loop.h"

namespace bridgehead::proxy {

class Peek final : private Stream::Handler {
 public:
  class Owner {
   public:
    // Called once. With kNone, connection() is decided upon and its stream without a handler; its
    // next one will be called. The peek may be destroyed only by Loop::Bury.
    virtual void OnPeeked(Peek& peek, AcceptRefusal refusal) = 0;

   protected:
    ~Owner() = default;
  };

  // Whether there is something to look at before a connection of `source` can be decided.
  static bool IsNeeded(const config::EdgeListener& listener, const config::Address& source);

  // A listed source's connection is not yet admitted: its client is not known.
  Peek(AcceptedConnection connection, Owner& owner);
  // Looks at what there is, and waits for more, up to the listener's peek_timeout.
  void Start();

  AcceptedConnection& connection() { return connection_; }

 private:
  using Bytes = std::span<const uint8_t>;

  void OnReady(Stream& stream) override;
  void OnTimeout();
  bool TakeProxyHeader(Bytes& bytes);
  bool Consume(size_t bytes);
  void Look(Bytes bytes);
  void LookAtHello(Bytes bytes, ConnectionFacts facts);
  bool Decide(const ConnectionFacts& facts);
  void WaitFor(size_t bytes, size_t have);
  bool SetLowWater(size_t bytes);
  void End(AcceptRefusal refusal);

  AcceptedConnection connection_;
  Owner& owner_;
  Timer timer_;
  bool listed_;         // a PROXY header has to come
  bool looks_ = false;  // the client's bytes are to be looked at, whatever the rules ask for
  bool begun_ = false;  // the client has sent something behind the PROXY header
  size_t low_water_ = 1;
};

// Whether the peer has ended its direction, though bytes may be left: MSG_PEEK does not tell of an
// end behind those it gives.
bool HasEnded(int fd);

// Whether one of the prefixes contains it.
bool IsListed(std::span<const config::Prefix> prefixes, const config::Address& address);

}  // namespace bridgehead::proxy
