// Descriptors and sockets of bridgehead-edge-load.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <netinet/in.h>

namespace bridgehead::edge_load {

using Clock = std::chrono::steady_clock;

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    Close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { Close(); }

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void Close();

 private:
  int fd_ = -1;
};

// Say what went wrong and end the program with 1; FailErrno adds errno's text.
[[noreturn]] void Fail(const std::string& what);
[[noreturn]] void FailErrno(const std::string& what);

// "127.0.0.1:8443". False when it is not that.
bool ParseEndpoint(const std::string& text, sockaddr_in* endpoint);

// Both do not block, and neither do the sockets that are accepted.
Fd Listen(const sockaddr_in& at);
// A connection in progress; not open when the kernel has no descriptor or port left. `source`: an
// offset from 127.0.0.1, so that one server can have more clients than one address has ports.
Fd Connect(const sockaddr_in& to, uint32_t source);

// Without Nagle's delay, as the proxies do it.
void SetNoDelay(int fd);
// Adds `fd`, or changes what is waited for; events carry `data`.
void Watch(int epoll, int operation, int fd, uint32_t events, uint64_t data);
// The soft limit of descriptors becomes the hard one.
void RaiseFileLimit();
// core < 0: any.
void RunOnCore(int core);

}  // namespace bridgehead::edge_load
