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

Check::Check(event_base* base, const config::Endpoint& to, int type,
             std::chrono::milliseconds timeout, Done done)
    : base_(base), to_(to), type_(type), timeout_(timeout), done_(std::move(done)) {
  deadline_.reset(evtimer_new(
      base,
      [](int, short, void* self) {
        auto* check = static_cast<Check*>(self);
        check->Fail(Failure::kTimeout, fmt::format("timed out after {} ms: {}",
                                                   check->timeout_.count(), check->WhenLate()));
      },
      this));
}

Check::~Check() {
  Close();
}

void Check::Close() {
  ready_.reset();
  evtimer_del(deadline_.get());
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void Check::Start() {
  Close();
  start_ = std::chrono::steady_clock::now();
  question_ = Question();
  const timeval patience{timeout_.count() / 1000, timeout_.count() % 1000 * 1000};
  evtimer_add(deadline_.get(), &patience);
  sockaddr_storage name{};
  const socklen_t size = Fill(to_, name);
  fd_ = socket(name.ss_family, type_ | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
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
  // A new socket's buffer holds far more than a question.
  if (send(fd_, question_.data(), question_.size(), MSG_NOSIGNAL) < 0) return FailWith(errno);
  Wait(EV_READ);
}

void Check::OnReadable() {
  char data[16384];
  const ssize_t size = recv(fd_, data, sizeof(data), 0);
  if (size < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    return FailWith(errno);
  }
  if (size == 0 && type_ == SOCK_STREAM) return OnEnd();
  OnData(data, static_cast<size_t>(size));
}

void Check::FailWith(int error) {
  const Failure failure = FailureOf(error);
  const char* what = failure == Failure::kLocal    ? "this machine cannot ask"
                     : failure == Failure::kClosed ? "connection ended by"
                     : type_ == SOCK_STREAM        ? "cannot connect to"
                                                   : "cannot reach";
  Fail(failure, fmt::format("{} {}: {}", what, to_.text(), strerror(error)));
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
