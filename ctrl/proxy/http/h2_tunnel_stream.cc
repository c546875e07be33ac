#include "ctrl/proxy/http/h2_tunnel_stream.h"

#include <algorithm>

namespace bridgehead::proxy {

H2TunnelStream::H2TunnelStream(Loop& loop, H2Stream& on, const SocketAddress& peer,
                               const SocketAddress& local)
    : on_(&on), peer_(peer), local_(local), wake_(loop, [this] {
        if (handler() != nullptr) handler()->OnReady(*this);
      }) {}

H2TunnelStream::~H2TunnelStream() {
  if (on_ != nullptr) on_->TunnelGone(reset_);
}

IoResult H2TunnelStream::Read(std::span<uint8_t> into) {
  if (on_ != nullptr) return on_->ReadBody(into);
  if (rest_.empty()) return {whole_ ? Io::kEnd : Io::kError};
  const size_t count = std::min(rest_.size(), into.size());
  std::copy_n(rest_.data(), count, into.data());
  rest_.erase(0, count);
  return {Io::kOk, count};
}

IoResult H2TunnelStream::Write(std::span<const iovec> parts) {
  if (on_ == nullptr) return {Io::kError};
  return on_->WriteTunnel(parts);
}

Io H2TunnelStream::ShutdownWrite() {
  if (on_ != nullptr) on_->EndTunnel();
  return Io::kOk;
}

void H2TunnelStream::Detach(std::string_view rest, bool whole) {
  on_ = nullptr;
  if (whole) rest_ = rest;
  whole_ = whole;
  Again();
}

}  // namespace bridgehead::proxy
