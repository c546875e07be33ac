#include "ctrl/proxy/accept/screened_stream.h"

#include <utility>

#include "ctrl/proxy/accept/peek.h"
#include "ctrl/proxy/accept/proxy_header.h"

namespace bridgehead::proxy {

ScreenedStream::ScreenedStream(std::unique_ptr<TcpStream> tcp, std::function<void()> refused)
    : tcp_(std::move(tcp)), refused_(std::move(refused)) {
  tcp_->SetHandler(this);
}

ScreenedStream::~ScreenedStream() {
  tcp_->SetHandler(nullptr);
}

void ScreenedStream::OnReady(Stream&) {
  if (handler() != nullptr) handler()->OnReady(*this);
}

IoResult ScreenedStream::Read(std::span<uint8_t> into) {
  if (sight_ != Sight::kClear) {
    const Io seen = Look();
    if (seen != Io::kOk) return {seen};
  }
  return tcp_->Read(into);
}

Io ScreenedStream::Look() {
  using Progress = ProxyHeader::Progress;
  if (sight_ == Sight::kRefused) return Io::kError;
  uint8_t first[kMaxProxyV1Bytes];  // more than either signature has
  const IoResult got = tcp_->Peek(first);
  if (got.io != Io::kOk) return got.io;
  const Progress progress = FindProxySignature({first, got.bytes});
  if (progress == Progress::kDone) {
    sight_ = Sight::kRefused;
    refused_();
    return Io::kError;
  }
  // What ends amid a signature is none.
  if (progress == Progress::kMore && !HasEnded(tcp_->fd())) return Io::kAgain;
  sight_ = Sight::kClear;
  return Io::kOk;
}

}  // namespace bridgehead::proxy
