#include "ctrl/proxy/tls/ticket_keys.h"

#include <cstring>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

namespace bridgehead::proxy {
namespace {

int KeysIndex() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// What OpenSSL's callback answers (SSL_CTX_set_tlsext_ticket_key_evp_cb).
constexpr int kFailed = -1, kNoTicket = 0, kUse = 1, kUseAndRenew = 2;

bool Init(const TicketKeys::Key& key, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
          EVP_MAC_CTX* mac, bool seal) {
  char digest[] = "SHA256";
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<uint8_t*>(key.mac.data()),
                                        key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, params) == 1 &&
         EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv,
                           seal ? 1 : 0) == 1;
}

}  // namespace

TicketKeys::TicketKeys(std::chrono::seconds period) : period_(period) {}

void TicketKeys::Rotate(Clock::time_point now) {
  if (previous_ && now - previous_->made >= 2 * period_) previous_.reset();
  if (current_ && now - current_->made < period_) return;
  if (current_ && now - current_->made < 2 * period_) previous_ = current_;
  current_.reset();
  Key key;
  if (RAND_bytes(key.name.data(), key.name.size()) == 1 &&
      RAND_priv_bytes(key.cipher.data(), key.cipher.size()) == 1 &&
      RAND_priv_bytes(key.mac.data(), key.mac.size()) == 1) {
    key.made = now;
    current_ = key;
  }
}

std::optional<TicketKeys::Key> TicketKeys::Sealing(Clock::time_point now) {
  std::lock_guard<std::mutex> lock(mutex_);
  Rotate(now);
  return current_;
}

std::optional<TicketKeys::Opening> TicketKeys::Find(const uint8_t* name, Clock::time_point now) {
  std::lock_guard<std::mutex> lock(mutex_);
  Rotate(now);
  for (const auto* key : {&current_, &previous_}) {
    if (*key && std::memcmp((*key)->name.data(), name, (*key)->name.size()) == 0) {
      return Opening{**key, key == &previous_};
    }
  }
  return std::nullopt;
}

void TicketKeys::Use(SSL_CTX* context) {
  SSL_CTX_set_ex_data(context, KeysIndex(), this);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, Callback);
  SSL_CTX_set_timeout(context, static_cast<long>(period_.count()));
}

int TicketKeys::Callback(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                         EVP_MAC_CTX* mac, int seal) {
  auto* keys = static_cast<TicketKeys*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), KeysIndex()));
  if (seal != 0) {
    const std::optional<Key> key = keys->Sealing(Clock::now());
    if (!key || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return kFailed;
    std::memcpy(name, key->name.data(), key->name.size());
    return Init(*key, iv, cipher, mac, true) ? kUse : kFailed;
  }
  const std::optional<Opening> opening = keys->Find(name, Clock::now());
  if (!opening) return kNoTicket;
  if (!Init(opening->key, iv, cipher, mac, false)) return kFailed;
  // TLS 1.3 clients use a ticket once (RFC 8446 appendix C.4): without another one, every second
  // connection would be a full handshake.
  return opening->renew || SSL_version(ssl) == TLS1_3_VERSION ? kUseAndRenew : kUse;
}

}  // namespace bridgehead::proxy
