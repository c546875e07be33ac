// A connection whose first bytes are still to come and must not be a PROXY header: of a source that
// may not send one, and that was silent for the whole peek_timeout. They are looked at before any
// of them is read.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ctrl/proxy/net/stream.h"
#include "ctrl/proxy/net/tcp_stream.h"

namespace bridgehead::proxy {

class ScreenedStream final : public Stream, private Stream::Handler {
 public:
  // `refused`: a header has come. Reading fails from then on.
  ScreenedStream(std::unique_ptr<TcpStream> tcp, std::function<void()> refused);
  ~ScreenedStream() override;

  IoResult Read(std::span<uint8_t> into) override;
  IoResult Write(std::span<const iovec> parts) override { return tcp_->Write(parts); }
  Io ShutdownWrite() override { return tcp_->ShutdownWrite(); }
  void Again() override { tcp_->Again(); }
  bool HasFailed() override { return tcp_->HasFailed(); }
  void ResetOnClose() override { tcp_->ResetOnClose(); }
  const SocketAddress& peer() const override { return tcp_->peer(); }
  const SocketAddress& local() const override { return tcp_->local(); }
  std::string error() const override { return tcp_->error(); }

 private:
  enum class Sight : uint8_t { kNone, kClear, kRefused };

  void OnReady(Stream& stream) override;
  // kOk: there is something to read, and nothing against it.
  Io Look();

  const std::unique_ptr<TcpStream> tcp_;
  const std::function<void()> refused_;
  Sight sight_ = Sight::kNone;
};

}  // namespace bridgehead::proxy
