// One attempt to reach a TCP server.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "ctrl/proxy/net/loop.h"
#include "ctrl/proxy/net/tcp_stream.h"

namespace bridgehead::proxy {

class Connect final : public Stream::Handler {
 public:
  // `error`: 0 and a stream without handler, or an errno and none. May destroy the attempt by
  // Loop::Bury.
  using Done = std::function<void(std::unique_ptr<TcpStream> stream, int error)>;

  // Nothing is called back before Start(), which may do so itself. Destroying the attempt gives it
  // up.
  Connect(Loop& loop, const SocketAddress& to, std::chrono::milliseconds timeout, Done done);
  Connect(const Connect&) = delete;
  Connect& operator=(const Connect&) = delete;
  void Start();

  void OnReady(Stream& stream) override;

 private:
  void Finish(int error);

  Loop& loop_;
  const SocketAddress to_;
  const std::chrono::milliseconds timeout_;
  const Done done_;
  std::unique_ptr<TcpStream> stream_;
  Timer timer_;
};

}  // namespace bridgehead::proxy
