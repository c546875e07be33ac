// A stream over a connected TCP socket.
#pragma once

#include <memory>

#include "ctrl/proxy/net/loop.h"
#include "ctrl/proxy/net/stream.h"

namespace bridgehead::proxy {

class TcpStream final : public Stream, private Watcher {
 public:
  // Takes a socket that does not block. kConnecting: the handler is called when it is connected, or
  // can not be. `peer` may be another address than the socket's: what a PROXY header says.
  enum class Begin : uint8_t { kConnected, kConnecting };
  TcpStream(Loop& loop, int fd, const SocketAddress& peer, const SocketAddress& local,
            Begin begin = Begin::kConnected);
  ~TcpStream() override;

  IoResult Read(std::span<uint8_t> into) override;
  IoResult Write(std::span<const iovec> parts) override { return Send(parts, false); }
  Io ShutdownWrite() override;
  void Again() override;
  bool HasFailed() override;
  void ResetOnClose() override;
  const SocketAddress& peer() const override { return peer_; }
  const SocketAddress& local() const override { return local_; }
  std::string error() const override;

  // As Write. `more`: further bytes come at once, so that these need not leave alone.
  IoResult Send(std::span<const iovec> parts, bool more);
  // As Read and Write, but into and out of a pipe: see net/pipe.h.
  IoResult ReadInto(int pipe, size_t most);
  IoResult WriteFrom(int pipe, size_t most);
  // Reads without taking: the same bytes are read again.
  IoResult Peek(std::span<uint8_t> into);
  void SetPeer(const SocketAddress& peer) { peer_ = peer; }
  void SetLocal(const SocketAddress& local) { local_ = local; }
  int fd() const { return fd_; }
  Loop& loop() { return loop_; }

 private:
  void OnEvents(uint32_t events) override;
  IoResult Receive(std::span<uint8_t> into, int flags);
  IoResult Failed();
  IoResult FailedToWrite();

  Loop& loop_;
  const int fd_;
  int errno_ = 0;
  bool drained_ = false;  // nothing to read until the next event
  bool marked_ = false;   // an end, a reset or urgent bytes stand behind some of the bytes
  bool told_of_room_;     // the loop tells of it, once it has been missed
  SocketAddress peer_, local_;
};

// Of a socket's own end; empty if the kernel does not say.
SocketAddress LocalAddressOf(int fd);

}  // namespace bridgehead::proxy
