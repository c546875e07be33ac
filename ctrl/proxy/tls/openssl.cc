#include "ctrl/proxy/tls/openssl.h"

#include <openssl/err.h>

namespace bridgehead::proxy {

std::string OpensslError(const char* otherwise) {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return otherwise;
  const char* reason = ERR_reason_error_string(error);
  return reason == nullptr ? otherwise : reason;
}

}  // namespace bridgehead::proxy
