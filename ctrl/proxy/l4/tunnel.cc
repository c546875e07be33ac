#include "ctrl/proxy/l4/tunnel.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace bridgehead::proxy {
namespace {

// In one go before others have their turn.
constexpr int kReadsPerTurn = 16;
// What one read takes from a sender whose reader is slow: it may have to be kept.
constexpr size_t kSlowRead = 16 * 1024;

}  // namespace

void Tunnel::Rest::Keep(std::span<const uint8_t> bytes) {
  data_ = std::make_unique_for_overwrite<uint8_t[]>(bytes.size());
  std::memcpy(data_.get(), bytes.data(), bytes.size());
  begin_ = 0;
  end_ = static_cast<uint32_t>(bytes.size());
}

void Tunnel::Rest::Take(size_t count) {
  begin_ += static_cast<uint32_t>(count);
  if (!empty()) return;
  data_.reset();
  begin_ = end_ = 0;
}

Tunnel::Tunnel(Loop& loop, std::unique_ptr<Stream> client, std::unique_ptr<Stream> server,
               std::chrono::milliseconds idle_timeout, Done done,
               std::chrono::milliseconds half_closed_timeout)
    : loop_(loop),
      client_(std::move(client)),
      server_(std::move(server)),
      idle_timeout_(idle_timeout),
      half_closed_timeout_(half_closed_timeout),
      done_(std::move(done)),
      up_{client_.get(), server_.get(), {}},
      down_{server_.get(), client_.get(), {}},
      idle_(loop, [this] { Finish(TunnelEnd::kIdle); }) {
  auto* tcp_client = dynamic_cast<TcpStream*>(client_.get());
  auto* tcp_server = dynamic_cast<TcpStream*>(server_.get());
  if (tcp_client == nullptr || tcp_server == nullptr) return;
  up_.tcp_from = down_.tcp_to = tcp_client;
  up_.tcp_to = down_.tcp_from = tcp_server;
}

Tunnel::~Tunnel() {
  client_->SetHandler(nullptr);
  server_->SetHandler(nullptr);
}

void Tunnel::Start(std::span<const uint8_t> to_server, std::span<const uint8_t> to_client) {
  if (!to_server.empty()) up_.rest.Keep(to_server);
  if (!to_client.empty()) down_.rest.Keep(to_client);
  for (Stream* stream : {client_.get(), server_.get()}) {
    stream->SetHandler(this);
    // What runs in a tunnel has its own ends: not to deliver what was sent before one that TLS did
    // not announce would help nobody, and many servers never announce theirs.
    stream->TakePlainEnd();
  }
  SetIdle();
  OnReady(*client_);
}

void Tunnel::CountIn(ByteCounters* listener, ByteCounters* route) {
  if (listener != nullptr) {
    up_.counters[0] = &listener->to_server;
    down_.counters[0] = &listener->to_client;
  }
  if (route != nullptr) {
    up_.counters[1] = &route->to_server;
    down_.counters[1] = &route->to_client;
  }
}

void Tunnel::Count(Direction& direction, size_t bytes) {
  direction.bytes += bytes;
  for (Counter* counter : direction.counters) {
    if (counter != nullptr) counter->Add(bytes);
  }
}

void Tunnel::Close() {
  Finish(TunnelEnd::kClosed);
}

void Tunnel::OnReady(Stream&) {
  if (finished_) return;
  // Either stream's readiness may be what either direction waits for: TLS reads to write.
  const Moved up = Move(up_);
  if (up == Moved::kFromFailed) return Finish(TunnelEnd::kClientError);
  if (up == Moved::kToFailed) return Finish(TunnelEnd::kServerError);
  const Moved down = Move(down_);
  if (down == Moved::kFromFailed) return Finish(TunnelEnd::kServerError);
  if (down == Moved::kToFailed) return Finish(TunnelEnd::kClientError);
  if (up_.shut && down_.shut) return Finish(TunnelEnd::kBoth);
  // Nobody reads any more from a side that has ended, and there may be nothing to write.
  if (up_.ended && !down_.shut && client_->HasFailed()) return Finish(TunnelEnd::kClientError);
  if (down_.ended && !up_.shut && server_->HasFailed()) return Finish(TunnelEnd::kServerError);
  const bool half_closed = up_.ended || down_.ended;
  if (up == Moved::kSome || down == Moved::kSome || half_closed != half_closed_) {
    half_closed_ = half_closed;
    SetIdle();
  }
}

