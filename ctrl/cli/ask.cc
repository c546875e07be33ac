#include "ctrl/cli/ask.h"

#include <utility>

#include "ctrl/view/report.h"

namespace bridgehead::cli {

std::string Text(const absl::Status& status) {
  std::string text(status.message());
  if (absl::IsPermissionDenied(status)) {
    text += "; run as root or as a member of the directory's group";
  } else if (absl::IsNotFound(status)) {
    text += "; is it running, and with this --run-dir?";
  } else if (text.ends_with("Connection refused")) {
    text += "; it is not running";
  } else if (absl::IsDeadlineExceeded(status)) {
    text += "; it is stopped, hangs, or opens its ports";
  }
  return text;
}

absl::StatusOr<api::Response> Ask(const Options& options, const char* socket_name,
                                  api::Request request, int timeout_ms) {
  absl::StatusOr<ApiClient> client = ApiClient::Connect(options.run_dir + "/" + socket_name,
                                                        "bridgehead command", kQueryTimeoutMs);
  if (!client.ok()) return client.status();
  return client->Call(std::move(request), timeout_ms);
}

int Unreachable(const Options& options, const Streams& streams, const std::string& message) {
  if (options.json) streams.out(view::ErrorJson(message));
  streams.error(message + "\n");
  return kUnreachable;
}

}  // namespace bridgehead::cli
