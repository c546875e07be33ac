#include "ctrl/proxy/upstream/dial.h"

#include <cstring>
#include <utility>

#include "ctrl/proxy/accept/proxy_header.h"
#include "fmt/format.h"

namespace bridgehead::proxy {

Dial::Dial(Loop& loop, std::shared_ptr<Group> group, const DialFor& client, Group::Lease first,
           Done done)
    : loop_(loop),
      group_(std::move(group)),
      client_(client),
      done_(std::move(done)),
      timer_(loop, [this] { Failed("no TLS handshake in time"); }) {
  result_.server = std::move(first);
}

Dial::~Dial() {
  if (tcp_) tcp_->SetHandler(nullptr);
  if (tls_) tls_->SetHandler(nullptr);
}

void Dial::Start() {
  TryNext();
}

void Dial::TryNext() {
  if (tried_.size() > group_->settings().retries) return Finish();
  if (!result_.server) {
    result_.server = group_->Choose(client_.client.address(), tried_, result_.error);
  }
  if (!result_.server) return Finish();
  tried_.push_back(result_.server.server());
  const std::chrono::milliseconds timeout = group_->settings().connect_timeout;
  connect_ = std::make_unique<Connect>(loop_, result_.server.address(), timeout,
                                       [this](std::unique_ptr<TcpStream> stream, int error) {
                                         OnConnected(std::move(stream), error);
                                       });
  timer_.Cancel();
  connect_->Start();
}

void Dial::OnConnected(std::unique_ptr<TcpStream> stream, int error) {
  loop_.Bury(std::move(connect_));
  if (error != 0) return Failed(strerror(error));
  tcp_ = std::move(stream);
  proxy_header_.clear();
  if (group_->settings().send_proxy != config::SendProxy::kOff) {
    const auto version = group_->settings().send_proxy == config::SendProxy::kV1 ? ProxyVersion::k1
                                                                                 : ProxyVersion::k2;
    const WrittenProxyHeader header(version, client_.client, client_.local, client_.sni);
    const auto bytes = header.bytes();
    proxy_header_.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  timer_.Set(group_->settings().connect_timeout);
  tcp_->SetHandler(this);
  Proceed();
}

void Dial::OnReady(Stream&) {
  Proceed();
}

Io Dial::SendProxyHeader() {
  while (!proxy_header_.empty()) {
    const iovec part{proxy_header_.data(), proxy_header_.size()};
    const IoResult wrote = tcp_->Write({&part, 1});
    if (wrote.io != Io::kOk) return wrote.io;
    proxy_header_.erase(0, wrote.bytes);
  }
  return Io::kOk;
}

void Dial::Proceed() {
  if (tcp_) {
    const Io sent = SendProxyHeader();
    if (sent == Io::kAgain) return;
    if (sent != Io::kOk) return Failed(tcp_->error());
    if (group_->tls() == nullptr) {
      tcp_->SetHandler(nullptr);
      result_.stream = std::move(tcp_);
      return Finish();
    }
    SslPtr ssl = group_->tls()->NewConnection(result_.server.address().address());
    if (!ssl) return Failed("no memory for TLS");
    tls_ = std::make_unique<TlsStream>(std::move(tcp_), std::move(ssl));
    tls_->SetHandler(this);
  }
  const Io shaken = tls_->Handshake();
  if (shaken == Io::kAgain) return;
  if (shaken != Io::kOk) return Failed("TLS: " + tls_->error());
  tls_->SetHandler(nullptr);
  result_.stream = std::move(tls_);
  Finish();
}

void Dial::Failed(std::string error) {
  result_.error = fmt::format("{}: {}", result_.server.address().text(), error);
  if (tcp_) {
    tcp_->SetHandler(nullptr);
    loop_.Bury(std::move(tcp_));
  }
  if (tls_) {
    tls_->SetHandler(nullptr);
    loop_.Bury(std::move(tls_));
  }
  result_.server.Failed(loop_.now());
  TryNext();
}

void Dial::Finish() {
  timer_.Cancel();
  if (result_.stream) result_.server.Connected();
  done_(std::move(result_));
}

}  // namespace bridgehead::proxy
