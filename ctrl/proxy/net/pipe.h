// Bytes from one socket to another that stay in the kernel (splice(2)).
//
// Between a read and the writes that follow it a pipe holds the bytes, so one serves all streams of
// a loop: whoever fills it empties it in the same call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ctrl/proxy/net/tcp_stream.h"

namespace bridgehead::proxy {

class Pipe {
 public:
  // What one Fill takes.
  static constexpr size_t kBytes = 64 * 1024;

  // Null: the kernel has no descriptors, or no memory.
  static std::unique_ptr<Pipe> Create();
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  // It must be empty.
  IoResult Fill(TcpStream& from) { return from.ReadInto(write_end_, kBytes); }
  // Sends some of what it holds; `held`: how much that is.
  IoResult Send(TcpStream& to, size_t held) { return to.WriteFrom(read_end_, held); }
  // The rest, which is as much as there is room for: it is empty then.
  void Empty(std::span<uint8_t> into);

 private:
  Pipe(int read_end, int write_end) : read_end_(read_end), write_end_(write_end) {}

  const int read_end_, write_end_;
};

}  // namespace bridgehead::proxy
