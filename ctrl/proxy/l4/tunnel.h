// Bytes both ways between two streams, until both have ended.
//
// What is read is written on at once. What the other side does not take is kept, at most one read's
// worth, and nothing more is read until it has gone: an idle tunnel holds no buffer, and a slow
// reader slows its sender. Much at a time between two sockets stays in the kernel. When one side
// ends its direction, so does the other side's; the opposite direction goes on.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "ctrl/proxy/net/loop.h"
#include "ctrl/proxy/net/pipe.h"
#include "ctrl/proxy/net/stream.h"
#include "ctrl/proxy/stats/counters.h"

namespace bridgehead::proxy {

enum class TunnelEnd : uint8_t {
  kBoth,         // both sides have ended in good order
  kClientError,  // the stream failed: reset, or broken TLS
  kServerError,
  kIdle,    // nothing moved for the idle timeout
  kClosed,  // by Close()
};

class Tunnel final : public Stream::Handler {
 public:
  // Called once; may destroy the tunnel by Loop::Bury.
  using Done = std::function<void(TunnelEnd end)>;
  // The idle timeout is no longer than this once one side has ended its direction: there may be
  // nobody left at it.
  static constexpr std::chrono::minutes kHalfClosedTimeout{10};

  Tunnel(Loop& loop, std::unique_ptr<Stream> client, std::unique_ptr<Stream> server,
         std::chrono::milliseconds idle_timeout, Done done,
         std::chrono::milliseconds half_closed_timeout = kHalfClosedTimeout);
  ~Tunnel();
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  // Moves what can be moved. `to_server` and `to_client` were read before there was a tunnel; they
  // go first.
  void Start(std::span<const uint8_t> to_server = {}, std::span<const uint8_t> to_client = {});
  // Where else bytes are counted, before Start; null: nowhere. Both must outlive the tunnel.
  void CountIn(ByteCounters* listener, ByteCounters* route);
  // Ends it now: both sides are reset.
  void Close();

  uint64_t bytes_to_server() const { return up_.bytes; }
  uint64_t bytes_to_client() const { return down_.bytes; }
  const Stream& client() const { return *client_; }
  const Stream& server() const { return *server_; }

  void OnReady(Stream& stream) override;

 private:
  // What was read and not taken.
  class Rest {
   public:
    std::span<const uint8_t> bytes() const { return {data_.get() + begin_, end_ - begin_}; }
    bool empty() const { return begin_ == end_; }
    void Keep(std::span<const uint8_t> bytes);
    void Take(size_t count);

   private:
    std::unique_ptr<uint8_t[]> data_;
    uint32_t begin_ = 0, end_ = 0;
  };
  struct Direction {
    Stream* from;
    Stream* to;
    Rest rest;
    TcpStream* tcp_from = nullptr;  // null: not both are sockets without TLS
    TcpStream* tcp_to = nullptr;
    uint64_t bytes = 0;
    std::array<Counter*, 2> counters{};  // of bytes too; null: none
    bool slow = false;                   // its reader did not keep up: smaller reads
    bool bulk = false;                   // much came at a time: by splice(2), if it can
    bool ended = false;                  // by `from`
    bool shut = false;                   // and `to` was told
  };
  enum class Moved : uint8_t { kNothing, kSome, kFromFailed, kToFailed };

  static void Count(Direction& direction, size_t bytes);
  Moved Move(Direction& direction);
  // kOk: the rest is gone.
  Io WriteRest(Direction& direction);
  // Reads once and writes it. kEnd: `from` has ended, kError with `from_failed`.
  Io MoveOnce(Direction& direction, bool& from_failed);
  // The same, between two sockets.
  Io SpliceOnce(Direction& direction, Pipe& pipe, bool& from_failed);
  void SetIdle();
  void Finish(TunnelEnd end);

  Loop& loop_;
  const std::unique_ptr<Stream> client_, server_;
  const std::chrono::milliseconds idle_timeout_, half_closed_timeout_;
  const Done done_;
  Direction up_, down_;
  Timer idle_;
  bool half_closed_ = false;  // as the idle timeout knows it
  bool finished_ = false;
};

}  // namespace bridgehead::proxy
