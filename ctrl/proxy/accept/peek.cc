#include "ctrl/proxy/accept/peek.h"

#include <algorithm>
#include <utility>

#include <poll.h>
#include <sys/socket.h>

#include "ctrl/proxy/accept/client_hello.h"
#include "ctrl/proxy/accept/proxy_header.h"

namespace bridgehead::proxy {
namespace {

// Both may have come at once. Behind them in the loop's scratch: a hello that came in records.
constexpr size_t kPeekBytes = kMaxProxyHeaderBytes + kMaxClientHelloBytes;
static_assert(kPeekBytes + kMaxClientHelloBytes <= Loop::kScratchBytes);

}  // namespace

bool HasEnded(int fd) {
  pollfd ended{fd, POLLRDHUP, 0};
  return poll(&ended, 1, 0) > 0;
}

bool IsListed(std::span<const config::Prefix> prefixes, const config::Address& address) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const config::Prefix& prefix) { return prefix.Contains(address); });
}

bool Peek::IsNeeded(const config::EdgeListener& listener, const config::Address& source) {
  return !listener.accept_proxy_from.empty() ||
         !DecidePass(listener.rules, {source, SpeaksTls::kUnknown, nullptr}).known;
}

Peek::Peek(AcceptedConnection connection, Owner& owner)
    : connection_(std::move(connection)),
      owner_(owner),
      timer_(connection_.stream->loop(), [this] { OnTimeout(); }),
      listed_(
          IsListed(connection_.listener->accept_proxy_from, connection_.stream->peer().address())) {
  looks_ = !listed_ && !connection_.listener->accept_proxy_from.empty();
}

void Peek::Start() {
  timer_.Set(connection_.listener->peek_timeout);
  connection_.stream->SetHandler(this);
  OnReady(*connection_.stream);
}

void Peek::OnReady(Stream&) {
  TcpStream& stream = *connection_.stream;
  const std::span<uint8_t> buffer = stream.loop().scratch().first(kPeekBytes);
  const IoResult got = stream.Peek(buffer);
  if (got.io == Io::kAgain) return;
  if (got.io != Io::kOk) return End(AcceptRefusal::kClosedEarly);
  Bytes bytes = buffer.first(got.bytes);
  if (listed_ && !TakeProxyHeader(bytes)) return;
  Look(bytes);
}

// False: there is nothing more to do now.
bool Peek::TakeProxyHeader(Bytes& bytes) {
  using Progress = ProxyHeader::Progress;
  const ProxyHeader header = ParseProxyHeader(bytes);
  if (header.progress != Progress::kDone) {
    if (header.progress == Progress::kMore) {
      WaitFor(header.bytes, bytes.size());
    } else {
      const bool none = header.progress == Progress::kNone;
      End(none ? AcceptRefusal::kProxyMissing : AcceptRefusal::kProxyMalformed);
    }
    return false;
  }
  if (!Consume(header.bytes)) {
    End(AcceptRefusal::kClosedEarly);
    return false;
  }
  bytes = bytes.subspan(header.bytes);
  listed_ = false;
  TcpStream& stream = *connection_.stream;
  connection_.proxy = stream.peer();
  if (!header.source.empty()) {
    stream.SetPeer(header.source);
    stream.SetLocal(header.destination);
  }
  const AcceptRefusal refusal =
      connection_.admission.Admit(stream.peer().address(), stream.loop().now());
  if (refusal != AcceptRefusal::kNone) End(refusal);
  return refusal == AcceptRefusal::kNone;
}

// The first bytes, which have been peeked at: they are there. Not into the scratch, whose bytes
// behind these are still to be looked at.
bool Peek::Consume(size_t bytes) {
  uint8_t taken[512];
  while (bytes > 0) {
    const IoResult got =
        connection_.stream->Read(std::span(taken).first(std::min(bytes, sizeof(taken))));
    if (got.io != Io::kOk) return false;
    bytes -= got.bytes;
  }
  return SetLowWater(1);
}

// At the client's bytes.
void Peek::Look(Bytes bytes) {
  ConnectionFacts facts{connection_.stream->peer().address(), SpeaksTls::kUnknown, nullptr};
  if (!looks_ && Decide(facts)) return;
  if (bytes.empty()) return WaitFor(1, 0);
  begun_ = true;
  switch (FindProxySignature(bytes)) {
    case ProxyHeader::Progress::kDone:
      return End(AcceptRefusal::kProxyUnlisted);
    case ProxyHeader::Progress::kMore:
      return WaitFor(bytes.size() + 1, bytes.size());
    default:
      break;
  }
  looks_ = false;
  if (!Decide(facts)) LookAtHello(bytes, facts);
}

void Peek::LookAtHello(Bytes bytes, ConnectionFacts facts) {
  bytes = bytes.first(std::min(bytes.size(), kMaxClientHelloBytes));
  ClientHello hello;
  const HelloResult result =
      ParseClientHello(bytes, connection_.stream->loop().scratch().subspan(kPeekBytes), hello);
  if (result.tls) facts.tls = SpeaksTls::kYes;
  if (result.progress == HelloProgress::kNotTls) facts.tls = SpeaksTls::kNo;
  if (result.progress == HelloProgress::kDone) {
    facts.hello = &hello;
    connection_.sni = hello.sni;
  }
  // Before anything else: it would have been known when less had come.
  if (Decide(facts)) return;
  switch (result.progress) {
    case HelloProgress::kMalformed:
      return End(AcceptRefusal::kHelloMalformed);
    case HelloProgress::kTooLong:
      return End(AcceptRefusal::kHelloTooLong);
    default:
      return WaitFor(result.bytes, bytes.size());
  }
}

bool Peek::Decide(const ConnectionFacts& facts) {
  const PassDecision decision = DecidePass(connection_.listener->rules, facts);
  if (!decision.known) return false;
  connection_.rule = decision.rule;
  connection_.tls = facts.tls;
  End(AcceptRefusal::kNone);
  return true;
}

// An event comes with the end too, whatever is waited for.
void Peek::WaitFor(size_t bytes, size_t have) {
  if (HasEnded(connection_.stream->fd())) return End(AcceptRefusal::kClosedEarly);
  // With the next byte: as it is.
  if (bytes > have + 1 && !SetLowWater(bytes)) End(AcceptRefusal::kClosedEarly);
}

bool Peek::SetLowWater(size_t bytes) {
  if (bytes == low_water_) return true;
  low_water_ = bytes;
  const int low = static_cast<int>(bytes);
  return setsockopt(connection_.stream->fd(), SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)) == 0;
}

void Peek::OnTimeout() {
  if (listed_ || begun_) return End(AcceptRefusal::kPeekTimeout);
  connection_.screened = std::exchange(looks_, false);
  ConnectionFacts facts{connection_.stream->peer().address(), SpeaksTls::kNo, nullptr};
  Decide(facts);
}

void Peek::End(AcceptRefusal refusal) {
  timer_.Cancel();
  connection_.stream->SetHandler(nullptr);
  if (refusal == AcceptRefusal::kNone) {
    if (!SetLowWater(1)) refusal = AcceptRefusal::kClosedEarly;
    connection_.stream->Again();  // the edge that brought the bytes was ours
  }
  owner_.OnPeeked(*this, refusal);
}

}  // namespace bridgehead::proxy
