// A stream over TLS, either side of it. The handshake runs within Read, Write and Handshake.
#pragma once

#include <memory>
#include <string>

#include "ctrl/proxy/net/stream.h"
#include "ctrl/proxy/net/tcp_stream.h"
#include "ctrl/proxy/tls/openssl.h"
#include "ctrl/proxy/tls/stream_bio.h"

namespace bridgehead::proxy {

class TlsStream final : public Stream, private Stream::Handler {
 public:
  // What one record carries (RFC 8446 section 5.1).
  static constexpr size_t kRecordBytes = 16 * 1024;

  // `ssl`: of SSL_set_accept_state or SSL_set_connect_state.
  TlsStream(std::unique_ptr<TcpStream> tcp, SslPtr ssl);
  ~TlsStream() override;

  // kOk: it is done.
  Io Handshake();
  bool established() const { return SSL_is_init_finished(ssl_.get()) != 0; }
  SSL* ssl() { return ssl_.get(); }

  IoResult Read(std::span<uint8_t> into) override;
  IoResult Write(std::span<const iovec> parts) override;
  Io ShutdownWrite() override;
  void Again() override { tcp_->Again(); }
  void TakePlainEnd() override { SSL_set_options(ssl_.get(), SSL_OP_IGNORE_UNEXPECTED_EOF); }
  bool HasFailed() override { return tcp_->HasFailed(); }
  void ResetOnClose() override { tcp_->ResetOnClose(); }
  const SocketAddress& peer() const override { return tcp_->peer(); }
  const SocketAddress& local() const override { return tcp_->local(); }
  std::string error() const override { return error_; }

 private:
  void OnReady(Stream& stream) override;
  // What a call of OpenSSL that did not succeed means.
  Io Outcome(int result);

  const std::unique_ptr<TcpStream> tcp_;
  StreamBio bio_;  // until ssl_ is gone
  const SslPtr ssl_;
  std::string error_;
};

}  // namespace bridgehead::proxy
