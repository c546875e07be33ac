// The client's side of one exchange, whatever version of HTTP it speaks: a connection of HTTP/1, or
// a stream of HTTP/2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ctrl/proxy/http/message.h"
#include "ctrl/proxy/l4/tunnel_plan.h"
#include "ctrl/proxy/net/stream.h"

namespace bridgehead::proxy {

class Downstream {
 public:
  // Bytes of the request's body. kEnd: it is whole. kError: the client has gone or broken off, or
  // what it sends is no body; the exchange should end then.
  virtual IoResult ReadBody(std::span<uint8_t> into) = 0;

  // False: what was sent has not left yet. The exchange is called when it has, and should not read
  // more to send before.
  virtual bool WantsBody() const = 0;
  // Bytes of responses that have left, in all: whether the client takes any.
  virtual uint64_t sent() const = 0;
  // The response's head, once; it goes out with what follows.
  virtual void SendHead(const ResponseHead& head) = 0;
  // Takes all. Of no bytes: nothing follows soon, and what was sent should leave.
  virtual void SendBody(std::span<const uint8_t> bytes) = 0;
  // Calls the exchange in the next turn of the loop: others have theirs first.
  virtual void Again() = 0;
  // The response is whole, and the exchange over: it must not call again.
  virtual void Finish() = 0;
  // The response can not become whole, and the client must see that. Over as well.
  virtual void Abort() = 0;
  // After SendHead of a 101: from now on bytes pass both ways. Over as well.
  virtual void BecomeTunnel(TunnelPlan plan) = 0;

 protected:
  ~Downstream() = default;
};

}  // namespace bridgehead::proxy
