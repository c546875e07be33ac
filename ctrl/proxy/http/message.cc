#include "ctrl/proxy/http/message.h"

#include <span>
#include <utility>

#include "absl/strings/ascii.h"
#include "ctrl/proxy/http/grammar.h"

namespace bridgehead::proxy {
namespace {

constexpr std::pair<std::string_view, Method> kMethods[] = {
    {"GET", Method::kGet},         {"HEAD", Method::kHead},       {"POST", Method::kPost},
    {"PUT", Method::kPut},         {"PATCH", Method::kPatch},     {"DELETE", Method::kDelete},
    {"OPTIONS", Method::kOptions}, {"CONNECT", Method::kConnect},
};

constexpr std::pair<uint16_t, std::string_view> kReasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

}  // namespace

std::string_view ReasonOf(uint16_t status) {
  const auto* const found =
      std::lower_bound(std::begin(kReasons), std::end(kReasons), status,
                       [](const auto& reason, uint16_t wanted) { return reason.first < wanted; });
  return found != std::end(kReasons) && found->first == status ? found->second : "";
}

Method MethodOf(std::string_view text) {
  for (const auto& [name, method] : kMethods) {
    if (name == text) return method;
  }
  return Method::kOther;
}

size_t Head::Count(HeaderId id) const {
  if (!Has(id)) return 0;
  return static_cast<size_t>(std::count_if(entries_.begin(), entries_.end(),
                                           [&](const Entry& entry) { return entry.id == id; }));
}

std::optional<std::string_view> Head::Find(HeaderId id) const {
  if (!Has(id)) return std::nullopt;
  for (const Entry& entry : entries_) {
    if (entry.id == id) return Text(entry.value);
  }
  return std::nullopt;
}

std::optional<std::string_view> Head::Find(std::string_view name) const {
  const HeaderId id = HeaderIdOf(name);
  if (id != HeaderId::kUnknown) return Find(id);
  for (const Field field : fields()) {
    if (field.id == id && SameText(field.name, name)) return field.value;
  }
  return std::nullopt;
}

Head::Range Head::Append(std::string_view text) {
  const Range range{static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(text.size())};
  text_.append(text);  // a view of itself, too: the standard says so of string::append
  return range;
}

void Head::Enter(std::string_view name, std::string_view value) {
  const HeaderId id = HeaderIdOf(name);
  entries_.push_back({RangeOf(name), RangeOf(value), id});
  repeated_ |= present_ & BitOf(id);
  present_ |= BitOf(id);
}

bool Head::Add(std::string_view name, std::string_view value) {
  if (!IsToken(name) || !IsFieldValue(value)) return false;
  // Room for both first: the second may be a view of what the first would move.
  if (text_.capacity() - text_.size() < name.size() + value.size()) {
    std::string moved;
    moved.reserve(2 * text_.size() + name.size() + value.size());
    moved.append(text_).append(name).append(value);
    text_.swap(moved);
  } else {
    text_.append(name).append(value);
  }
  const std::string_view added(text_.data() + text_.size() - name.size() - value.size(),
                               name.size() + value.size());
  Enter(added.substr(0, name.size()), added.substr(name.size()));
  return true;
}

bool Head::Set(std::string_view name, std::string_view value) {
  if (!IsToken(name) || !IsFieldValue(value)) return false;
  Remove(name);
  return Add(name, value);
}

void Head::Remove(HeaderId id) {
  if (id == HeaderId::kUnknown || !Has(id)) return;
  RemoveIf([&](const Entry& entry) { return entry.id == id; });
}

void Head::Remove(std::string_view name) {
  const HeaderId id = HeaderIdOf(name);
  if (id != HeaderId::kUnknown) return Remove(id);
  RemoveIf([&](const Entry& entry) { return entry.id == id && SameText(Text(entry.name), name); });
}

size_t Head::fields_bytes() const {
  constexpr size_t kAround = 4;  // ": " and CRLF
  size_t bytes = 0;
  for (const Entry& entry : entries_) bytes += entry.name.size + entry.value.size + kAround;
  return bytes;
}

void Head::ClearFields() {
  text_.clear();
  entries_.clear();
  present_ = repeated_ = 0;
  version = HttpVersion::k11;
  framing = Framing::kNone;
  content_length.reset();
  keep_alive = true;
  upgrade = Upgrade::kNone;
}

void Head::ReleaseFields() {
  std::string().swap(text_);
  std::vector<Entry>().swap(entries_);
}

bool RequestHead::SetMethod(std::string_view text) {
  if (!IsToken(text)) return false;
  method_ = MethodOf(text);
  method_text_ = Append(text);
  return true;
}

bool RequestHead::SetTarget(std::string_view path_and_query) {
  if (path_and_query != "*" && !IsPathAndQuery(path_and_query)) return false;
  const Range target = Append(path_and_query);
  const size_t path_size = std::min(Text(target).find('?'), size_t{target.size});
  path_ = {target.at, static_cast<uint32_t>(path_size)};
  has_query_ = path_size < target.size;
  query_ = {};
  if (has_query_) query_ = RangeOf(Text(target).substr(path_size + 1));
  return true;
}

bool RequestHead::SetAuthority(std::string_view authority) {
  const auto parsed = ParseAuthority(authority);
  if (!parsed) return false;
  const auto host_size = static_cast<uint32_t>(parsed->host.size());
  port_ = parsed->port;
  authority_ = Append(authority);
  host_ = {authority_.at, host_size};
  // RFC 3986 section 6.2.2.1.
  for (char& c : std::span(text_).subspan(authority_.at)) c = absl::ascii_tolower(c);
  return true;
}

bool RequestHead::Set(std::string_view name, std::string_view value) {
  return HeaderIdOf(name) == HeaderId::kHost ? SetAuthority(value) : Head::Set(name, value);
}

void RequestHead::Clear() {
  ClearFields();
  method_ = Method::kOther;
  has_query_ = expect_continue = false;
  port_ = 0;
  method_text_ = path_ = query_ = authority_ = host_ = {};
}

void RequestHead::Release() {
  Clear();
  ReleaseFields();
}

std::string_view ResponseHead::reason() const {
  return reason_.size != 0 ? Text(reason_) : ReasonOf(status);
}

void ResponseHead::Clear() {
  ClearFields();
  status = 0;
  reason_ = {};
}

void ResponseHead::Release() {
  Clear();
  ReleaseFields();
}

}  // namespace bridgehead::proxy
