#include "ctrl/health/tls_filter.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

namespace bridgehead::health {

TlsFilter::TlsFilter(SSL* ssl)
    : ssl_(ssl), from_server_(BIO_new(BIO_s_mem())), to_server_(BIO_new(BIO_s_mem())) {
  SSL_set_bio(ssl, from_server_, to_server_);
}

TlsFilter::State TlsFilter::Take(std::string_view bytes, std::string& said) {
  ERR_clear_error();
  if (from_server_ == nullptr || to_server_ == nullptr ||
      (!bytes.empty() && BIO_write(from_server_, bytes.data(), static_cast<int>(bytes.size())) !=
                             static_cast<int>(bytes.size()))) {
    error_ = "no memory";
    return State::kFailed;
  }
  if (SSL_is_init_finished(ssl_.get()) == 0) {
    const int result = SSL_do_handshake(ssl_.get());
    if (result != 1) return Judge(result);
  }
  for (;;) {
    char part[16 * 1024];  // what one record carries (RFC 8446 section 5.1)
    size_t size = 0;
    const int result = SSL_read_ex(ssl_.get(), part, sizeof(part), &size);
    if (result != 1) return Judge(result);
    said.append(part, size);
  }
}

TlsFilter::State TlsFilter::Judge(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return SSL_is_init_finished(ssl_.get()) != 0 ? State::kOpen : State::kHandshake;
    case SSL_ERROR_ZERO_RETURN:
      return State::kEnded;
    default:
      break;
  }
  const char* reason = ERR_reason_error_string(ERR_get_error());
  error_ = reason != nullptr ? reason : "failed";
  if (const long verified = SSL_get_verify_result(ssl_.get()); verified != X509_V_OK) {
    error_.append(": ").append(X509_verify_cert_error_string(verified));
  }
  ERR_clear_error();
  return State::kFailed;
}

void TlsFilter::Say(std::string_view text) {
  ERR_clear_error();
  size_t written = 0;
  // Into memory it is all or nothing, and nothing is noticed as a check without an answer.
  SSL_write_ex(ssl_.get(), text.data(), text.size(), &written);
}

std::string TlsFilter::TakeOutput() {
  char* data = nullptr;
  const long size = to_server_ != nullptr ? BIO_get_mem_data(to_server_, &data) : 0;
  std::string output(data != nullptr ? data : "", static_cast<size_t>(size));
  if (size > 0) BIO_reset(to_server_);
  return output;
}

}  // namespace bridgehead::health
