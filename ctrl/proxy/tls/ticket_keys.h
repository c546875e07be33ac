// The keys that session tickets are sealed with (RFC 5077 section 4, RFC 8446 section 4.6.1):
// shared by all threads and kept over reloads, so that clients resume wherever they come back.
//
// A key seals for one period and opens for one more: what it protects is forgotten, and a stolen
// key is worth little (RFC 8446 appendix C.4).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include <openssl/evp.h>
#include <openssl/ssl.h>

namespace bridgehead::proxy {

class TicketKeys {
 public:
  using Clock = std::chrono::steady_clock;
  struct Key {
    std::array<uint8_t, 16> name;
    std::array<uint8_t, 32> cipher;  // AES-256-CBC
    std::array<uint8_t, 32> mac;     // HMAC-SHA256
    Clock::time_point made;
  };

  // `period`: how long a key seals. A ticket can be used for between one and two periods.
  explicit TicketKeys(std::chrono::seconds period);

  // The key that seals now; nullopt: the system has no random numbers.
  std::optional<Key> Sealing(Clock::time_point now);
  struct Opening {
    Key key;
    bool renew;  // another key seals by now: the client should get a new ticket
  };
  std::optional<Opening> Find(const uint8_t* name, Clock::time_point now);

  // Makes a context seal and open with these keys, which must outlive it.
  void Use(SSL_CTX* context);

 private:
  void Rotate(Clock::time_point now);
  static int Callback(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                      EVP_MAC_CTX* mac, int seal);

  const std::chrono::seconds period_;
  std::mutex mutex_;  // of what follows; taken for a moment in each full handshake
  std::optional<Key> current_, previous_;
};

}  // namespace bridgehead::proxy
