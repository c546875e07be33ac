// A stream of HTTP/2: one request with its exchange, and after an extended CONNECT (RFC 8441) one
// side of a tunnel.
//
// nghttp2's callbacks only note what has come; the connection calls Serve() when nghttp2 has
// returned, so that an exchange may ask for anything. What the exchange sends waits here until
// nghttp2 asks for it: as much as a window, and the connection, have room for.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <nghttp2/nghttp2.h>

#include "ctrl/proxy/http/downstream.h"
#include "ctrl/proxy/http/exchange.h"
#include "ctrl/proxy/http/h2_request.h"
#include "ctrl/proxy/net/loop.h"

namespace bridgehead::proxy {

class H2Connection;
class H2TunnelStream;

class H2Stream final : private Downstream {
 public:
  // More is not taken from an exchange or a tunnel while so much waits, in bytes.
  static constexpr size_t kOutBytes = 64 * 1024;

  // A client that has its answer, but has not sent all of its request, is stopped after so long
  // (RFC 9113 section 8.1). At once, some (curl 7.88) would take the answer for a failure.
  static constexpr std::chrono::milliseconds kUnread{1000};

  H2Stream(H2Connection& connection, int32_t id);
  ~H2Stream();
  H2Stream(const H2Stream&) = delete;
  H2Stream& operator=(const H2Stream&) = delete;

  // From nghttp2's callbacks; nobody else is called.
  void AddField(std::string_view name, std::string_view value);
  void HeadDone(bool ended);
  void TakeBody(std::span<const uint8_t> bytes);
  void RequestEnded();
  void Closed(uint32_t error);
  // As nghttp2_data_source_read_callback.
  ssize_t Offer(size_t most, uint32_t& flags);
  // Moves `count` bytes of what was offered behind `out`.
  void MoveTo(std::string& out, size_t count);
  void HeadSent();
  void ResponseSent();

  // What has come is looked at: exchange or tunnel are called.
  void Serve();
  // There is nobody to answer any more.
  void GiveUp();

  int32_t id() const { return id_; }
  bool closed() const { return closed_; }
  bool head_done() const { return head_done_; }
  bool request_ended() const { return request_ended_; }
  bool aborted() const { return aborted_; }
  size_t field_bytes() const { return reader_.bytes(); }
  size_t unread() const { return in_.size() - in_at_; }
  void Describe(SessionInfo& info) const;

  bool queued = false;  // the connection will call Serve

  // Of the tunnel.
  IoResult ReadBody(std::span<uint8_t> into) override;
  IoResult WriteTunnel(std::span<const iovec> parts);
  void EndTunnel();
  void TunnelGone(bool reset);

 private:
  // Downstream
  bool WantsBody() const override { return !full_; }
  uint64_t sent() const override { return sent_; }
  void SendHead(const ResponseHead& head) override;
  void SendBody(std::span<const uint8_t> bytes) override;
  void Again() override;
  void Finish() override;
  void Abort() override;
  void BecomeTunnel(TunnelPlan plan) override;

  void Start();
  void SubmitHead(const ResponseHead& head, uint16_t status, bool has_body);
  void Queue(std::string_view bytes);
  void Resume();
  void Reset(uint32_t error);
  void BuryExchange();
  void SetTimer();
  void Progress();
  void OnTime();

  H2Connection& connection_;
  const int32_t id_;
  H2RequestReader reader_;
  RequestHead head_;
  std::unique_ptr<Exchange> exchange_;
  H2TunnelStream* tunnel_ = nullptr;
  std::string in_;   // of the body, from in_at_ on: bounded by the stream's window
  std::string out_;  // to be sent, from out_at_ on
  size_t in_at_ = 0, out_at_ = 0;
  uint64_t sent_ = 0;
  Timer timer_;  // for the head; then, while the client does not take what is there for it
  bool head_done_ = false, has_body_ = false, request_ended_ = false, closed_ = false;
  bool head_sent_ = false;      // nothing of the response's head waits
  bool bodiless_ = false;       // the response's head ends the stream
  bool finished_ = false;       // nothing more will be sent
  bool response_sent_ = false;  // to its end
  bool full_ = false;
  bool continued_ = false;   // the client was told to send its body, or needs not be
  bool aborted_ = false;     // by us, for no fault of the client
  bool bad_accept_ = false;  // the upstream's 101 is no answer to the key it got
  uint32_t error_ = NGHTTP2_NO_ERROR;
};

}  // namespace bridgehead::proxy
