// Answers of the edge itself.
#include "ctrl/proxy/http/exchange.h"
#include "ctrl/proxy/http/head_editor.h"
#include "ctrl/proxy/route/path.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Only what the head's own grammar would refuse fails, and none of these is such.
void SetField(ResponseHead& head, std::string_view name, std::string_view value) {
  static_cast<void>(head.Set(name, value));
}

}  // namespace

void Exchange::Refuse(uint16_t status, std::string_view why) {
  BeginRecord(service_.log());
  Answer(status, why);
}

void Exchange::Answer(uint16_t status, std::string_view why) {
  if (record_) record_->error = why;
  response_.Clear();
  AnswerPage(status);
}

void Exchange::Challenge(std::string_view why) {
  if (record_) record_->error = why;
  response_.Clear();
  SetField(response_, "WWW-Authenticate", BasicChallenge(route_->config->basic_auth->realm));
  AnswerPage(401);
}

// `response_` may have fields already.
void Exchange::AnswerPage(uint16_t status) {
  if (host_ != nullptr) {
    if (const auto page = host_->error_pages.find(status); page != host_->error_pages.end()) {
      return Send(status, "text/html; charset=utf-8", page->second);
    }
  }
  Send(status, "text/plain; charset=utf-8", fmt::format("{} {}\n", status, ReasonOf(status)));
}

void Exchange::Send(uint16_t status, std::string_view type, std::string_view body) {
  response_.status = status;
  // RFC 9110 section 8.6: neither may have a length.
  const bool bodiless = status == 204 || status == 304;
  if (!bodiless) SetField(response_, "Content-Type", type);
  SendAnswerHead(bodiless ? Framing::kNone : Framing::kLength, body.size());
  if (!bodiless && head_.method() != Method::kHead) {
    down_.SendBody(Bytes(body));
    CountDown(body.size());
  }
  Over();
  down_.Finish();
}

void Exchange::SendAnswerHead(Framing framing, uint64_t length) {
  response_.version = HttpVersion::k11;
  response_.framing = head_.method() == Method::kHead ? Framing::kNone : framing;
  if (framing == Framing::kLength) response_.content_length = length;
  if (response_.status == 426) SetField(response_, "Sec-WebSocket-Version", "13");
  if (response_.status == 405) SetField(response_, "Allow", "GET, HEAD");
  SetField(response_, "Date", HttpDate(time(nullptr)));
  if (host_ != nullptr) {
    HeadEditor editor(response_);
    const RequestFacts facts = Facts();
    host_->response_headers.Apply(editor, facts, {});
    if (route_ != nullptr) route_->response_headers.Apply(editor, facts, {});
  }
  status_ = response_.status;
  if (record_) record_->status = response_.status;
  down_.SendHead(response_);
}

void Exchange::Redirect(const config::RedirectAction& action) {
  if (head_.has_query() && !IsQuery(head_.query())) return Answer(400, "query holds what none may");
  const std::string to = route_->redirect->Make(head_.host(), path_, head_.query());
  response_.Clear();
  if (!response_.Set("Location", to)) return Answer(400, "no Location can be made of the target");
  Send(action.status, "text/plain; charset=utf-8",
       fmt::format("{} {}\n", action.status, ReasonOf(action.status)));
}

void Exchange::Respond(const config::RespondAction& action) {
  response_.Clear();
  if (action.body.empty()) return AnswerPage(action.status);
  Send(action.status, "text/plain; charset=utf-8", action.body);
}

void Exchange::SendFile(const config::FilesAction& action) {
  if (head_.method() != Method::kGet && head_.method() != Method::kHead) {
    return Answer(405, "method is not for files");
  }
  response_.Clear();
  if (route_->config->match == config::PathMatch::kPrefix) {
    file_.Open(action.root, match_.rest, action.index, path_, head_, response_);
  } else {
    file_.Open(action.root, "", action.index, "/", head_, response_);  // the one file is the index
  }
  if (response_.status >= 400 && response_.status != 416) {
    return Answer(response_.status, "no file");
  }
  if (!action.cors_origin.empty()) {
    SetField(response_, "Access-Control-Allow-Origin", action.cors_origin);
  }
  if (response_.status == 301 || response_.status == 416) return AnswerPage(response_.status);
  SendAnswerHead(response_.framing, response_.content_length.value_or(0));
  head_done_ = true;
  state_ = State::kSendingFile;
  PumpFile();
}

void Exchange::PumpFile() {
  for (int reads = 0; file_.HasContent(); ++reads) {
    if (!down_.WantsBody()) return AwaitTaking();
    if (reads == kReadsPerTurn) return down_.Again();
    const std::span<const uint8_t> piece = file_.Read(service_.loop().scratch());
    if (piece.empty()) {
      Over();
      return down_.Abort();
    }
    down_.SendBody(piece);
    CountDown(piece.size());
  }
  Over();
  down_.Finish();
}

}  // namespace bridgehead::proxy
