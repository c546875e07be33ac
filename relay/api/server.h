// The relay's side of the Unix socket: a few clients, one request at a time each, served by the
// control thread between its other work.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "relay/api/framing.h"

namespace bridgehead {

class ApiServer {
 public:
  using Handler = std::function<void(const api::Request& request, api::Response& response)>;

  static constexpr size_t kMaxClients = 32;

  // Listens on `path`, replacing a socket that a dead process left. The socket gets the group of
  // its directory and mode 0660. Error: the path can not be bound.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Listen(const std::string& path,
                                                           const std::string& version,
                                                           Handler handler);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  // Serves what is ready, waiting at most `timeout_ms` for it. `wake_fd` (may be -1) ends the wait
  // when readable.
  void Poll(int timeout_ms, int wake_fd);
  // Sends what is still to be sent, for at most `timeout_ms`.
  void Flush(int timeout_ms);

 private:
  struct Client {
    int fd = -1;
    bool greeted = false;
    bool closing = false;  // after the answer is out
    Deframer in;
    std::string out;
    std::string name;
  };

  ApiServer(int fd, std::string path, std::string version, Handler handler);
  void Accept();
  // False: the client is to be dropped.
  bool Read(Client& client);
  bool Write(Client& client);
  // Requests that have arrived whole, one after the other while the client takes the answers.
  bool ServeWaiting(Client& client);
  bool Serve(Client& client, const std::string& payload);
  void Greet(Client& client, const api::Hello& hello, api::Response& response);

  int fd_;
  std::string path_;
  std::string version_;
  Handler handler_;
  std::list<Client> clients_;
};

}  // namespace bridgehead
