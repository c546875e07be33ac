// OpenSSL's way to a TcpStream: what is known there of a drained socket saves it system calls.
#pragma once

#include <openssl/bio.h>

#include "ctrl/proxy/net/tcp_stream.h"

namespace bridgehead::proxy {

// `stream` must outlive it. Null: no memory.
BIO* NewStreamBio(TcpStream& stream);

}  // namespace bridgehead::proxy
