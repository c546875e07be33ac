#include "ctrl/proxy/http/h2_stream.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "ctrl/proxy/http/h2_connection.h"
#include "ctrl/proxy/http/h2_tunnel_stream.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

std::string_view Text(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// nghttp2 copies both, and writes names in lower case.
nghttp2_nv Pair(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

ssize_t OfferData(nghttp2_session*, int32_t, uint8_t*, size_t most, uint32_t* flags,
                  nghttp2_data_source* source, void*) {
  return static_cast<H2Stream*>(source->ptr)->Offer(most, *flags);
}

}  // namespace

H2Stream::H2Stream(H2Connection& connection, int32_t id)
    : connection_(connection), id_(id), timer_(connection.service().loop(), [this] { OnTime(); }) {
  timer_.Set(connection_.client().listener->request_timeout);
}

H2Stream::~H2Stream() {
  if (tunnel_ != nullptr) tunnel_->Detach({}, false);
}

// ------------------------------------------------------------------------------- from the client

void H2Stream::AddField(std::string_view name, std::string_view value) {
  // Trailers are counted, and dropped.
  if (!head_done_) return reader_.Add(name, value, head_);
  reader_.AddTrailer(name, value);
}

void H2Stream::HeadDone(bool ended) {
  timer_.Cancel();
  head_done_ = true;
  has_body_ = !ended;  // by the time it is served, the body may have ended
  request_ended_ = ended;
}

void H2Stream::TakeBody(std::span<const uint8_t> bytes) {
  // Nobody will read it. The other streams get the connection's window back; this one has none.
  if (finished_ && tunnel_ == nullptr) {
    nghttp2_session_consume_connection(connection_.session(), bytes.size());
    return;
  }
  continued_ = true;
  // A tunnel whose server is slow may never come to the end of it.
  if (in_at_ > 0 && in_at_ >= in_.size() / 2) {
    in_.erase(0, in_at_);
    in_at_ = 0;
  }
  in_.append(Text(bytes));
}

void H2Stream::RequestEnded() {
  request_ended_ = true;
}

void H2Stream::Closed(uint32_t error) {
  closed_ = true;
  error_ = error;
  timer_.Cancel();
}

void H2Stream::Serve() {
  if (closed_) return GiveUp();
  if (tunnel_ != nullptr) return tunnel_->Again();
  if (exchange_) return exchange_->OnClientReady();
  if (head_done_ && !head_sent_ && !finished_) Start();
}

void H2Stream::Start() {
  const Refusal refusal = reader_.Finish(has_body_, head_);
  exchange_ = std::make_unique<Exchange>(connection_.service(), connection_.client(), head_,
                                         static_cast<Downstream&>(*this));
  if (refusal != Refusal::kNone) return exchange_->Refuse(StatusOf(refusal), TextOf(refusal));
  exchange_->Start();
}

void H2Stream::GiveUp() {
  timer_.Cancel();
  closed_ = true;
  if (exchange_) {
    exchange_->ClientGone();
    BuryExchange();
  }
  if (tunnel_ != nullptr) {
    const bool whole = request_ended_ && error_ == NGHTTP2_NO_ERROR;
    std::exchange(tunnel_, nullptr)->Detach(std::string_view(in_).substr(in_at_), whole);
  }
}

IoResult H2Stream::ReadBody(std::span<uint8_t> into) {
  const size_t count = std::min(unread(), into.size());
  if (count > 0) {
    std::copy_n(in_.data() + in_at_, count, into.data());
    in_at_ += count;
    if (in_at_ == in_.size()) {
      std::string().swap(in_);
      in_at_ = 0;
    }
    nghttp2_session_consume(connection_.session(), id_, count);
    connection_.WriteSoon();
    return {Io::kOk, count};
  }
  if (closed_) return {Io::kError};
  if (request_ended_) return {Io::kEnd};
  if (head_.expect_continue && !std::exchange(continued_, true)) {
    const nghttp2_nv status = Pair(":status", "100");
    nghttp2_submit_headers(connection_.session(), NGHTTP2_FLAG_NONE, id_, nullptr, &status, 1,
                           nullptr);
    connection_.WriteSoon();
  }
  return {Io::kAgain};
}

// --------------------------------------------------------------------------------- to the client

void H2Stream::SendHead(const ResponseHead& head) {
  if (head.status != 101) {
    bodiless_ = head.framing == Framing::kNone;
    return SubmitHead(head, head.status, !bodiless_);
  }
  // RFC 6455 section 4.1: the edge is the upstream's client here.
  bad_accept_ = head.Find(HeaderId::kSecWebSocketAccept) != reader_.accept();
  bodiless_ = bad_accept_;
  SubmitHead(bad_accept_ ? ResponseHead() : head, bad_accept_ ? 502 : 200, !bad_accept_);
}

void H2Stream::SubmitHead(const ResponseHead& head, uint16_t status, bool has_body) {
  const std::string status_text = fmt::format("{}", status);
  const std::string length = fmt::format("{}", head.content_length.value_or(0));
  std::vector<nghttp2_nv> fields;
  fields.reserve(head.field_count() + 2);
  fields.push_back(Pair(":status", status_text));
  for (const Field field : head.fields()) {
    const bool of_handshake = head.status == 101 && field.id == HeaderId::kSecWebSocketAccept;
    if ((BitOf(field.id) & kNotPassedOn) == 0 && !of_handshake) {
      fields.push_back(Pair(field.name, field.value));
    }
  }
  if (head.content_length && head.framing != Framing::kChunked) {
    fields.push_back(Pair("content-length", length));
  }
  nghttp2_data_provider body{};
  body.source.ptr = this;
  body.read_callback = OfferData;
  continued_ = true;
  nghttp2_submit_response(connection_.session(), id_, fields.data(), fields.size(),
                          has_body ? &body : nullptr);
  SetTimer();
  connection_.WriteSoon();
}

void H2Stream::SendBody(std::span<const uint8_t> bytes) {
  if (bodiless_ || bytes.empty()) return;
  Queue(Text(bytes));
}

void H2Stream::Queue(std::string_view bytes) {
  if (out_at_ > 0 && out_at_ >= out_.size() / 2) {
    out_.erase(0, out_at_);
    out_at_ = 0;
  }
  out_.append(bytes);
  full_ = out_.size() - out_at_ >= kOutBytes;
  Resume();
}

void H2Stream::Resume() {
  SetTimer();
  nghttp2_session_resume_data(connection_.session(), id_);
  connection_.WriteSoon();
}

void H2Stream::Again() {
  connection_.ServeSoon(*this);
}

void H2Stream::Finish() {
  BuryExchange();
  finished_ = true;
  // What is there already, and what comes still, is not read any more.
  if (const size_t left = unread(); left > 0) {
    nghttp2_session_consume_connection(connection_.session(), left);
    std::string().swap(in_);
    in_at_ = 0;
  }
  Resume();
}

void H2Stream::Abort() {
  aborted_ = true;
  BuryExchange();
  Reset(NGHTTP2_INTERNAL_ERROR);
}

void H2Stream::Reset(uint32_t error) {
  finished_ = true;
  timer_.Cancel();
  nghttp2_submit_rst_stream(connection_.session(), NGHTTP2_FLAG_NONE, id_, error);
  connection_.WriteSoon();
}

void H2Stream::BuryExchange() {
  connection_.service().loop().Bury(std::move(exchange_));
}

ssize_t H2Stream::Offer(size_t most, uint32_t& flags) {
  const size_t waiting = out_.size() - out_at_;
  if (waiting == 0 && !finished_) return NGHTTP2_ERR_DEFERRED;
  const size_t count = std::min(waiting, most);
  flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (count == waiting && finished_) flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(count);
}

void H2Stream::MoveTo(std::string& out, size_t count) {
  out.append(out_, out_at_, count);
  out_at_ += count;
  sent_ += count;
  const size_t left = out_.size() - out_at_;
  if (left == 0) {
    out_.clear();
    out_at_ = 0;
  }
  Progress();
  // Half of it is worth a turn.
  if (full_ && left <= kOutBytes / 2) {
    full_ = false;
    connection_.ServeSoon(*this);
  }
}

void H2Stream::HeadSent() {
  head_sent_ = true;
  Progress();
}

void H2Stream::ResponseSent() {
  response_sent_ = true;
  // A tunnel's other direction goes on.
  if (!request_ended_ && tunnel_ == nullptr) timer_.Set(kUnread);
}

// The client must take what is there for it; an exchange that is over has no timer of its own, and
// one that sends a file neither. A tunnel has one.
void H2Stream::SetTimer() {
  if (timer_.pending() || tunnel_ != nullptr) return;
  timer_.Set(connection_.client().listener->body_timeout);
}

// It has taken some.
void H2Stream::Progress() {
  if (out_.empty() && !finished_) return timer_.Cancel();
  if (timer_.pending()) timer_.Set(connection_.client().listener->body_timeout);
}

void H2Stream::OnTime() {
  // Until the head is whole, no other frame can come (RFC 9113 section 4.3).
  if (!head_done_) return connection_.Terminate(NGHTTP2_ENHANCE_YOUR_CALM);
  if (exchange_) {
    exchange_->ClientGone();
    BuryExchange();
  }
  Reset(response_sent_ ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
}

// ----------------------------------------------------------------------------------------- tunnel

void H2Stream::BecomeTunnel(TunnelPlan plan) {
  BuryExchange();
  HttpService& service = connection_.service();
  if (bad_accept_) {
    finished_ = true;
    if (plan.log) {
      plan.log->status = 502;
      plan.log->error = "upstream's answer is not to the key that it got";
      service.Log(*plan.log);
    }
    service.loop().Bury(std::move(plan.server));
    return;
  }
  timer_.Cancel();
  const ClientInfo& client = connection_.client();
  auto stream = std::make_unique<H2TunnelStream>(service.loop(), *this, client.peer, client.local);
  tunnel_ = stream.get();
  service.AddTunnel(client, std::move(stream), std::move(plan));
}

IoResult H2Stream::WriteTunnel(std::span<const iovec> parts) {
  if (full_) return {Io::kAgain};
  size_t taken = 0;
  for (const iovec& part : parts) {
    const size_t room = kOutBytes - std::min(kOutBytes, out_.size() - out_at_);
    const size_t count = std::min(part.iov_len, room);
    Queue({static_cast<const char*>(part.iov_base), count});
    taken += count;
    if (full_) break;
  }
  return {Io::kOk, taken};
}

void H2Stream::EndTunnel() {
  finished_ = true;
  Resume();
}

void H2Stream::TunnelGone(bool reset) {
  tunnel_ = nullptr;
  if (closed_) return;
  if (reset || !finished_) return Reset(NGHTTP2_CANCEL);
  SetTimer();
}

void H2Stream::Describe(SessionInfo& info) const {
  if (exchange_) exchange_->Describe(info);
}

}  // namespace bridgehead::proxy