void Tunnel::SetIdle() {
  idle_.Set(half_closed_ ? std::min(idle_timeout_, half_closed_timeout_) : idle_timeout_);
}

Tunnel::Moved Tunnel::Move(Direction& direction) {
  const uint64_t before = direction.bytes;
  auto moved = [&] { return direction.bytes != before ? Moved::kSome : Moved::kNothing; };
  for (int reads = 0; reads < kReadsPerTurn; ++reads) {
    const Io rest = WriteRest(direction);
    if (rest == Io::kError) return Moved::kToFailed;
    if (rest == Io::kAgain) return moved();
    if (direction.ended) {
      if (direction.shut) return moved();
      const Io shut = direction.to->ShutdownWrite();
      // Who has ended its own direction may be gone altogether, and need not be told.
      const bool gone = (&direction == &up_ ? down_ : up_).ended;
      if (shut == Io::kError && !gone) return Moved::kToFailed;
      direction.shut = shut != Io::kAgain;
      return moved();
    }
    bool from_failed = false;
    switch (MoveOnce(direction, from_failed)) {
      case Io::kError:
        return from_failed ? Moved::kFromFailed : Moved::kToFailed;
      case Io::kAgain:
        return moved();
      case Io::kEnd:
        direction.ended = true;
        break;
      case Io::kOk:
        break;
    }
  }
  direction.from->Again();
  return moved();
}

Io Tunnel::WriteRest(Direction& direction) {
  while (!direction.rest.empty()) {
    const std::span<const uint8_t> bytes = direction.rest.bytes();
    const iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
    const IoResult wrote = direction.to->Write({&part, 1});
    if (wrote.io != Io::kOk) return wrote.io;
    direction.rest.Take(wrote.bytes);
    Count(direction, wrote.bytes);
  }
  return Io::kOk;
}

Io Tunnel::MoveOnce(Direction& direction, bool& from_failed) {
  if (direction.bulk) {
    if (Pipe* pipe = loop_.pipe()) return SpliceOnce(direction, *pipe, from_failed);
  }
  std::span<uint8_t> into = loop_.scratch();
  if (direction.slow) into = into.first(kSlowRead);
  const IoResult got = direction.from->Read(into);
  if (got.io != Io::kOk) {
    from_failed = got.io == Io::kError;
    return got.io;
  }
  const iovec part{into.data(), got.bytes};
  const IoResult wrote = direction.to->Write({&part, 1});
  if (wrote.io == Io::kError) return Io::kError;
  Count(direction, wrote.bytes);
  direction.slow = wrote.bytes < got.bytes;
  if (direction.slow) direction.rest.Keep(into.subspan(wrote.bytes, got.bytes - wrote.bytes));
  direction.bulk =
      direction.tcp_from != nullptr && !direction.slow && got.bytes == Loop::kScratchBytes;
  return Io::kOk;
}

Io Tunnel::SpliceOnce(Direction& direction, Pipe& pipe, bool& from_failed) {
  const IoResult got = pipe.Fill(*direction.tcp_from);
  if (got.io != Io::kOk) {
    from_failed = got.io == Io::kError;
    return got.io;
  }
  const IoResult wrote = pipe.Send(*direction.tcp_to, got.bytes);
  static_assert(Pipe::kBytes <= Loop::kScratchBytes);
  const std::span<uint8_t> rest = loop_.scratch().first(got.bytes - wrote.bytes);
  pipe.Empty(rest);
  if (wrote.io == Io::kError) return Io::kError;
  Count(direction, wrote.bytes);
  direction.slow = !rest.empty();
  if (direction.slow) direction.rest.Keep(rest);
  // Few bytes at a time cost less when they are copied.
  direction.bulk = !direction.slow && got.bytes >= kSlowRead;
  return Io::kOk;
}

void Tunnel::Finish(TunnelEnd end) {
  if (std::exchange(finished_, true)) return;
  idle_.Cancel();
  // A peer that got half must not take it for the whole.
  if (end != TunnelEnd::kBoth) {
    client_->ResetOnClose();
    server_->ResetOnClose();
  }
  done_(end);
}

}  // namespace bridgehead::proxy
