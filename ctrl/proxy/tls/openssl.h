// OpenSSL's objects as owners, and its errors in words.
#pragma once

#include <memory>
#include <string>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace bridgehead::proxy {

template <auto Free>
struct OpensslFree {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

using SslPtr = std::unique_ptr<SSL, OpensslFree<SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;
using X509Ptr = std::unique_ptr<X509, OpensslFree<X509_free>>;
using PrivateKeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free_all>>;

// The first error of this thread's queue, which is empty afterwards; `otherwise` if there is none.
std::string OpensslError(const char* otherwise);
// Empties the queue, as each call of OpenSSL wants it. To look costs little; ERR_clear_error goes
// over all that there could be.
inline void ClearOpensslErrors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace bridgehead::proxy
