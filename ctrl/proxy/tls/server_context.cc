#include "ctrl/proxy/tls/server_context.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <openssl/err.h>

#include "absl/strings/ascii.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

// Forward secrecy and authenticated encryption only; the client's order decides between AES and
// ChaCha20, which is faster where the processor has no AES. TLS 1.3 has no other suites.
constexpr char kCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:!PSK";
constexpr char kGroups[] = "X25519:P-256:P-384";
constexpr unsigned char kSessionContext[] = "bridgehead";

}  // namespace

ServerContext::ServerContext(const config::ListenerTls& settings, const Protocols& protocols,
                             std::shared_ptr<TicketKeys> tickets)
    : settings_(settings), tickets_(std::move(tickets)) {
  for (const std::string& protocol : protocols) {
    protocols_ += static_cast<char>(protocol.size());
    protocols_ += protocol;
  }
}

absl::StatusOr<std::shared_ptr<const ServerContext>> ServerContext::Create(
    const config::ListenerTls& settings, const Protocols& protocols,
    std::shared_ptr<TicketKeys> tickets) {
  std::shared_ptr<ServerContext> context(
      new ServerContext(settings, protocols, std::move(tickets)));
  for (const config::Certificate& files : settings.certificates) {
    auto loaded = LoadCertificate(files);
    if (!loaded.ok()) return loaded.status();
    context->certificates_.push_back(*std::move(loaded));
  }
  if (context->certificates_.empty()) {
    return absl::InvalidArgumentError("tls.certificates: none");
  }
  if (absl::Status status = context->Build(); !status.ok()) return status;
  return context;
}

absl::Status ServerContext::Build() {
  std::map<std::string, std::set<size_t>> by_name;
  for (size_t i = 0; i < certificates_.size(); ++i) {
    for (const std::string& name : certificates_[i].names) by_name[name].insert(i);
  }
  for (const auto& [name, certificates] : by_name) {
    auto context = ContextOf(certificates);
    if (!context.ok()) return context.status();
    by_name_[name] = *context;
  }
  default_ = by_name_.at(certificates_.front().names.front());
  return absl::OkStatus();
}

absl::StatusOr<SSL_CTX*> ServerContext::ContextOf(const std::set<size_t>& certificates) {
  SslContextPtr& context = contexts_[certificates];
  if (context) return context.get();
  context.reset(SSL_CTX_new(TLS_server_method()));
  if (!context) return absl::ResourceExhaustedError("no memory for TLS");
  Prepare(context.get());
  for (const size_t i : certificates) {
    const LoadedCertificate& certificate = certificates_[i];
    bool good = SSL_CTX_use_certificate(context.get(), certificate.leaf.get()) == 1 &&
                SSL_CTX_use_PrivateKey(context.get(), certificate.key.get()) == 1;
    // Chains belong to the certificate that was set last.
    for (const X509Ptr& next : certificate.chain) {
      good = good && SSL_CTX_add1_chain_cert(context.get(), next.get()) == 1;
    }
    if (!good) {
      return absl::InvalidArgumentError(fmt::format(
          "{}: {}", settings_.certificates[i].certificate_file, OpensslError("cannot be used")));
    }
  }
  return context.get();
}

void ServerContext::Prepare(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(
      context, settings_.min_version == config::TlsVersion::k13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, kCiphers);
  SSL_CTX_set1_groups_list(context, kGroups);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                   // Many clients just go away; what is above has its own ends.
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  // An idle connection holds no record buffers: a third of the memory. The chain is what the file
  // has: none is looked for in each handshake.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof(kSessionContext) - 1);
  if (tickets_) {
    tickets_->Use(context);
    // OpenSSL sends two; hardly any client uses the second one.
    SSL_CTX_set_num_tickets(context, 1);
  } else {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
  }
  SSL_CTX_set_tlsext_servername_callback(context, OnServerName);
  SSL_CTX_set_tlsext_servername_arg(context, this);
  SSL_CTX_set_tlsext_status_cb(context, OnStatusRequest);
  SSL_CTX_set_tlsext_status_arg(context, this);
  if (!protocols_.empty()) SSL_CTX_set_alpn_select_cb(context, OnProtocols, this);
}

SslPtr ServerContext::NewConnection() const {
  SslPtr ssl(SSL_new(default_));
  if (ssl) SSL_set_accept_state(ssl.get());
  return ssl;
}

std::vector<std::string> ServerContext::warnings() const {
  std::vector<std::string> all;
  for (const LoadedCertificate& certificate : certificates_) {
    all.insert(all.end(), certificate.warnings.begin(), certificate.warnings.end());
  }
  return all;
}

SSL_CTX* ServerContext::Find(std::string_view name) const {
  if (const auto exact = by_name_.find(name); exact != by_name_.end()) return exact->second;
  // A wildcard stands for one label (RFC 6125 section 6.4.3).
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0) return nullptr;
  const auto wildcard = by_name_.find(std::string("*").append(name.substr(dot)));
  return wildcard != by_name_.end() ? wildcard->second : nullptr;
}

int ServerContext::OnServerName(SSL* ssl, int* alert, void* self) {
  const auto* context = static_cast<const ServerContext*>(self);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  SSL_CTX* found =
      name == nullptr ? nullptr : context->Find(absl::AsciiStrToLower(std::string(name)));
  if (found != nullptr) {
    if (found != SSL_get_SSL_CTX(ssl)) SSL_set_SSL_CTX(ssl, found);
    return SSL_TLSEXT_ERR_OK;
  }
  if (context->settings_.strict_sni) {
    *alert = SSL_AD_UNRECOGNIZED_NAME;  // RFC 6066 section 3
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

int ServerContext::OnProtocols(SSL*, const unsigned char** out, unsigned char* out_size,
                               const unsigned char* in, unsigned in_size, void* self) {
  const auto* context = static_cast<const ServerContext*>(self);
  unsigned char* chosen = nullptr;
  const int result = SSL_select_next_proto(
      &chosen, out_size, reinterpret_cast<const unsigned char*>(context->protocols_.data()),
      static_cast<unsigned>(context->protocols_.size()), in, in_size);
  // Offering only others is an error (RFC 7301 section 3.2), and a defence against attacks that
  // take one protocol's bytes for another's (ALPACA).
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int ServerContext::OnStatusRequest(SSL* ssl, void* self) {
  const auto* context = static_cast<const ServerContext*>(self);
  const X509* used = SSL_get_certificate(ssl);
  for (const LoadedCertificate& certificate : context->certificates_) {
    if (certificate.leaf.get() != used) continue;
    if (certificate.ocsp.empty() || certificate.ocsp_ends < time(nullptr)) break;
    auto* copy = static_cast<unsigned char*>(
        OPENSSL_memdup(certificate.ocsp.data(), certificate.ocsp.size()));
    if (copy == nullptr) break;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(certificate.ocsp.size()));
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

}  // namespace bridgehead::proxy
