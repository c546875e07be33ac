#include "ctrl/proxy/http/h2_connection.h"

#include <algorithm>
#include <utility>

#include "ctrl/proxy/http/h2_callbacks.h"

namespace bridgehead::proxy {

H2Connection::H2Connection(HttpService& service, std::unique_ptr<Stream> stream, ClientInfo client)
    : service_(service),
      stream_(std::move(stream)),
      client_(std::move(client)),
      session_(H2Callbacks::NewSession(*this, client_.listener->http2_websocket)),
      resets_(H2Limits::kResets, service.loop().now()),
      empty_frames_(H2Limits::kEmptyFrames, service.loop().now()),
      timer_(service.loop(), [this] { OnTime(); }),
      notice_(service.loop(), [this] { OnNoticed(); }),
      began_(service.loop().now()) {}

H2Connection::~H2Connection() {
  if (stream_) stream_->SetHandler(nullptr);
}

void H2Connection::Start() {
  if (!session_) return End();  // no memory
  stream_->SetHandler(this);
  timer_.Set(client_.listener->request_timeout);
  Proceed();
}

void H2Connection::OnReady(Stream&) {
  soon_ = false;
  if (state_ == State::kLinger) return Discard();
  if (state_ == State::kOpen) Proceed();
}

void H2Connection::WriteSoon() {
  if (proceeding_ || state_ != State::kOpen || std::exchange(soon_, true)) return;
  stream_->Again();
}

void H2Connection::ServeSoon(H2Stream& stream) {
  if (std::exchange(stream.queued, true)) return;
  queued_.push_back(&stream);
  WriteSoon();
}

void H2Connection::Proceed() {
  proceeding_ = true;
  int reads = 0;
  while (reads < kReadsPerTurn && Receive()) {
    ++reads;
    ServeQueued();
  }
  ServeQueued();
  const bool flushed = Flush();
  proceeding_ = false;
  if (client_gone_ || !flushed) return End();
  // What was not read for want of room may be there still.
  const bool resumes = std::exchange(paused_, false) && !IsFull();
  if (reads == kReadsPerTurn || resumes || !queued_.empty()) WriteSoon();
  Settle();
}

// Answers that the client does not take: frames it makes us send are kept by nghttp2 without limit.
bool H2Connection::IsFull() const {
  return nghttp2_session_get_outbound_queue_size(session_.get()) > H2Limits::kMaxWaitingFrames;
}

bool H2Connection::Receive() {
  if (client_gone_ || nghttp2_session_want_read(session_.get()) == 0) return false;
  paused_ = IsFull();
  if (paused_) return false;
  const std::span<uint8_t> scratch = service_.loop().scratch();
  const IoResult got = stream_->Read(scratch);
  if (got.io == Io::kAgain) return false;
  if (got.io != Io::kOk) {
    client_gone_ = true;
    return false;
  }
  // Nobody else uses the scratch memory meanwhile: callbacks only note what has come.
  const ssize_t taken = nghttp2_session_mem_recv(session_.get(), scratch.data(), got.bytes);
  if (taken >= 0) return true;
  Terminate(taken == NGHTTP2_ERR_FLOODED            ? NGHTTP2_ENHANCE_YOUR_CALM
            : taken == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? NGHTTP2_PROTOCOL_ERROR
                                                    : NGHTTP2_INTERNAL_ERROR);
  return false;
}

// Those that come to be queued meanwhile have their turn later.
void H2Connection::ServeQueued() {
  if (terminated_) return queued_.clear();
  std::vector<H2Stream*> now;
  now.swap(queued_);
  for (H2Stream* stream : now) {
    stream->queued = false;
    stream->Serve();
    if (!stream->closed()) continue;
    if (stream->unread() > 0) nghttp2_session_consume_connection(session_.get(), stream->unread());
    if (stream->queued) std::erase(queued_, stream);
    const auto found = streams_.find(stream->id());
    service_.loop().Bury(std::move(found->second));
    streams_.erase(found);
  }
}

bool H2Connection::Flush() {
  for (;;) {
    while (out_.size() < kWriteBytes) {
      const uint8_t* bytes = nullptr;
      const ssize_t size = nghttp2_session_mem_send(session_.get(), &bytes);
      if (size < 0) return false;
      if (size == 0) break;
      out_.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
    }
    if (out_.empty()) return true;
    if (!Write()) return false;
    if (!out_.empty()) return true;  // to be called again when it has gone
  }
}

bool H2Connection::Write() {
  while (out_at_ < out_.size()) {
    const iovec part{out_.data() + out_at_, out_.size() - out_at_};
    const IoResult wrote = stream_->Write({&part, 1});
    if (wrote.io == Io::kAgain) return true;
    if (wrote.io != Io::kOk) return false;
    out_at_ += wrote.bytes;
  }
  out_.clear();
  out_at_ = 0;
  return true;
}

// What the end of a turn has come to.
void H2Connection::Settle() {
  if (out_.empty() && nghttp2_session_want_read(session_.get()) == 0 &&
      nghttp2_session_want_write(session_.get()) == 0) {
    return Linger();
  }
  if (terminated_) return;
  if (!streams_.empty()) return timer_.Cancel();
  if (out_.empty()) std::string().swap(out_);
  if (!timer_.pending()) timer_.Set(client_.listener->keepalive_timeout);
}

void H2Connection::Terminate(uint32_t error) {
  if (std::exchange(terminated_, true)) return;
  nghttp2_session_terminate_session(session_.get(), error);
  timer_.Set(kLinger);
  WriteSoon();
}

void H2Connection::GiveUpStreams() {
  for (const auto& [id, stream] : streams_) stream->GiveUp();
}

void H2Connection::Linger() {
  GiveUpStreams();
  state_ = State::kLinger;
  timer_.Set(kLinger);
  Discard();
}

void H2Connection::Discard() {
  // Once: a second call of TLS would read the answer to the first.
  const Io shut = shut_ ? Io::kOk : stream_->ShutdownWrite();
  shut_ = shut == Io::kOk;
  if (shut == Io::kError) return End();
  for (;;) {
    const IoResult got = stream_->Read(service_.loop().scratch());
    if (got.io == Io::kAgain) return;
    lingered_ += got.bytes;
    if (got.io != Io::kOk || lingered_ > kLingerBytes) return End();
  }
}

void H2Connection::OnTime() {
  if (state_ == State::kLinger || terminated_) return End();
  Terminate(NGHTTP2_NO_ERROR);
}

void H2Connection::BeginDrain() {
  if (state_ != State::kOpen || !session_ || std::exchange(draining_, true)) return;
  // RFC 9113 section 6.8: requests that are on their way are still taken.
  nghttp2_submit_shutdown_notice(session_.get());
  notice_.Set(kNotice);
  WriteSoon();
}

void H2Connection::OnNoticed() {
  if (state_ != State::kOpen) return;
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_.get()), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  WriteSoon();
}

void H2Connection::CountReset() {
  if (!resets_.Take(service_.loop().now())) Terminate(NGHTTP2_ENHANCE_YOUR_CALM);
}

void H2Connection::CountEmpty() {
  if (!empty_frames_.Take(service_.loop().now())) Terminate(NGHTTP2_ENHANCE_YOUR_CALM);
}

SessionInfo H2Connection::Describe() const {
  SessionInfo info;
  info.kind = "h2";
  info.listener = client_.listener->name;
  info.client = client_.peer;
  info.age = std::chrono::duration_cast<std::chrono::seconds>(Loop::Clock::now() - began_);
  if (!streams_.empty()) streams_.begin()->second->Describe(info);
  return info;
}

void H2Connection::Close() {
  stream_->ResetOnClose();
  End();
}

void H2Connection::End() {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  timer_.Cancel();
  notice_.Cancel();
  GiveUpStreams();
  stream_->SetHandler(nullptr);
  service_.Ended(*this);
}

}  // namespace bridgehead::proxy
