// A client's connection of HTTP/2 (RFC 9113): nghttp2 knows the frames, windows and compression;
// what is asked is the streams', each an exchange.
//
// In one turn of the loop: what has come is read, a buffer at a time, and the streams that it
// concerns are served; then what there is to be sent is brought together and written. Frames are
// written for as long as the client takes them; what waits stays with the streams, and their
// exchanges read no more. Priorities are those of RFC 9218, as nghttp2 has them; those of RFC 7540
// are turned off. An idle connection holds no buffers but nghttp2's own (about 20 KiB).
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <nghttp2/nghttp2.h>

#include "absl/container/flat_hash_map.h"
#include "ctrl/proxy/http/h2_limits.h"
#include "ctrl/proxy/http/h2_stream.h"
#include "ctrl/proxy/http/service.h"
#include "ctrl/proxy/session.h"

namespace bridgehead::proxy {

class H2Connection final : public Session, private Stream::Handler {
 public:
  // Written in one go, in bytes; about as much is held for a client that is slow.
  static constexpr size_t kWriteBytes = 64 * 1024;
  // Between the notice that no more requests should come and the end of those that do: a client
  // that is this far away has then heard of it.
  static constexpr std::chrono::milliseconds kNotice{1000};
  // For a GOAWAY to arrive, the client is listened to for so long and so much; see H1Connection.
  static constexpr std::chrono::milliseconds kLinger{2000};
  static constexpr size_t kLingerBytes = 256 * 1024;
  static constexpr int kReadsPerTurn = 4;

  H2Connection(HttpService& service, std::unique_ptr<Stream> stream, ClientInfo client);
  ~H2Connection() override;

  // What the client has sent already is looked at.
  void Start();

  SessionInfo Describe() const override;
  // Tells the client to ask no more; ends when all streams have.
  void BeginDrain() override;
  void Leave() override { BeginDrain(); }
  void Close() override;

  // Of the streams.
  HttpService& service() { return service_; }
  const ClientInfo& client() const { return client_; }
  nghttp2_session* session() { return session_.get(); }
  // What nghttp2 was given to send is sent within this turn of the loop, or the next one.
  void WriteSoon();
  // Serve() of it is called within this turn or the next one.
  void ServeSoon(H2Stream& stream);
  // With GOAWAY; streams that are open are given up.
  void Terminate(uint32_t error);

 private:
  enum class State : uint8_t {
    kOpen,
    kLinger,  // all has been said
    kEnded,
  };
  struct SessionDeleter {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  friend struct H2Callbacks;

  // Stream::Handler
  void OnReady(Stream& stream) override;
  void Proceed();
  // False: nothing more can be read now.
  bool Receive();
  bool IsFull() const;
  void ServeQueued();
  // Both: false: the stream has failed.
  bool Flush();
  bool Write();
  void Settle();
  void GiveUpStreams();
  void Linger();
  void Discard();
  void OnTime();
  void OnNoticed();
  void End();

  // From nghttp2's callbacks: too many end the connection.
  void CountReset();
  void CountEmpty();

  HttpService& service_;
  std::unique_ptr<Stream> stream_;
  const ClientInfo client_;
  std::unique_ptr<nghttp2_session, SessionDeleter> session_;
  State state_ = State::kOpen;
  absl::flat_hash_map<int32_t, std::unique_ptr<H2Stream>> streams_;
  std::vector<H2Stream*> queued_;
  std::string out_;  // to be written, from out_at_ on
  size_t out_at_ = 0;
  H2Allowance resets_, empty_frames_;
  Timer timer_;   // while no stream is open; for lingering
  Timer notice_;  // of draining
  const Loop::Clock::time_point began_;
  size_t lingered_ = 0;
  bool shut_ = false;  // our direction, while lingering
  bool proceeding_ = false;
  bool soon_ = false;  // OnReady will be called
  bool client_gone_ = false;
  bool paused_ = false;  // reading: until frames have left
  bool terminated_ = false;
  bool draining_ = false;
};

}  // namespace bridgehead::proxy
