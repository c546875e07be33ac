#include "ctrl/proxy/arrival.h"

#include <utility>

#include "ctrl/proxy/accept/screened_stream.h"

namespace bridgehead::proxy {

Arrival::Arrival(Owner& owner, AcceptedConnection connection,
                 std::shared_ptr<const ServerContext> tls, std::shared_ptr<LogFile> log)
    : owner_(owner),
      tls_context_(std::move(tls)),
      pass_to_(connection.rule != nullptr ? connection.rule->upstream : std::string()),
      screened_(connection.screened),
      tcp_(std::move(connection.stream)),
      log_(std::move(log)),
      timer_(owner.loop(), [this] { FailHandshake("no TLS handshake in time"); }),
      began_(owner.loop().now()),
      began_at_(std::chrono::system_clock::now()) {
  client_.peer = tcp_->peer();
  client_.local = tcp_->local();
  client_.listener = connection.listener;
  client_.sni = std::move(connection.sni);
  client_.admission = std::make_shared<Admission>(std::move(connection.admission));
}

Arrival::~Arrival() {
  if (Stream* open = stream()) open->SetHandler(nullptr);
}

Stream* Arrival::stream() const {
  return tls_ ? static_cast<Stream*>(tls_.get()) : tcp_.get();
}

void Arrival::Start() {
  if (!pass_to_.empty()) return Forward(pass_to_);
  if (!tls_context_) return Go();
  SslPtr ssl = tls_context_->NewConnection();
  if (!ssl) return Fail("no memory for TLS");
  tls_ = std::make_unique<TlsStream>(std::move(tcp_), std::move(ssl));
  tls_->SetHandler(this);
  timer_.Set(client_.listener->tls->handshake_timeout);
  Handshake();
}

void Arrival::OnReady(Stream&) {
  if (!ended_ && !dial_) Handshake();
}

void Arrival::Handshake() {
  const Io shaken = tls_->Handshake();
  if (shaken == Io::kAgain) return;
  if (shaken != Io::kOk) return FailHandshake("TLS handshake: " + tls_->error());
  timer_.Cancel();
  ListenerCounters& counters = client_.admission->state().more;
  (SSL_session_reused(tls_->ssl()) == 1 ? counters.tls_resumed : counters.tls_full).Add(1);
  client_.tls = true;
  client_.tls_version = SSL_get_version(tls_->ssl());
  if (const char* name = SSL_get_servername(tls_->ssl(), TLSEXT_NAMETYPE_host_name)) {
    client_.sni = name;
  }
  Go();
}

void Arrival::Go() {
  if (!client_.listener->forward.empty()) return Forward(client_.listener->forward);
  std::string_view protocol;
  if (tls_) {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(tls_->ssl(), &name, &size);
    protocol = {reinterpret_cast<const char*>(name), size};
  }
  ended_ = true;
  std::unique_ptr<Stream> stream;
  if (tls_) {
    stream = std::move(tls_);
  } else {
    stream = std::move(tcp_);
  }
  stream->SetHandler(nullptr);
  owner_.StartHttp(*this, std::move(client_), std::move(stream), protocol);
}

void Arrival::Forward(const std::string& upstream) {
  std::shared_ptr<Group> group = owner_.FindGroup(upstream);
  BeginRecord();
  if (record_) record_->upstream = upstream;
  if (!group) return Fail("the upstream is gone");
  dial_ = std::make_unique<Dial>(owner_.loop(), std::move(group),
                                 DialFor{client_.peer, client_.local, client_.sni}, Group::Lease(),
                                 [this](Dial::Result result) { OnDialed(std::move(result)); });
  dial_->Start();
}

void Arrival::OnDialed(Dial::Result result) {
  owner_.loop().Bury(std::move(dial_));
  if (!result.stream) return Fail(std::move(result.error));
  ended_ = true;
  TunnelPlan plan;
  plan.server = std::move(result.stream);
  plan.lease = std::move(result.server);
  plan.idle_timeout = client_.listener->idle_timeout;
  plan.log = std::move(record_);
  std::unique_ptr<Stream> stream;
  if (tls_) {
    stream = std::move(tls_);
  } else if (screened_) {
    stream = std::make_unique<ScreenedStream>(std::move(tcp_), [admission = client_.admission] {
      admission->state().counters.Count(AcceptRefusal::kProxyUnlisted);
    });
  } else {
    stream = std::move(tcp_);
  }
  stream->SetHandler(nullptr);
  owner_.StartTunnel(*this, client_, std::move(stream), {}, {}, std::move(plan));
}

void Arrival::FailHandshake(std::string why) {
  client_.admission->state().more.tls_failed.Add(1);
  Fail(std::move(why));
}

void Arrival::BeginRecord() {
  if (!log_) return;
  record_ = std::make_unique<AccessRecord>();
  record_->time = began_at_;
  record_->event = LogEvent::kConnection;
  record_->file = std::move(log_);
  record_->listener = client_.listener->name;
  record_->client = client_.peer;
  record_->protocol = "TCP";
  record_->sni = client_.sni;
  record_->tls = client_.tls_version;
}

void Arrival::Fail(std::string why) {
  // Who says nothing is no stranger of note: a health check that opens a connection and closes it.
  const bool silent = tls_ && BIO_number_read(SSL_get_rbio(tls_->ssl())) == 0;
  if (!record_ && !silent) BeginRecord();
  if (record_) {
    record_->error = std::move(why);
    record_->duration =
        std::chrono::duration_cast<std::chrono::microseconds>(Loop::Clock::now() - began_);
    owner_.Log(*record_);
    record_.reset();
  }
  dial_.reset();
  // What was sent to nobody must not look delivered.
  if (!pass_to_.empty() || !client_.listener->forward.empty()) stream()->ResetOnClose();
  End();
}

void Arrival::Close() {
  Fail("closed by us");
}

void Arrival::End() {
  if (std::exchange(ended_, true)) return;
  timer_.Cancel();
  stream()->SetHandler(nullptr);
  owner_.Ended(*this);
}

SessionInfo Arrival::Describe() const {
  SessionInfo info;
  info.kind = dial_ ? "connecting" : "handshake";
  info.listener = client_.listener->name;
  info.client = client_.peer;
  info.age = std::chrono::duration_cast<std::chrono::seconds>(Loop::Clock::now() - began_);
  return info;
}

}  // namespace bridgehead::proxy
