#include "ctrl/proxy/http/head_reader.h"

#include <span>

#include <llhttp.h>

#include "ctrl/proxy/http/grammar.h"

namespace bridgehead::proxy {
namespace {

// These a client may not have removed: they say where the body ends and what is asked.
constexpr uint64_t kNeverNamed =
    BitOf(HeaderId::kHost) | BitOf(HeaderId::kContentLength) | BitOf(HeaderId::kTransferEncoding);

struct Tokens {
  std::string_view name;
  void (*enter)(Head& head, std::string_view name, std::string_view value) = nullptr;
  Head* head = nullptr;
};

Tokens& TokensOf(llhttp_t* parser) {
  return *static_cast<Tokens*>(parser->data);
}

int OnName(llhttp_t* parser, const char* at, size_t size) {
  TokensOf(parser).name = {at, size};
  return HPE_OK;
}

int OnValue(llhttp_t* parser, const char* at, size_t size) {
  Tokens& tokens = TokensOf(parser);
  tokens.enter(*tokens.head, tokens.name, TrimWhitespace({at, size}));
  return HPE_OK;
}

int OnEnd(llhttp_t*) {
  return HPE_PAUSED;
}

const llhttp_settings_t kSettings = [] {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_header_field = OnName;
  settings.on_header_value = OnValue;
  settings.on_headers_complete = OnEnd;
  return settings;
}();

Refusal RefusalOf(int error) {
  switch (error) {
    case HPE_UNEXPECTED_CONTENT_LENGTH:
      return Refusal::kLengthConflict;
    case HPE_INVALID_CONTENT_LENGTH:
      return Refusal::kBadLength;
    case HPE_INVALID_TRANSFER_ENCODING:
      return Refusal::kBadTransferCoding;
    // The request line has been found to be in order but for the method's name: unknown, one of
    // RTSP, or that of HTTP/2's preface.
    case HPE_INVALID_METHOD:
    case HPE_INVALID_CONSTANT:
    case HPE_INVALID_VERSION:
      return Refusal::kMethod;
    default:
      return Refusal::kTokeniser;
  }
}

}  // namespace

HeadScanner::Result HeadReader::Scan(std::string_view bytes, Head& head) {
  const HeadScanner::Result result = scanner_.Scan(bytes);
  head.text_.append(bytes.substr(0, result.taken));
  return result;
}

std::string_view HeadReader::FirstLine(const Head& head) {
  constexpr std::string_view kLineEnd = "\r\n";
  std::string_view line = head.text_;
  if (line.starts_with(kLineEnd)) line.remove_prefix(kLineEnd.size());
  return line.substr(0, line.find(kLineEnd));
}

Refusal HeadReader::Tokenise(Head& head, bool is_request) {
  Tokens tokens;
  tokens.head = &head;
  tokens.enter = [](Head& into, std::string_view name, std::string_view value) {
    into.Enter(name, value);
  };
  llhttp_t parser;
  llhttp_init(&parser, is_request ? HTTP_REQUEST : HTTP_RESPONSE, &kSettings);
  parser.data = &tokens;
  const int error = llhttp_execute(&parser, head.text_.data(), head.text_.size());
  if (error != HPE_PAUSED) return RefusalOf(error);
  if ((parser.flags & F_CONTENT_LENGTH) != 0) head.content_length = parser.content_length;
  return Refusal::kNone;
}

// Content-Length twice, with Transfer-Encoding, as a list or with a sign: llhttp has refused it.
Refusal HeadReader::ReadFraming(Head& head) {
  const auto coding = head.Find(HeaderId::kTransferEncoding);
  if (!coding) {
    if (head.content_length) head.framing = Framing::kLength;
    return Refusal::kNone;
  }
  // RFC 9112 section 6.1.
  if (head.version != HttpVersion::k11) return Refusal::kUnframed;
  // llhttp does not count it as one when it is empty, and takes Content-Length with it.
  if (coding->empty() || head.Count(HeaderId::kTransferEncoding) > 1) {
    return Refusal::kBadTransferCoding;
  }
  if (!SameText(*coding, "chunked")) return Refusal::kTransferCoding;
  head.framing = Framing::kChunked;
  return Refusal::kNone;
}

Refusal HeadReader::ReadConnection(const Head& head, ConnectionOptions& options) {
  if (!head.Has(HeaderId::kConnection)) return Refusal::kNone;
  for (const Field field : head.fields()) {
    if (field.id != HeaderId::kConnection) continue;
    std::string_view list = field.value, option;
    while (TakeElement(list, option)) {
      if (option.empty()) continue;
      if (!IsToken(option)) return Refusal::kBadConnection;
      if (SameText(option, "close")) {
        options.close = true;
      } else if (SameText(option, "upgrade")) {
        options.upgrade = true;
      } else if (!SameText(option, "keep-alive")) {
        if ((BitOf(HeaderIdOf(option)) & kNeverNamed) != 0) return Refusal::kBadConnection;
        if (options.named_count == ConnectionOptions::kMaxNamed) return Refusal::kBadConnection;
        options.named[options.named_count++] = option;
      }
    }
  }
  return Refusal::kNone;
}

bool HeadReader::AsksForWebSocket(const Head& head, const ConnectionOptions& options) {
  const auto upgrade = head.Find(HeaderId::kUpgrade);
  return upgrade && options.upgrade && head.version == HttpVersion::k11 &&
         SameText(*upgrade, "websocket") && head.Count(HeaderId::kUpgrade) == 1;
}

void HeadReader::RemoveNotPassedOn(Head& head, const ConnectionOptions& options) {
  const std::span named(options.named.data(), options.named_count);
  if (named.empty() && (head.present_ & kNotPassedOn) == 0) return;
  head.RemoveIf([&](const Head::Entry& entry) {
    if ((BitOf(entry.id) & kNotPassedOn) != 0) return true;
    return std::any_of(named.begin(), named.end(), [&](std::string_view name) {
      return SameText(name, head.Text(entry.name));
    });
  });
}

}  // namespace bridgehead::proxy
