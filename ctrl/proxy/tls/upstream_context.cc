#include "ctrl/proxy/tls/upstream_context.h"

#include <openssl/x509v3.h>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace bridgehead::proxy {

absl::StatusOr<std::shared_ptr<const UpstreamContext>> UpstreamContext::Create(
    const config::UpstreamTls& settings) {
  std::shared_ptr<UpstreamContext> made(new UpstreamContext(settings));
  made->context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = made->context_.get();
  if (context == nullptr) return absl::ResourceExhaustedError("no memory for TLS");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_read_ahead(context, 1);
  if (settings.verify) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    const bool loaded = settings.ca_file.empty()
                            ? SSL_CTX_set_default_verify_paths(context) == 1
                            : SSL_CTX_load_verify_file(context, settings.ca_file.c_str()) == 1;
    if (!loaded) {
      return absl::InvalidArgumentError(fmt::format(
          "{}: {}", settings.ca_file.empty() ? "the system's certificates" : settings.ca_file,
          OpensslError("cannot be read")));
    }
  }
  return made;
}

SslPtr UpstreamContext::NewConnection(const config::Address& address) const {
  SslPtr ssl(SSL_new(context_.get()));
  if (!ssl) return ssl;
  SSL_set_connect_state(ssl.get());
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl.get());
  X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  bool good = true;
  if (!settings_.server_name.empty()) {
    good = SSL_set_tlsext_host_name(ssl.get(), settings_.server_name.c_str()) == 1 &&
           SSL_set1_host(ssl.get(), settings_.server_name.c_str()) == 1;
  } else if (settings_.verify) {
    good = X509_VERIFY_PARAM_set1_ip_asc(verify, address.text().c_str()) == 1;
  }
  if (!good) ssl.reset();
  return ssl;
}

}  // namespace bridgehead::proxy
