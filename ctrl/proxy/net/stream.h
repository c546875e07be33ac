// A stream of bytes both ways that does not block: over TCP, or over TLS.
//
// Edge-triggered: the handler is called when something may have become possible, and then reads and
// writes until it gets kAgain; what it leaves undone without that it must ask for with Again(). One
// call may stand for both directions, and may come for nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <sys/uio.h>

#include "ctrl/proxy/net/socket_address.h"

namespace bridgehead::proxy {

enum class Io : uint8_t {
  kOk,
  kAgain,  // not now: the handler will be called
  kEnd,    // reading: the peer has ended its direction in good order
  kError,  // the stream is dead in both directions; see Stream::error()
};

struct IoResult {
  Io io = Io::kOk;
  size_t bytes = 0;  // of kOk: at least 1
};

class Stream {
 public:
  class Handler {
   public:
    // The handler may destroy the stream only by Loop::Bury.
    virtual void OnReady(Stream& stream) = 0;

   protected:
    ~Handler() = default;
  };

  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void SetHandler(Handler* handler) { handler_ = handler; }
  Handler* handler() const { return handler_; }

  // `into` must not be empty.
  virtual IoResult Read(std::span<uint8_t> into) = 0;
  // Writes some of the parts, from the first on. They must not all be empty. The next call must
  // begin with the bytes that were not taken (they may lie elsewhere, and more may follow).
  virtual IoResult Write(std::span<const iovec> parts) = 0;
  // Ends our direction in good order. kAgain: to be called again.
  virtual Io ShutdownWrite() = 0;
  // Calls the handler in the next turn of the loop.
  virtual void Again() = 0;
  // From now on an end of the connection is the peer's end in good order, whether TLS says so
  // (close_notify) or not: for protocols that know themselves what is whole.
  virtual void TakePlainEnd() {}
  // Whether the connection is dead: for who does not read any more, and would not notice.
  virtual bool HasFailed() { return false; }
  // The next close resets the connection, so that the peer does not take what it got for whole.
  virtual void ResetOnClose() = 0;

  virtual const SocketAddress& peer() const = 0;
  virtual const SocketAddress& local() const = 0;
  // After kError, for logs.
  virtual std::string error() const = 0;

 protected:
  Stream() = default;

 private:
  Handler* handler_ = nullptr;
};

}  // namespace bridgehead::proxy
