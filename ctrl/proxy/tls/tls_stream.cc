#include "ctrl/proxy/tls/tls_stream.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>
#include <utility>

namespace bridgehead::proxy {

TlsStream::TlsStream(std::unique_ptr<TcpStream> tcp, SslPtr ssl)
    : tcp_(std::move(tcp)), bio_(*tcp_), ssl_(std::move(ssl)) {
  BIO* bio = bio_.Make();
  SSL_set_bio(ssl_.get(), bio, bio);
  tcp_->SetHandler(this);
}

TlsStream::~TlsStream() {
  tcp_->SetHandler(nullptr);
}

void TlsStream::OnReady(Stream&) {
  if (handler() != nullptr) handler()->OnReady(*this);
}

Io TlsStream::Outcome(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return Io::kAgain;
    case SSL_ERROR_ZERO_RETURN:
      return Io::kEnd;
    case SSL_ERROR_SYSCALL:
      error_ = tcp_->error().empty() ? "closed without TLS close_notify" : tcp_->error();
      ClearOpensslErrors();
      return Io::kError;
    default:
      error_ = OpensslError("TLS failed");
      if (const long verified = SSL_get_verify_result(ssl_.get()); verified != X509_V_OK) {
        error_.append(": ").append(X509_verify_cert_error_string(verified));
      }
      return Io::kError;
  }
}

Io TlsStream::Handshake() {
  ClearOpensslErrors();
  bio_.Hold();
  const int result = SSL_do_handshake(ssl_.get());
  bio_.Release();
  if (result == 1 && SSL_is_server(ssl_.get()) == 1 && SSL_version(ssl_.get()) == TLS1_3_VERSION) {
    // What is left are tickets: they go with the first answer, in its system call.
    return Io::kOk;
  }
  const Io outcome = result == 1 ? Io::kOk : Outcome(result);
  const Io flushed = bio_.Flush();  // an alert too
  if (outcome == Io::kEnd || outcome == Io::kError || flushed == Io::kOk) return outcome;
  if (flushed == Io::kError) error_ = tcp_->error();
  return flushed;
}

IoResult TlsStream::Read(std::span<uint8_t> into) {
  ClearOpensslErrors();
  size_t total = 0;
  // A call gives one record's bytes at most.
  while (total < into.size()) {
    size_t got = 0;
    const int result = SSL_read_ex(ssl_.get(), into.data() + total, into.size() - total, &got);
    if (result == 1) {
      total += got;
      // Another record that is there already costs no system call.
      if (SSL_has_pending(ssl_.get()) == 1) continue;
      break;
    }
    if (total > 0) break;  // what ended it comes again with the next call
    return {Outcome(result)};
  }
  return {Io::kOk, total};
}

IoResult TlsStream::Write(std::span<const iovec> parts) {
  ClearOpensslErrors();
  while (!parts.empty() && parts.front().iov_len == 0) parts = parts.subspan(1);
  const auto* from = static_cast<const uint8_t*>(parts.front().iov_base);
  size_t size = parts.front().iov_len;
  std::array<uint8_t, kRecordBytes> record;
  // A record for each small part would cost more than to bring them together.
  if (parts.size() > 1 && size < record.size()) {
    size = 0;
    for (const iovec& part : parts) {
      const size_t taken = std::min(part.iov_len, record.size() - size);
      std::memcpy(record.data() + size, part.iov_base, taken);
      size += taken;
      if (size == record.size()) break;
    }
    from = record.data();
  }
  // A call writes one record (SSL_MODE_ENABLE_PARTIAL_WRITE).
  size_t total = 0;
  while (total < size) {
    const size_t of_record = std::min(size - total, kRecordBytes);
    bio_.SetMore(total + of_record < size);
    size_t written = 0;
    const int result = SSL_write_ex(ssl_.get(), from + total, of_record, &written);
    if (result != 1) {
      const Io outcome = Outcome(result);
      if (outcome == Io::kAgain && total > 0) break;
      return {outcome};
    }
    total += written;
  }
  bio_.SetMore(false);
  return {Io::kOk, total};
}

Io TlsStream::ShutdownWrite() {
  ClearOpensslErrors();
  const int result = SSL_shutdown(ssl_.get());
  if (result < 0) {
    const Io outcome = Outcome(result);
    // Nobody waits for an end that the peer does not take any more.
    if (outcome != Io::kEnd) return outcome;
  }
  return tcp_->ShutdownWrite();
}

}  // namespace bridgehead::proxy
