// GET over HTTP (RFC 9112): good when the answer's status is one of those that are. Redirects are
// an answer like any other, and are not followed.
//
// A bridge is asked in HTTP/1.0, so that the answer ends with its Content-Length or with the
// connection: nothing else has to be understood. Of a server of the TCP edge only the status
// counts: it is asked in HTTP/1.1, as its traffic is, and what follows the head is not waited for.
// (libevent's evhttp takes more, but does not say why a connection failed, and gives a server its
// timeout anew with each byte.)
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

struct HttpQuestion {
  struct Statuses {
    int first = 0, last = 0;
  };
  std::string target;          // path and query
  std::string host;            // the header
  std::vector<Statuses> good;  // any of them
  bool head_only = false;      // HTTP/1.1, and no body
};

// Takes an answer in as it comes. However small its pieces are, each byte is looked at once or
// twice, so that a bridge gone mad can not keep the caller's loop busy.
class HttpAnswerParser {
 public:
  static constexpr size_t kMaxHeadBytes = 16 * 1024;
  static constexpr size_t kMaxBytes = 256 * 1024;

  // `head_only`: it is whole with its head, and heads of 1xx are passed over. Its framing does not
  // count then.
  explicit HttpAnswerParser(bool head_only = false) : head_only_(head_only) {}

  // Not after anything but kMore.
  HttpAnswer Append(std::string_view more);
  // The connection has ended: there is no more.
  HttpAnswer End() const;
  // For the next answer; gives its memory back.
  void Clear();

  size_t size() const { return text_.size(); }
  int status() const { return head_ ? head_->status : 0; }

 private:
  const bool head_only_;
  std::string text_;
  size_t head_at_ = 0;            // behind heads of 1xx
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
  HttpCheck(event_base* base, Way way, HttpQuestion question, std::chrono::milliseconds timeout,
            Done done);

 private:
  std::string Question() override;
  void OnData(const char* data, size_t size) override;
  void OnEnd() override;
  void OnFinished() override { answer_.Clear(); }
  std::string WhenLate() const override;
  void Judge(const HttpAnswer& whole);

  const HttpQuestion question_;
  HttpAnswerParser answer_;
};

}  // namespace bridgehead::health
