#include "bench/edge/tls.h"

#include <openssl/bio.h>

#include "bench/edge/sockets.h"

namespace bridgehead::edge_load {

ClientTls::ClientTls(const std::string& server_name)
    : server_name_(server_name), context_(SSL_CTX_new(TLS_client_method())) {
  SSL_CTX* context = context_.get();
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
      SSL_CTX_set1_groups_list(context, "X25519") != 1 ||
      SSL_CTX_set1_sigalgs_list(context, "ECDSA+SHA256") != 1) {
    Fail("OpenSSL has no TLS 1.3 with AES-128-GCM, X25519 and ECDSA");
  }
  // One system call for a record, not one for its head and one for the rest.
  SSL_CTX_set_read_ahead(context, 1);
  // Not even OpenSSL's attempt, whose result would be ignored.
  SSL_CTX_set_cert_verify_callback(
      context, [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  // Ten thousand connections are held open: those that say nothing need no buffers.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, OnSession);
}

int ClientTls::OnSession(SSL* ssl, SSL_SESSION* session) {
  static_cast<SessionPtr*>(SSL_get_app_data(ssl))->reset(session);
  return 1;  // it is ours now
}

SslPtr ClientTls::New() const {
  SslPtr ssl(SSL_new(context_.get()));
  static constexpr unsigned char kAlpn[] = "\x08http/1.1";
  // SSL_set_alpn_protos, unlike all others, returns 0 for success.
  if (!ssl || SSL_set_tlsext_host_name(ssl.get(), server_name_.c_str()) != 1 ||
      SSL_set_alpn_protos(ssl.get(), kAlpn, sizeof(kAlpn) - 1) != 0) {
    Fail("OpenSSL: no client connection");
  }
  SSL_set_connect_state(ssl.get());
  return ssl;
}

SslPtr ClientTls::Connect(int fd, SSL_SESSION* session, SessionPtr* newest) const {
  SslPtr ssl = New();
  SSL_set_app_data(ssl.get(), newest);
  if (SSL_set_fd(ssl.get(), fd) != 1) Fail("OpenSSL: no connection on a socket");
  if (session != nullptr) SSL_set_session(ssl.get(), session);
  return ssl;
}

std::string ClientTls::ClientHello() const {
  SslPtr ssl = New();
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);  // ssl owns both
  SSL_do_handshake(ssl.get());                        // writes it and waits for an answer
  char* data = nullptr;
  const long bytes = BIO_get_mem_data(out, &data);
  if (bytes <= 0) Fail("OpenSSL made no ClientHello");
  return {data, static_cast<size_t>(bytes)};
}

}  // namespace bridgehead::edge_load
