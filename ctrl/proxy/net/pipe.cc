#include "ctrl/proxy/net/pipe.h"

#include <fcntl.h>
#include <unistd.h>

namespace bridgehead::proxy {
namespace {

// A pipe counts pieces, each as a page: room for kBytes in segments of less than that.
constexpr int kCapacity = 256 * 1024;

}  // namespace

std::unique_ptr<Pipe> Pipe::Create() {
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
  fcntl(ends[1], F_SETPIPE_SZ, kCapacity);  // a smaller one takes fewer at a time
  return std::unique_ptr<Pipe>(new Pipe(ends[0], ends[1]));
}

Pipe::~Pipe() {
  close(read_end_);
  close(write_end_);
}

void Pipe::Empty(std::span<uint8_t> into) {
  while (!into.empty()) {
    const ssize_t got = read(read_end_, into.data(), into.size());
    if (got <= 0) return;  // not of a pipe that holds so much
    into = into.subspan(static_cast<size_t>(got));
  }
}

}  // namespace bridgehead::proxy
