// A stream of HTTP/2 as a stream of bytes, for a tunnel: the windows of HTTP/2 are its
// back-pressure.
//
// Tunnel and connection end in any order: what the client had sent before the stream was closed can
// still be read.
#pragma once

#include <string>

#include "ctrl/proxy/http/h2_stream.h"
#include "ctrl/proxy/net/stream.h"

namespace bridgehead::proxy {

class H2TunnelStream final : public Stream {
 public:
  H2TunnelStream(Loop& loop, H2Stream& on, const SocketAddress& peer, const SocketAddress& local);
  ~H2TunnelStream() override;

  IoResult Read(std::span<uint8_t> into) override;
  IoResult Write(std::span<const iovec> parts) override;
  Io ShutdownWrite() override;
  void Again() override { wake_.Set(std::chrono::milliseconds(0)); }
  bool HasFailed() override { return on_ == nullptr; }
  void ResetOnClose() override { reset_ = true; }
  const SocketAddress& peer() const override { return peer_; }
  const SocketAddress& local() const override { return local_; }
  std::string error() const override { return "stream of HTTP/2 was reset"; }

  // The stream is closed. `rest`: what was not read; `whole`: the client has ended it in good
  // order.
  void Detach(std::string_view rest, bool whole);

 private:
  H2Stream* on_;  // null: closed
  const SocketAddress peer_, local_;
  std::string rest_;
  bool whole_ = false, reset_ = false;
  Timer wake_;
};

}  // namespace bridgehead::proxy
