// ClientHellos: what OpenSSL's client sends, ones made by hand, and what OpenSSL's server reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

namespace bridgehead::test {

struct FreeSsl {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslContext = std::unique_ptr<SSL_CTX, FreeSsl>;
using SslPtr = std::unique_ptr<SSL, FreeSsl>;

// `alpn` as on the wire: a byte of length in front of each name.
inline std::string OpensslHello(const char* sni, std::string_view alpn, int min_version,
                                int max_version) {
  const SslContext context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), min_version);
  SSL_CTX_set_max_proto_version(context.get(), max_version);
  SSL_CTX_set_security_level(context.get(), 0);  // TLS 1.0 too
  const SslPtr ssl(SSL_new(context.get()));
  SSL_set_tlsext_status_type(ssl.get(), TLSEXT_STATUSTYPE_ocsp);
  if (sni != nullptr) SSL_set_tlsext_host_name(ssl.get(), sni);
  SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                      static_cast<unsigned>(alpn.size()));
  BIO* sent = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), sent);
  SSL_connect(ssl.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(sent, &bytes);
  return {bytes, static_cast<size_t>(size)};
}

// Numbers in network order and vectors, for hellos with lengths that lie.
inline std::string Number(size_t width, size_t number) {
  std::string bytes;
  while (width-- > 0) bytes += static_cast<char>(number >> (8 * width));
  return bytes;
}
// `more` is added to the length alone.
inline std::string Vector(size_t width, std::string_view content, int more = 0) {
  return Number(width, content.size() + static_cast<size_t>(more)).append(content);
}
inline std::string Extension(uint16_t type, std::string_view content, int more = 0) {
  return Number(2, type) + Vector(2, content, more);
}
inline std::string ServerNames(std::string_view entries) {
  return Extension(0, Vector(2, entries));
}
inline std::string HostName(std::string_view name) {
  return Number(1, 0) + Vector(2, name);
}
inline std::string Sni(std::string_view name) {
  return ServerNames(HostName(name));
}

// A hello that OpenSSL's server takes, but for what is changed.
struct HandMadeHello {
  uint16_t version = 0x0303;
  std::string session, ciphers = Number(2, 0xc02f) + Number(2, 0xc02b), compressions{'\0'};
  std::string extensions;  // supported groups and signature algorithms come in front of them
  std::string behind;      // behind the block of extensions
  int more_session = 0, more_ciphers = 0, more_compressions = 0, more_extensions = 0;
  int more_message = 0;

  std::string Message() const {
    const std::string groups = Extension(10, Vector(2, Number(2, 29) + Number(2, 23)));
    const std::string signatures = Extension(13, Vector(2, Number(2, 0x0403) + Number(2, 0x0804)));
    const std::string body = Number(2, version) + std::string(32, 'r') +
                             Vector(1, session, more_session) + Vector(2, ciphers, more_ciphers) +
                             Vector(1, compressions, more_compressions) +
                             Vector(2, groups + signatures + extensions, more_extensions) + behind;
    return Number(1, 1) + Vector(3, body, more_message);
  }
};

// The message in records of `size` bytes each.
inline std::string Records(std::string_view message, size_t size = 1 << 14) {
  std::string bytes;
  for (; !message.empty(); message.remove_prefix(std::min(size, message.size()))) {
    bytes += Number(1, 22) + Number(2, 0x0301) + Vector(2, message.substr(0, size));
  }
  return bytes;
}

// OpenSSL's server, as far as to the name. One at a time.
class OpensslReader {
 public:
  OpensslReader() : context_(SSL_CTX_new(TLS_server_method())) {
    SSL_CTX_set_min_proto_version(context_.get(), SSL3_VERSION);
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_set_tlsext_servername_arg(context_.get(), this);
    SSL_CTX_set_tlsext_servername_callback(
        context_.get(), +[](SSL* ssl, int*, void* self) {
          const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
          static_cast<OpensslReader*>(self)->name_ = name == nullptr ? "" : name;
          return SSL_TLSEXT_ERR_ALERT_FATAL;
        });
  }

  // Empty: it takes the hello, and sees no name in it. Nothing: it refuses the hello, or waits.
  std::optional<std::string> NameIn(std::span<const uint8_t> bytes) {
    name_.reset();
    const SslPtr ssl(SSL_new(context_.get()));
    BIO* in = BIO_new(BIO_s_mem());
    BIO_write(in, bytes.data(), static_cast<int>(bytes.size()));
    SSL_set_bio(ssl.get(), in, BIO_new(BIO_s_mem()));
    SSL_accept(ssl.get());
    return name_;
  }

 private:
  SslContext context_;
  std::optional<std::string> name_;
};

}  // namespace bridgehead::test
