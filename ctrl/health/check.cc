#include "ctrl/health/check.h"

#include <utility>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fmt/format.h"

namespace bridgehead::health {
namespace {

socklen_t Fill(const config::Endpoint& endpoint, sockaddr_storage& storage) {
  const std::string bytes = endpoint.address.bytes();
  if (endpoint.address.is_v4()) {
    auto* name = reinterpret_cast<sockaddr_in*>(&storage);
    name->sin_family = AF_INET;
    name->sin_port = htons(endpoint.ports.first);
    memcpy(&name->sin_addr, bytes.data(), bytes.size());
    return sizeof(*name);
  }
  auto* name = reinterpret_cast<sockaddr_in6*>(&storage);
  name->sin6_family = AF_INET6;
  name->sin6_port = htons(endpoint.ports.first);
  memcpy(&name->sin6_addr, bytes.data(), bytes.size());
  return sizeof(*name);
}

Failure FailureOf(int error) {
  switch (error) {
    case ECONNREFUSED:
      return Failure::kRefused;
    case ECONNRESET:
    case EPIPE:
      return Failure::kClosed;
    case ETIMEDOUT:
      return Failure::kTimeout;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
      return Failure::kUnreachable;
    default:
      return Failure::kLocal;
  }
}

}  // namespace

Check::Check(event_base* base, Way way, std::chrono::milliseconds timeout, Done done)
    : base_(base), way_(std::move(way)), timeout_(timeout), done_(std::move(done)) {
  deadline_.reset(evtimer_new(
      base, [](int, short, void* self) { static_cast<Check*>(self)->OnLate(); }, this));
}

Check::~Check() {
  Close();
}

void Check::Close() {
  ready_.reset();
  tls_.reset();
  evtimer_del(deadline_.get());
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void Check::Start() {
  Close();
  start_ = std::chrono::steady_clock::now();
  question_ = Question();
  tls_bytes_ = 0;
  asked_ = false;
  const timeval patience{timeout_.count() / 1000, timeout_.count() % 1000 * 1000};
  evtimer_add(deadline_.get(), &patience);
  sockaddr_storage name{};
  const socklen_t size = Fill(way_.to, name);
  fd_ = socket(name.ss_family, way_.type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return FailWith(errno);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&name), size) != 0 && errno != EINPROGRESS) {
    return FailWith(errno);
  }
  Wait(EV_WRITE);
}

void Check::Wait(short what) {
  ready_.reset(event_new(
      base_, fd_, static_cast<short>(what | EV_PERSIST),
      [](int, short ready, void* self) {
        auto* check = static_cast<Check*>(self);
        (ready & EV_WRITE) != 0 ? check->OnWritable() : check->OnReadable();
      },
      this));
  event_add(ready_.get(), nullptr);
}

void Check::OnWritable() {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return FailWith(error);
  Wait(EV_READ);
  if (!way_.greeting.empty() && !Send(way_.greeting)) return;
  if (!way_.tls) return Ask();
  SSL* ssl = way_.tls();
  if (ssl == nullptr) return FailWith(ENOMEM);
  tls_ = std::make_unique<TlsFilter>(ssl);
  Decrypt({});
}

void Check::Ask() {
  asked_ = true;
  if (question_.empty()) return Good();
  if (!tls_) {
    Send(question_);
    return;
  }
  tls_->Say(question_);
  Send(tls_->TakeOutput());
}

// False: that was the end.
bool Check::Send(std::string_view bytes) {
  const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent == static_cast<ssize_t>(bytes.size())) return true;
  if (sent < 0 && errno != EAGAIN) {
    FailWith(errno);
  } else {
    // A socket's buffer holds far more than a check sends, but TLS has to answer what it is asked.
    Fail(Failure::kMalformed, "reads nothing of what it asks for");
  }
  return false;
}

void Check::Decrypt(std::string_view bytes) {
  std::string said;
  const TlsFilter::State state = tls_->Take(bytes, said);
  if (const std::string out = tls_->TakeOutput(); !out.empty() && !Send(out)) return;
  if (state == TlsFilter::State::kFailed) return Fail(Failure::kTls, "TLS: " + tls_->error());
  if (state == TlsFilter::State::kHandshake) return;
  if (!asked_) Ask();
  if (fd_ >= 0 && !said.empty()) OnData(said.data(), said.size());
  if (fd_ >= 0 && state == TlsFilter::State::kEnded) OnEnd();
}

void Check::OnReadable() {
  char data[16384];
  const ssize_t size = recv(fd_, data, sizeof(data), 0);
  if (size < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    return FailWith(errno);
  }
  if (size == 0 && way_.type == SOCK_STREAM) return OnClosed();
  if (!tls_) return OnData(data, static_cast<size_t>(size));
  tls_bytes_ += static_cast<size_t>(size);
  if (tls_bytes_ > kMaxTlsBytes) {
    return Fail(Failure::kTooLong, fmt::format("more than {} bytes of TLS", kMaxTlsBytes));
  }
  Decrypt({data, static_cast<size_t>(size)});
}

void Check::OnClosed() {
  if (asked_) return OnEnd();
  Fail(Failure::kClosed, "connection ended within the TLS handshake");
}

void Check::OnLate() {
  Fail(Failure::kTimeout,
       fmt::format("timed out after {} ms: {}", timeout_.count(),
                   tls_ && !asked_ ? "no end of the TLS handshake" : WhenLate()));
}

void Check::FailWith(int error) {
  const Failure failure = FailureOf(error);
  const char* what = failure == Failure::kLocal    ? "this machine cannot ask"
                     : failure == Failure::kClosed ? "connection ended by"
                     : way_.type == SOCK_STREAM    ? "cannot connect to"
                                                   : "cannot reach";
  Fail(failure, fmt::format("{} {}: {}", what, way_.to.text(), strerror(error)));
}

void Check::Finish(std::optional<Failure> failure, const std::string& reason,
                   const std::string& body) {
  // The event that is running may be the one that goes: libevent allows that.
  Close();
  OnFinished();
  const auto took = std::chrono::steady_clock::now() - start_;
  done_({failure, reason, std::chrono::duration_cast<std::chrono::microseconds>(took)}, body);
}

}  // namespace bridgehead::health
