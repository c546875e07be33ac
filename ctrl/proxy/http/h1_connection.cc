#include "ctrl/proxy/http/h1_connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ctrl/proxy/http/write.h"

namespace bridgehead::proxy {
namespace {

std::string_view Text(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

iovec Part(std::string_view text) {
  return {const_cast<char*>(text.data()), text.size()};
}

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

H1Connection::H1Connection(HttpService& service, std::unique_ptr<Stream> stream, ClientInfo client)
    : service_(service),
      stream_(std::move(stream)),
      client_(std::move(client)),
      timer_(service.loop(), [this] { OnTime(); }),
      began_(service.loop().now()) {}

H1Connection::~H1Connection() {
  if (stream_) stream_->SetHandler(nullptr);
}

void H1Connection::Start() {
  stream_->SetHandler(this);
  timer_.Set(client_.listener->request_timeout);
  Proceed();
}

void H1Connection::OnReady(Stream&) {
  if (state_ == State::kExchange && decoder_.done() && in_.empty() && !ClientIsThere()) return;
  Proceed();
}

// A client that goes while its request is being answered ends it: there may be much to be saved,
// and a long poll would hold its connection for nothing. Ending its direction counts as going.
bool H1Connection::ClientIsThere() {
  const IoResult got = stream_->Read(service_.loop().scratch());
  if (got.io == Io::kOk) in_ = Text(service_.loop().scratch().first(got.bytes));
  if (got.io == Io::kOk || got.io == Io::kAgain) return true;
  exchange_->ClientGone();
  End();
  return false;
}

// Exchanges call back in the midst of this, which then goes on by itself.
void H1Connection::Proceed() {
  if (proceeding_) return;
  proceeding_ = true;
  requests_of_turn_ = 0;
  while (state_ != State::kEnded && Step()) {
    if (state_ != State::kHead || requests_of_turn_ < kRequestsPerTurn) continue;
    stream_->Again();
    break;
  }
  proceeding_ = false;
}

bool H1Connection::Step() {
  if (!Flush()) {
    if (exchange_) exchange_->ClientGone();
    End();
    return false;
  }
  switch (state_) {
    case State::kHead:
      return ReadHead();
    case State::kExchange:
      if (!exchange_over_) exchange_->OnClientReady();
      if (state_ != State::kExchange || !exchange_over_) return false;
      EndExchange();
      return true;
    case State::kSending:
      if (blocked_) return false;
      AnswerHasLeft();
      return true;
    case State::kLinger:
      return Discard();
    case State::kEnded:
      return false;
  }
  return false;
}

bool H1Connection::ReadHead() {
  std::string_view bytes = in_;
  if (bytes.empty()) {
    const IoResult got = stream_->Read(service_.loop().scratch());
    if (got.io == Io::kAgain) return false;
    if (got.io != Io::kOk) {
      End();
      return false;
    }
    bytes = Text(service_.loop().scratch().first(got.bytes));
  }
  const bool first_bytes = !parser_.begun();
  const HeadResult result = parser_.Feed(bytes, head_);
  // Of all requests but the first, which had its time from the connection's begin on.
  if (first_bytes && requests_ > 0) timer_.Set(client_.listener->request_timeout);
  std::string rest(bytes.substr(result.taken));
  in_ = std::move(rest);
  if (result.progress == HeadProgress::kMore) return true;
  timer_.Cancel();
  if (result.progress == HeadProgress::kRefused) {
    Refuse(result.refusal);
  } else {
    StartExchange();
  }
  return true;
}

void H1Connection::Refuse(Refusal refusal) {
  version_ = HttpVersion::k11;
  head_.keep_alive = false;
  decoder_.Begin(Framing::kNone, 0);
  ++requests_;
  state_ = State::kExchange;
  exchange_over_ = false;
  exchange_ = std::make_unique<Exchange>(service_, client_, head_, static_cast<Downstream&>(*this));
  exchange_->Refuse(StatusOf(refusal), TextOf(refusal));
}

void H1Connection::StartExchange() {
  version_ = head_.version;
  decoder_.Begin(head_.framing, head_.content_length.value_or(0));
  continued_ = false;
  close_ = false;
  ++requests_;
  state_ = State::kExchange;
  exchange_over_ = false;
  exchange_ = std::make_unique<Exchange>(service_, client_, head_, static_cast<Downstream&>(*this));
  exchange_->Start();
}

void H1Connection::EndExchange() {
  service_.loop().Bury(std::move(exchange_));
  ++requests_of_turn_;
  state_ = State::kSending;
  timer_.Set(client_.listener->body_timeout);
}

void H1Connection::AnswerHasLeft() {
  if (!close_ && !draining_) {
    state_ = State::kHead;
    idle_ = false;
    timer_.Set(kBusy);
    return;
  }
  state_ = State::kLinger;
  timer_.Set(kLinger);
}

IoResult H1Connection::ReadBody(std::span<uint8_t> into) {
  if (head_.expect_continue && !std::exchange(continued_, true)) {
    const iovec part = Part(kContinue);
    Write({&part, 1});
  }
  for (;;) {
    if (decoder_.done()) return {Io::kEnd};
    std::span<uint8_t> raw;
    if (!in_.empty()) {
      const size_t taken = std::min(in_.size(), into.size());
      std::copy_n(in_.data(), taken, into.data());
      in_.erase(0, taken);
      raw = into.first(taken);
    } else {
      const IoResult got = stream_->Read(into);
      if (got.io == Io::kEnd) return {Io::kError};  // amid the body
      if (got.io != Io::kOk) return got;
      raw = into.first(got.bytes);
    }
    // Chunks lose their frames where they are.
    size_t body = 0;
    std::string_view left = Text(raw);
    while (!left.empty() && !decoder_.done()) {
      const BodyDecoder::Result piece = decoder_.Next(left);
      if (piece.refusal != Refusal::kNone) return {Io::kError};
      std::copy(piece.body.begin(), piece.body.end(), into.begin() + static_cast<ptrdiff_t>(body));
      body += piece.body.size();
      left.remove_prefix(piece.taken);
    }
    if (!left.empty()) in_.insert(0, left);
    if (body > 0) return {Io::kOk, body};
  }
}

void H1Connection::SendHead(const ResponseHead& head) {
  framing_ = WrittenFraming(head, version_);
  close_ = !head_.keep_alive || draining_ || framing_ == Framing::kUntilClose || !decoder_.done();
  if (head.status == 101) close_ = false;
  continued_ = true;
  const size_t before = out_.size();
  out_.resize(before + MaxWritten(head));
  const size_t written =
      WriteResponse(head, version_, close_, {out_.data() + before, out_.size() - before});
  out_.resize(before + written);
}

void H1Connection::SendBody(std::span<const uint8_t> bytes) {
  if (bytes.empty() || framing_ == Framing::kNone) {
    if (!out_.empty() && !blocked_) Write({});
    return;
  }
  if (framing_ != Framing::kChunked) {
    const iovec part = Part(Text(bytes));
    return Write({&part, 1});
  }
  const ChunkHeader header = MakeChunkHeader(bytes.size());
  const iovec parts[] = {Part(header.text()), Part(Text(bytes)), Part(kChunkEnd)};
  Write(parts);
}

// Sends the parts behind what waits, and keeps what does not go.
void H1Connection::Write(std::span<const iovec> parts) {
  if (failed_) return;
  if (blocked_) {
    for (const iovec& part : parts) out_.append(static_cast<char*>(part.iov_base), part.iov_len);
    return;
  }
  std::array<iovec, 4> all;
  size_t count = 0, total = 0;
  if (!out_.empty()) all[count++] = Part(out_);
  for (const iovec& part : parts) all[count++] = part;
  for (size_t i = 0; i < count; ++i) total += all[i].iov_len;
  size_t sent = 0;
  while (!blocked_ && sent < total) {
    // What is left of the parts.
    std::array<iovec, 4> left;
    size_t left_count = 0, skip = sent;
    for (size_t i = 0; i < count; ++i) {
      if (skip >= all[i].iov_len) {
        skip -= all[i].iov_len;
        continue;
      }
      left[left_count++] = {static_cast<char*>(all[i].iov_base) + skip, all[i].iov_len - skip};
      skip = 0;
    }
    const IoResult wrote = stream_->Write({left.data(), left_count});
    if (wrote.io == Io::kOk) sent += wrote.bytes;
    blocked_ = wrote.io == Io::kAgain;
    if (wrote.io == Io::kError) return Fail();
  }
  sent_ += sent;
  std::string rest;
  for (size_t i = 0; i < count; ++i) {
    const size_t skip = std::min(sent, all[i].iov_len);
    rest.append(static_cast<char*>(all[i].iov_base) + skip, all[i].iov_len - skip);
    sent -= skip;
  }
  out_ = std::move(rest);
}

// Of a dead stream nothing else may tell any more.
void H1Connection::Fail() {
  failed_ = true;
  std::string().swap(out_);
  stream_->Again();
}

bool H1Connection::Flush() {
  blocked_ = false;
  const size_t before = out_.size();
  if (before > 0) Write({});
  // Slow clients get all that they go on taking.
  if (state_ == State::kSending && out_.size() < before) {
    timer_.Set(client_.listener->body_timeout);
  }
  return !failed_;
}

void H1Connection::Finish() {
  if (framing_ == Framing::kChunked) {
    const iovec part = Part(kLastChunk);
    Write({&part, 1});
  } else if (!out_.empty() && !blocked_) {
    Write({});
  }
  exchange_over_ = true;
  Proceed();
}

void H1Connection::Abort() {
  stream_->ResetOnClose();
  End();
}

void H1Connection::BecomeTunnel(TunnelPlan plan) {
  stream_->SetHandler(nullptr);
  state_ = State::kEnded;
  timer_.Cancel();
  service_.StartTunnel(*this, client_, std::move(stream_), in_, out_, std::move(plan));
}

bool H1Connection::Discard() {
  // Once: a second call of TLS would read the answer to the first.
  const Io shut = shut_ ? Io::kOk : stream_->ShutdownWrite();
  shut_ = shut == Io::kOk;
  if (shut == Io::kError) {
    End();
    return false;
  }
  const IoResult got = stream_->Read(service_.loop().scratch());
  if (got.io == Io::kAgain) return false;
  lingered_ += got.bytes;
  if (got.io != Io::kOk || lingered_ > kLingerBytes) {
    End();
    return false;
  }
  return true;
}

void H1Connection::OnTime() {
  if (state_ == State::kHead && !parser_.begun() && requests_ > 0 && !std::exchange(idle_, true)) {
    head_.Release();
    const std::chrono::milliseconds keepalive = client_.listener->keepalive_timeout;
    timer_.Set(std::max(keepalive - kBusy, std::chrono::milliseconds(0)));
    return;
  }
  // Amid a head: the client is told. Between requests it is not: its next one would take the answer
  // for its own.
  if (state_ == State::kHead && parser_.begun()) {
    head_.Clear();
    head_.keep_alive = false;
    decoder_.Begin(Framing::kNone, 0);
    state_ = State::kExchange;
    exchange_over_ = false;
    exchange_ =
        std::make_unique<Exchange>(service_, client_, head_, static_cast<Downstream&>(*this));
    exchange_->Refuse(408, "head not whole in time");
    return Proceed();
  }
  // Half a response must not look whole.
  if (state_ == State::kSending) stream_->ResetOnClose();
  End();
}

SessionInfo H1Connection::Describe() const {
  SessionInfo info;
  info.kind = "http/1.1";
  info.listener = client_.listener->name;
  info.client = client_.peer;
  info.age = std::chrono::duration_cast<std::chrono::seconds>(Loop::Clock::now() - began_);
  if (exchange_) exchange_->Describe(info);
  return info;
}

void H1Connection::BeginDrain() {
  draining_ = true;
  if (state_ == State::kHead && !parser_.begun()) End();
}

void H1Connection::Close() {
  if (exchange_) exchange_->ClientGone();
  if (stream_) stream_->ResetOnClose();
  End();
}

void H1Connection::End() {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  timer_.Cancel();
  stream_->SetHandler(nullptr);
  service_.Ended(*this);
}

}  // namespace bridgehead::proxy
