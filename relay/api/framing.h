// Length-prefixed protobuf messages over a Unix stream socket: the transport of relay.proto.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"
#include "relay/api/relay.pb.h"

namespace bridgehead {

inline constexpr uint32_t kProtocolVersion = 2;
inline constexpr size_t kMaxMessageBytes = 64 * 1024 * 1024;
inline constexpr char kRelaySocketName[] = "relay.sock";  // in RUN_DIR
inline constexpr char kCtrlSocketName[] = "ctrl.sock";    // in RUN_DIR
inline constexpr char kCountersFileName[] = "counters";   // in RUN_DIR
inline constexpr char kDefaultRunDir[] = "/run/bridgehead";

// The bytes to send for one message. Error: larger than kMaxMessageBytes.
absl::StatusOr<std::string> Frame(const google::protobuf::MessageLite& message);

// Collects bytes as they arrive and cuts them into messages.
class Deframer {
 public:
  void Append(const char* data, size_t size) { buffer_.append(data, size); }
  // True and fills `payload` when a whole message is there. Error: a length over the limit; the
  // connection can not be used any more.
  absl::StatusOr<bool> Next(std::string& payload);

 private:
  std::string buffer_;
};

// A blocking client: one request, one response. Used by the command line and by ctrl's publisher
// thread. Says Hello on connecting.
class ApiClient {
 public:
  // `client` is the name for the server's log; the server has `timeout_ms` to take the connection
  // and as long again to say Hello. Errors: NotFound / Unavailable (nobody listens),
  // PermissionDenied, FailedPrecondition (other protocol version).
  static absl::StatusOr<ApiClient> Connect(const std::string& socket_path,
                                           const std::string& client, int timeout_ms = 5000);
  ApiClient(ApiClient&& other) noexcept;
  ApiClient& operator=(ApiClient&& other) noexcept;
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;
  ~ApiClient();

  // Errors: DeadlineExceeded, connection lost, or the response's own error text.
  absl::StatusOr<api::Response> Call(api::Request request, int timeout_ms = 30'000);
  int fd() const { return fd_; }
  const std::string& server_version() const { return server_version_; }

 private:
  explicit ApiClient(int fd) : fd_(fd) {}
  int fd_ = -1;
  uint64_t next_id_ = 1;
  Deframer deframer_;
  std::string server_version_;
};

}  // namespace bridgehead
