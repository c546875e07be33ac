// A stream over a connected TCP socket.
#pragma once

#include <memory>

#include <event2/event_struct.h>

#include "ctrl/proxy/net/loop.h"
#include "ctrl/proxy/net/stream.h"

namespace bridgehead::proxy {

class TcpStream final : public Stream {
 public:
  // Takes a connected socket that does not block, and sets TCP_NODELAY on it. `peer` may be another
  // address than the socket's: what a PROXY header says.
  TcpStream(Loop& loop, int fd, const SocketAddress& peer, const SocketAddress& local);
  ~TcpStream() override;

  IoResult Read(std::span<uint8_t> into) override;
  IoResult Write(std::span<const iovec> parts) override;
  Io ShutdownWrite() override;
  void Again() override;
  void ResetOnClose() override;
  const SocketAddress& peer() const override { return peer_; }
  const SocketAddress& local() const override { return local_; }
  std::string error() const override;

  // Reads without taking: the same bytes are read again.
  IoResult Peek(std::span<uint8_t> into);
  void SetPeer(const SocketAddress& peer) { peer_ = peer; }
  void SetLocal(const SocketAddress& local) { local_ = local; }
  int fd() const { return fd_; }
  Loop& loop() { return loop_; }

 private:
  void OnEvent(short what);
  IoResult Receive(std::span<uint8_t> into, int flags);
  IoResult Failed();

  Loop& loop_;
  const int fd_;
  int errno_ = 0;
  bool drained_ = false;  // nothing to read until the next event
  bool ending_ = false;   // the peer has ended its direction; bytes may still be there
  event event_{};
  NextTurn again_;
  SocketAddress peer_, local_;
};

// Of a socket's own end; empty if the kernel does not say.
SocketAddress LocalAddressOf(int fd);

}  // namespace bridgehead::proxy
