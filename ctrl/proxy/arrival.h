// A connection from the moment its listener has decided about it until it is a tunnel or speaks
// HTTP: decrypted where the listener does that, and brought to a server where it is forwarded.
#pragma once

#include <memory>
#include <string>

#include "ctrl/proxy/accept/accepted.h"
#include "ctrl/proxy/http/service.h"
#include "ctrl/proxy/snapshot.h"
#include "ctrl/proxy/tls/tls_stream.h"
#include "ctrl/proxy/upstream/dial.h"

namespace bridgehead::proxy {

class Arrival final : public Session, private Stream::Handler {
 public:
  class Owner : public HttpService {
   public:
    // The session's connection goes on as HTTP, over TLS with the protocol that was agreed on.
    virtual void StartHttp(Session& session, ClientInfo client, std::unique_ptr<Stream> stream,
                           std::string_view protocol) = 0;

   protected:
    ~Owner() = default;
  };

  // `tls`: the listener's; null: it does not decrypt. `log`: for what is forwarded, or fails; what
  // goes on as HTTP has a line for each request. Null: none.
  Arrival(Owner& owner, AcceptedConnection connection, std::shared_ptr<const ServerContext> tls,
          std::shared_ptr<LogFile> log);
  ~Arrival() override;
  void Start();

  SessionInfo Describe() const override;
  void BeginDrain() override { Close(); }
  void Close() override;

 private:
  void OnReady(Stream& stream) override;
  void Handshake();
  void Decrypted();
  void Go();
  void Forward(const std::string& upstream);
  void OnDialed(Dial::Result result);
  void FailHandshake(std::string why);
  void Fail(std::string why);
  void BeginRecord();
  void End();
  Stream* stream() const;

  Owner& owner_;
  const std::shared_ptr<const ServerContext> tls_context_;
  const std::string pass_to_;  // the upstream of the rule that matched; empty: none did
  const bool screened_;        // as of AcceptedConnection
  std::unique_ptr<TcpStream> tcp_;
  std::unique_ptr<TlsStream> tls_;
  ClientInfo client_;
  std::unique_ptr<Dial> dial_;
  std::shared_ptr<LogFile> log_;
  std::unique_ptr<AccessRecord> record_;  // none: not yet, or not to be logged
  Timer timer_;
  const Loop::Clock::time_point began_;
  const std::chrono::system_clock::time_point began_at_;
  bool ended_ = false;
};

}  // namespace bridgehead::proxy
