// OpenSSL's way to a TcpStream: what is known there of a drained socket saves it system calls, and
// small messages in a row go out in one.
#pragma once

#include <string>

#include <openssl/bio.h>

#include "ctrl/proxy/net/tcp_stream.h"

namespace bridgehead::proxy {

class StreamBio {
 public:
  explicit StreamBio(TcpStream& stream) : stream_(stream) {}
  StreamBio(const StreamBio&) = delete;
  StreamBio& operator=(const StreamBio&) = delete;

  // For OpenSSL, which must not use it longer than this lives. Null: no memory.
  BIO* Make();

  // From now on what is written is kept: the next write behind Release, or Flush, sends it.
  void Hold() { holds_ = true; }
  void Release() { holds_ = false; }
  // Whether more is written at once behind what is written from now on.
  void SetMore(bool more) { more_ = more; }
  // kOk: nothing is kept any more.
  Io Flush();

 private:
  static int OnRead(BIO* bio, char* data, size_t size, size_t* got);
  static int OnWrite(BIO* bio, const char* data, size_t size, size_t* written);
  static long OnControl(BIO* bio, int command, long, void*);
  static BIO_METHOD* Method();
  IoResult Write(iovec bytes);

  TcpStream& stream_;
  std::string held_;
  bool holds_ = false;
  bool more_ = false;
};

}  // namespace bridgehead::proxy
