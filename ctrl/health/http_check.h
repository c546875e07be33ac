// GET over HTTP (RFC 9112): good when the whole answer came with a status of 2xx. Redirects are an
// answer like any other, and not a good one.
//
// The request is one of HTTP/1.0, so that the answer ends with its Content-Length or with the
// connection: nothing else has to be understood. (libevent's evhttp takes more, but does not say
// why a connection failed, and gives a server its timeout anew with each byte.)
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ctrl/config/check_url.h"
#include "ctrl/health/check.h"

namespace bridgehead::health {

// As far as an answer has come.
struct HttpAnswer {
  enum class Progress { kMore, kWhole, kMalformed, kTooLong };
  Progress progress = Progress::kMore;
  int status = 0;         // once the head is there
  std::string_view body;  // of a whole answer: a part of the parser's text, until it changes
};

struct HttpHead {
  int status = 0;  // 0: malformed
  std::optional<size_t> body_bytes;
};

// Takes an answer in as it comes. However small its pieces are, each byte is looked at once or
// twice, so that a bridge gone mad can not keep the caller's loop busy.
class HttpAnswerParser {
 public:
  static constexpr size_t kMaxHeadBytes = 16 * 1024;
  static constexpr size_t kMaxBytes = 256 * 1024;

  // Not after anything but kMore.
  HttpAnswer Append(std::string_view more);
  // The connection has ended: there is no more.
  HttpAnswer End() const;
  // For the next answer; gives its memory back.
  void Clear();

  size_t size() const { return text_.size(); }
  int status() const { return head_ ? head_->status : 0; }

 private:
  std::string text_;
  std::optional<HttpHead> head_;  // once it is there
  size_t body_at_ = 0;
};

// What a bridge says about its own draining; nothing: not a word about it. `body`: a JSON object or
// Prometheus' text format, see `drain_state` in the configuration's reference.
std::optional<bool> ParseDrainState(std::string_view body);

class HttpCheck : public Check {
 public:
  HttpCheck(event_base* base, const config::CheckUrl& url, std::chrono::milliseconds timeout,
            Done done);

 private:
  std::string Question() override;
  void OnData(const char* data, size_t size) override;
  void OnEnd() override;
  void OnFinished() override { answer_.Clear(); }
  std::string WhenLate() const override;
  void Judge(const HttpAnswer& whole);

  const config::CheckUrl url_;
  HttpAnswerParser answer_;
};

}  // namespace bridgehead::health
