#include "ctrl/proxy/http/exchange.h"

#include <algorithm>
#include <utility>

#include "ctrl/proxy/http/head_editor.h"
#include "ctrl/proxy/http/write.h"
#include "ctrl/proxy/route/location.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

std::string_view Text(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

Exchange::Exchange(HttpService& service, const ClientInfo& client, RequestHead& head,
                   Downstream& down)
    : service_(service),
      client_(client),
      head_(head),
      down_(down),
      timer_(service.loop(), [this] { OnTime(); }),
      began_(service.loop().now()),
      self_(std::make_shared<Exchange*>(this)) {}

Exchange::~Exchange() {
  if (upstream_) upstream_->SetHandler(nullptr);
}

void Exchange::Dial() {
  state_ = State::kDialing;
  std::string why;
  lease_ = group_->Choose(client_.peer.address(), {}, why);
  if (!lease_) return Fail(503, std::move(why));
  // A kept connection says nothing about whether a server that was left alone takes new ones.
  if (group_->KeepsConnections() && !tried_again_ && !lease_.is_probe() &&
      head_.upgrade == Upgrade::kNone) {
    if (std::unique_ptr<Stream> kept = group_->pool().Take(lease_.server())) {
      reused_ = true;
      return Use(std::move(kept));
    }
  }
  reused_ = false;
  dial_ = std::make_unique<proxy::Dial>(
      service_.loop(), group_, DialFor{client_.peer, client_.local, client_.sni}, std::move(lease_),
      [this](proxy::Dial::Result result) { OnDialed(std::move(result)); });
  dial_->Start();
}

void Exchange::OnDialed(proxy::Dial::Result result) {
  service_.loop().Bury(std::move(dial_));
  if (!result.stream) return Fail(502, std::move(result.error));
  lease_ = std::move(result.server);
  Use(std::move(result.stream));
}

void Exchange::Use(std::unique_ptr<Stream> stream) {
  upstream_ = std::move(stream);
  if (record_) record_->server = lease_.settings().name;
  lease_.counters().requests.Add(1);
  state_ = State::kProxying;
  up_done_ = false;
  response_begun_ = false;
  parser_.Begin(method_, head_.upgrade);
  QueueHead();
  upstream_->SetHandler(this);
  Pump();
}

void Exchange::OnReady(Stream&) {
  Pump();
}

void Exchange::OnClientReady() {
  if (state_ == State::kProxying) {
    Pump();
  } else if (state_ == State::kSendingFile) {
    PumpFile();
  }
}

void Exchange::Pump() {
  if (state_ != State::kProxying) return;
  moved_ = false;
  if (!PumpUp() || !PumpDown()) return;
  if (head_done_ && !down_.WantsBody()) return AwaitTaking();
  // Requests that are sent ahead are no reason to wait longer for this one's response.
  if (moved_ || times_taking_ || !timer_.pending()) SetTimer();
}

// ------------------------------------------------------------------------------ towards the server

void Exchange::QueueHead() {
  const size_t before = up_.size();
  up_.resize(before + MaxWritten(head_));
  const size_t written =
      WriteRequest(head_, !group_->KeepsConnections(), {up_.data() + before, up_.size() - before});
  up_.resize(before + written);
  if (head_.framing == Framing::kNone) up_done_ = true;
}

void Exchange::QueueBody(std::span<const uint8_t> bytes) {
  body_bytes_ += bytes.size();
  counters_->bytes.to_server.Add(bytes.size());
  client_.admission->state().more.bytes.to_server.Add(bytes.size());
  if (head_.framing == Framing::kChunked) {
    up_.append(MakeChunkHeader(bytes.size()).text()).append(Text(bytes)).append(kChunkEnd);
  } else {
    up_.append(Text(bytes));
  }
}

bool Exchange::FlushUp() {
  size_t sent = 0;
  while (sent < up_.size()) {
    const iovec part{up_.data() + sent, up_.size() - sent};
    const IoResult wrote = upstream_->Write({&part, 1});
    if (wrote.io == Io::kAgain) break;
    if (wrote.io == Io::kError) {
      // It may have answered before it closed: what it has sent is still to be read.
      up_.clear();
      up_done_ = true;
      return true;
    }
    sent += wrote.bytes;
    moved_ = true;
  }
  up_.erase(0, sent);
  if (up_.empty() && up_.capacity() > kKeptBuffer) up_.shrink_to_fit();
  return up_.empty();
}

bool Exchange::PumpUp() {
  up_waits_ = false;
  for (int reads = 0; reads < kReadsPerTurn; ++reads) {
    // A small body goes out with its head.
    if (!up_done_ && up_.size() < kUpBuffer) {
      const IoResult got = down_.ReadBody(service_.loop().scratch());
      const uint64_t limit = route_->config->max_body;
      switch (got.io) {
        case Io::kOk:
          moved_ = true;
          QueueBody(service_.loop().scratch().first(got.bytes));
          if (limit != 0 && body_bytes_ > limit) {
            Fail(413, "body is too large");
            return false;
          }
          break;
        case Io::kEnd:
          moved_ = true;
          if (head_.framing == Framing::kChunked) up_.append(kLastChunk);
          up_done_ = true;
          break;
        case Io::kAgain:
          up_waits_ = true;
          FlushUp();
          return true;
        case Io::kError:
          Fail(400, "body is broken off, or no body");
          return false;
      }
    }
    if (!FlushUp()) return true;
    if (up_done_) return true;
  }
  down_.Again();
  return true;
}

// ------------------------------------------------------------------------------- and back

bool Exchange::PumpDown() {
  for (int reads = 0; reads < kReadsPerTurn; ++reads) {
    if (head_done_ && !down_.WantsBody()) return true;
    const std::span<uint8_t> scratch = service_.loop().scratch();
    const IoResult got = upstream_->Read(scratch);
    if (got.io == Io::kAgain) {
      if (head_done_) down_.SendBody({});
      return true;
    }
    if (got.io != Io::kOk) return UpstreamEnded(got.io);
    response_begun_ = moved_ = true;
    std::string_view bytes = Text(scratch.first(got.bytes));
    while (!head_done_ && !bytes.empty()) {
      if (!TakeHead(bytes)) return false;
    }
    if (head_done_ && !TakeBody(bytes)) return false;
  }
  upstream_->Again();
  return true;
}

bool Exchange::TakeHead(std::string_view& bytes) {
  const HeadResult result = parser_.Feed(bytes, response_);
  bytes.remove_prefix(result.taken);
  if (result.progress == HeadProgress::kRefused) {
    Fail(502, fmt::format("upstream's response: {}", TextOf(result.refusal)));
    return false;
  }
  if (result.progress == HeadProgress::kMore) return true;
  if (response_.upgrade == Upgrade::kWebSocket) {
    BecomeTunnel(bytes);
    return false;
  }
  // 100 was for us, who did not ask; others may be left out (RFC 9110 section 15.2).
  if (response_.status < 200) return true;
  decoder_.Begin(response_.framing, response_.content_length.value_or(0));
  PrepareResponse();
  down_.SendHead(response_);
  head_done_ = true;
  return true;
}

bool Exchange::TakeBody(std::string_view bytes) {
  while (!bytes.empty() && !decoder_.done()) {
    const BodyDecoder::Result piece = decoder_.Next(bytes);
    if (piece.refusal != Refusal::kNone) {
      Fail(502, fmt::format("upstream's body: {}", TextOf(piece.refusal)));
      return false;
    }
    if (!piece.body.empty()) {
      CountDown(piece.body.size());
      down_.SendBody(Bytes(piece.body));
    }
    bytes.remove_prefix(piece.taken);
  }
  if (!decoder_.done()) return true;
  // Bytes behind the end are nobody's: the connection can not be trusted.
  LeaveUpstream(response_.keep_alive && bytes.empty() && up_done_ && up_.empty());
  Over();
  down_.Finish();
  return false;
}

bool Exchange::UpstreamEnded(Io io) {
  if (!head_done_) {
    if (Retry()) return false;
    Fail(502, io == Io::kEnd ? "upstream closed before its response"
                             : "upstream: " + upstream_->error());
    return false;
  }
  if (response_.framing == Framing::kUntilClose && io == Io::kEnd) {
    LeaveUpstream(false);
    Over();
    down_.Finish();
    return false;
  }
  Fail(502, "upstream closed amid its response");
  return false;
}

// A kept connection that its server has closed meanwhile: nobody has seen the request yet, or, if
// somebody has, it may be made twice.
bool Exchange::Retry() {
  if (!reused_ || tried_again_ || response_begun_ || !idempotent_ || body_bytes_ > 0) return false;
  tried_again_ = true;
  timer_.Cancel();  // a dial has times of its own
  LeaveUpstream(false);
  up_.clear();
  Dial();
  return true;
}

void Exchange::PrepareResponse() {
  status_ = response_.status;
  if (record_) record_->status = response_.status;
  for (const HeaderId id : {HeaderId::kLocation}) {
    const auto value = response_.Find(id);
    if (!value) continue;
    const std::string server = lease_.address().text();
    const LocationContext context{client_.tls ? "https" : "http", request_host_,
                                  group_->tls() != nullptr ? "https" : "http", head_.authority(),
                                  server};
    const auto mapped = MapLocation(host_->table, match_.route, *value, context);
    if (mapped) static_cast<void>(response_.Set(NameOf(id), *mapped));
  }
  HeadEditor editor(response_);
  const RequestFacts facts = Facts();
  host_->response_headers.Apply(editor, facts, {});
  route_->response_headers.Apply(editor, facts, {});
}

void Exchange::BecomeTunnel(std::string_view early) {
  TunnelPlan plan;
  plan.early = early;
  plan.idle_timeout = tunnel_timeout_;
  PrepareResponse();
  down_.SendHead(response_);
  upstream_->SetHandler(nullptr);
  plan.server = std::move(upstream_);
  plan.lease = std::move(lease_);
  timer_.Cancel();
  state_ = State::kOver;
  CountRequest();
  plan.log = std::move(record_);
  plan.route = site_->counters(*route_);
  down_.BecomeTunnel(std::move(plan));
}

// ------------------------------------------------------------------------------------------ ends

void Exchange::Fail(uint16_t status, std::string why) {
  LeaveUpstream(false);
  if (!head_done_) return Answer(status, why);
  if (record_) record_->error = std::move(why);
  Over();
  down_.Abort();
}

void Exchange::LeaveUpstream(bool reusable) {
  if (!upstream_) return;
  upstream_->SetHandler(nullptr);
  if (reusable && group_->KeepsConnections()) {
    group_->pool().Put(lease_.server(), std::move(upstream_));
  } else {
    service_.loop().Bury(std::move(upstream_));
  }
  lease_ = {};
}

void Exchange::ClientGone() {
  if (state_ == State::kOver) return;
  if (record_) record_->error = "client has gone";
  LeaveUpstream(false);
  Over();
}

void Exchange::Over() {
  timer_.Cancel();
  dial_.reset();
  state_ = State::kOver;
  CountRequest();
  if (!record_) return;
  record_->duration =
      std::chrono::duration_cast<std::chrono::microseconds>(Loop::Clock::now() - began_);
  record_->bytes_in = body_bytes_;
  service_.Log(*record_);
  record_.reset();
}

void Exchange::CountRequest() {
  (counters_ != nullptr ? counters_->requests : client_.admission->state().more.unrouted)
      .Count(status_);
}

void Exchange::CountDown(size_t bytes) {
  if (counters_ != nullptr) counters_->bytes.to_client.Add(bytes);
  client_.admission->state().more.bytes.to_client.Add(bytes);
  if (record_) record_->bytes_out += bytes;
}

// Whoever is waited for has so long.
void Exchange::SetTimer() {
  times_taking_ = false;
  timer_.Set(up_waits_ ? client_.listener->body_timeout : response_timeout_);
}

// A client that takes nothing has that once, whatever else it does.
void Exchange::AwaitTaking() {
  if (std::exchange(times_taking_, true) && taken_ == down_.sent()) return;
  taken_ = down_.sent();
  timer_.Set(client_.listener->body_timeout);
}

void Exchange::OnTime() {
  // One that is slow has taken some without a word to us.
  if (times_taking_ && taken_ != down_.sent()) return AwaitTaking();
  if (state_ == State::kSendingFile) {
    if (record_) record_->error = "client does not take the response";
    Over();
    return down_.Abort();
  }
  if (head_done_ && !down_.WantsBody()) return Fail(408, "client does not take the response");
  if (up_waits_ && up_.empty()) return Fail(408, "client does not send its body");
  Fail(504, "upstream does not answer in time");
}

void Exchange::Describe(SessionInfo& info) const {
  if (group_) info.upstream = group_->settings().name;
  if (lease_) info.server = lease_.settings().name;
  if (route_ != nullptr) info.route = route_->config->name;
}

}  // namespace bridgehead::proxy
