// One request and its response, whatever version of HTTP they are spoken in: from the head to the
// last byte.
//
//   Start > host > path > route > policy > action: answer of our own, or
//           dial (a kept connection, or a new one) > request up, response down > Finish
//
// Both directions run at once, and neither reads what the other side does not take. What fails
// before the response's head is answered with a status; later, the client's connection is broken
// off. Only what HTTP calls idempotent is sent again, once, when a kept connection turns out to
// have been closed meanwhile (RFC 9110 section 9.2.2).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ctrl/proxy/http/body.h"
#include "ctrl/proxy/http/client_info.h"
#include "ctrl/proxy/http/downstream.h"
#include "ctrl/proxy/http/message.h"
#include "ctrl/proxy/http/response_parser.h"
#include "ctrl/proxy/http/service.h"
#include "ctrl/proxy/http/static_file.h"
#include "ctrl/proxy/route/host_table.h"
#include "ctrl/proxy/upstream/dial.h"
#include "ctrl/proxy/upstream/pool.h"

namespace bridgehead::proxy {

class Exchange final : private Stream::Handler {
 public:
  // `head` is changed on its way to the upstream. All must outlive the exchange.
  Exchange(HttpService& service, const ClientInfo& client, RequestHead& head, Downstream& down);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void Start();
  // Instead of Start: what came is no request.
  void Refuse(uint16_t status, std::string_view why);
  // Servers of bridges answer at once, or not at all.
  static constexpr std::chrono::milliseconds kServerIdResponseTimeout{60'000};
  static constexpr int kReadsPerTurn = 16;
  // More of a body is not read while so much waits for the upstream, in bytes.
  static constexpr size_t kUpBuffer = 16 * 1024;
  static constexpr size_t kKeptBuffer = 32 * 1024;

  // The client may have sent more of the body, or taken more of the response.
  void OnClientReady();
  // There is nobody to answer any more: everything is given up. The last call.
  void ClientGone();

  void Describe(SessionInfo& info) const;

 private:
  enum class State : uint8_t {
    kRouting,
    kWaiting,  // for a verdict on who the client is
    kDialing,
    kProxying,
    kSendingFile,
    kOver,
  };
  void BeginRecord(std::shared_ptr<LogFile> log);
  // exchange_route.cc: from the head to an action. False: it is answered, or waits for a verdict.
  bool FindHost();
  bool FindRoute();
  bool Admit();
  bool CheckUpgrade();
  bool CheckUser();
  bool CheckToken();
  DeferredCheck::Done Verdict(void (Exchange::*on_verdict)(bool));
  bool Await(DeferredCheck::Answer answer, uint16_t refused, std::string_view why);
  void OnUser(bool yes);
  void OnToken(bool yes);
  void Act();
  void Proxy(const std::string& upstream, std::chrono::milliseconds response_timeout,
             std::chrono::milliseconds tunnel_timeout);
  bool PrepareRequest();
  RequestFacts Facts();

  // exchange_answer.cc: answers of the edge itself.
  void Answer(uint16_t status, std::string_view why);
  void Challenge(std::string_view why);
  void AnswerPage(uint16_t status);
  void Send(uint16_t status, std::string_view type, std::string_view body);
  void SendAnswerHead(Framing framing, uint64_t length);
  void Redirect(const config::RedirectAction& action);
  void Respond(const config::RespondAction& action);
  void SendFile(const config::FilesAction& action);
  void PumpFile();

  // exchange.cc: to the upstream and back. False: the exchange is over.
  void Dial();
  void OnDialed(proxy::Dial::Result result);
  void Use(std::unique_ptr<Stream> stream);
  void OnReady(Stream& stream) override;
  void Pump();
  bool PumpUp();
  bool FlushUp();
  void QueueHead();
  void QueueBody(std::span<const uint8_t> bytes);
  bool PumpDown();
  bool TakeHead(std::string_view& bytes);
  bool TakeBody(std::string_view bytes);
  void BecomeTunnel(std::string_view early);
  bool UpstreamEnded(Io io);
  void PrepareResponse();
  bool Retry();
  // Of the upstream: answered with `status` if there is no head yet, else broken off.
  void Fail(uint16_t status, std::string why);
  void SetTimer();
  void AwaitTaking();
  void OnTime();
  void LeaveUpstream(bool reusable);
  void Over();
  void CountRequest();
  void CountDown(size_t bytes);

  HttpService& service_;
  const ClientInfo& client_;
  RequestHead& head_;
  Downstream& down_;
  State state_ = State::kRouting;

  std::shared_ptr<LoopSite> site_;
  const SiteHost* host_ = nullptr;
  const SiteRoute* route_ = nullptr;
  RouteMatch match_;
  std::string path_;  // canonical, if it is another one than the head's
  std::string client_address_, client_port_, client_endpoint_, request_host_, host_name_;
  Method method_ = Method::kOther;
  bool idempotent_ = false;

  std::shared_ptr<Group> group_;
  Group::Lease lease_;
  std::unique_ptr<proxy::Dial> dial_;
  std::unique_ptr<Stream> upstream_;
  bool reused_ = false;  // upstream_ was a kept one
  bool tried_again_ = false;
  std::string up_;                     // to be sent to the upstream
  bool up_waits_ = false;              // for the client's body
  bool moved_ = false;                 // something did, in this call of Pump
  bool times_taking_ = false;          // timer_ is that of a client that does not take the response
  bool up_done_ = false;               // the request has been read and queued to its end
  uint64_t taken_ = 0;                 // of down_.sent() when that timer was set
  uint64_t body_bytes_ = 0;            // of the request
  RouteCounters* counters_ = nullptr;  // of route_
  uint16_t status_ = 0;                // of the response that was begun; 0: none
  std::chrono::milliseconds response_timeout_{0}, tunnel_timeout_{0};

  ResponseParser parser_;
  ResponseHead response_;
  BodyDecoder decoder_;
  bool head_done_ = false;       // the response's, and it was sent on
  bool response_begun_ = false;  // some byte of it has come
  StaticFile file_;

  Timer timer_;
  const Loop::Clock::time_point began_;
  std::unique_ptr<AccessRecord> record_;
  const std::shared_ptr<Exchange*> self_;  // for verdicts that come late
};

}  // namespace bridgehead::proxy
