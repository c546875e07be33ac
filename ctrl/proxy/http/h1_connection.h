// A client's connection of HTTP/1: one request after another, each an exchange.
//
// What a client sends ahead (pipelining) waits in the kernel: nothing is read of a next request
// before the response to the one before has left. An idle connection holds neither a head nor a
// buffer.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "ctrl/proxy/http/body.h"
#include "ctrl/proxy/http/downstream.h"
#include "ctrl/proxy/http/exchange.h"
#include "ctrl/proxy/http/request_parser.h"
#include "ctrl/proxy/http/service.h"
#include "ctrl/proxy/net/loop.h"
#include "ctrl/proxy/session.h"

namespace bridgehead::proxy {

class H1Connection final : public Session, private Stream::Handler, private Downstream {
 public:
  // A client that has been answered and told that the connection ends may still be sending; it is
  // listened to for so long and so much, or its kernel would throw the answer away.
  static constexpr std::chrono::milliseconds kLinger{2000};
  static constexpr size_t kLingerBytes = 256 * 1024;

  // Of one client before others have their turn; what an exchange had is freed behind it.
  static constexpr int kRequestsPerTurn = 16;

  // Who has not asked again by then is idle: its memory for heads is given back.
  static constexpr std::chrono::milliseconds kBusy{1000};

  H1Connection(HttpService& service, std::unique_ptr<Stream> stream, ClientInfo client);
  ~H1Connection() override;

  // What the client has sent already is looked at.
  void Start();

  SessionInfo Describe() const override;
  void BeginDrain() override;
  void Leave() override { draining_ = true; }
  void Close() override;

 private:
  enum class State : uint8_t {
    kHead,      // waits for a request, or is amid its head
    kExchange,  // has one
    kSending,   // has an answer that is whole, and has not left
    kLinger,    // has answered the last one
    kEnded,
  };

  // Stream::Handler
  void OnReady(Stream& stream) override;
  // Downstream
  IoResult ReadBody(std::span<uint8_t> into) override;
  bool WantsBody() const override { return !blocked_ && !failed_; }
  uint64_t sent() const override { return sent_; }
  void SendHead(const ResponseHead& head) override;
  void SendBody(std::span<const uint8_t> bytes) override;
  void Finish() override;
  void Abort() override;
  void Again() override { stream_->Again(); }
  void BecomeTunnel(TunnelPlan plan) override;

  void Proceed();
  // One step of the state; false: nothing more can be done now.
  bool Step();
  bool ReadHead();
  bool ClientIsThere();
  void Refuse(Refusal refusal);
  void StartExchange();
  void EndExchange();
  void AnswerHasLeft();
  bool Discard();
  void OnTime();
  // Sends what is to be sent. False: the stream has failed.
  bool Flush();
  void Write(std::span<const iovec> parts);
  void Fail();
  void End();

  HttpService& service_;
  std::unique_ptr<Stream> stream_;
  const ClientInfo client_;
  State state_ = State::kHead;
  RequestParser parser_;
  RequestHead head_;
  BodyDecoder decoder_;
  std::string in_;   // read, and not yet taken
  std::string out_;  // to be sent
  std::unique_ptr<Exchange> exchange_;
  Timer timer_;
  const Loop::Clock::time_point began_;
  uint64_t requests_ = 0;
  uint64_t sent_ = 0;
  int requests_of_turn_ = 0;
  size_t lingered_ = 0;
  bool shut_ = false;  // our direction, while lingering
  HttpVersion version_ = HttpVersion::k11;
  Framing framing_ = Framing::kNone;  // of the response that is being sent
  bool proceeding_ = false;
  bool exchange_over_ = false;
  bool blocked_ = false;  // the client does not take what is in out_
  bool failed_ = false;   // the stream is dead: nothing is kept for it
  bool close_ = false;    // behind this response
  bool draining_ = false;
  bool idle_ = false;
  bool continued_ = false;  // the client was told to send its body, or needs not be
};

}  // namespace bridgehead::proxy
