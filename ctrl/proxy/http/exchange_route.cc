// From a request's head to what is done about it.
#include <algorithm>
#include <utility>

#include "ctrl/proxy/http/exchange.h"
#include "ctrl/proxy/http/head_editor.h"
#include "ctrl/proxy/route/path.h"
#include "fmt/format.h"

namespace bridgehead::proxy {

void Exchange::Start() {
  site_ = service_.SiteOf(*client_.listener);
  if (!site_) return Refuse(503, "the listener is gone");
  if (!FindHost() || !FindRoute() || !Admit()) return;
  if (state_ == State::kRouting) Act();
}

bool Exchange::FindHost() {
  host_ = site_->site().Find(head_.host());
  if (host_ == nullptr) {
    Refuse(421, "nobody of this name is served here");
    return false;
  }
  BeginRecord(host_->log);
  return true;
}

// Of a head that is refused there is what came before the reason.
void Exchange::BeginRecord(std::shared_ptr<LogFile> log) {
  if (!log) return;
  record_ = std::make_unique<AccessRecord>();
  record_->time = std::chrono::system_clock::now();
  record_->file = std::move(log);
  record_->listener = client_.listener->name;
  record_->client = client_.peer;
  record_->host = head_.host();
  record_->method = head_.method_text();
  record_->path = head_.path();
  if (head_.has_query()) record_->path.append("?").append(head_.query());
  record_->protocol = head_.version == HttpVersion::k2    ? "HTTP/2"
                      : head_.method_text().empty()       ? ""
                      : head_.version == HttpVersion::k11 ? "HTTP/1.1"
                                                          : "HTTP/1.0";
  record_->referer = head_.Find(HeaderId::kReferer).value_or("");
  record_->user_agent = head_.Find(HeaderId::kUserAgent).value_or("");
  record_->tls = client_.tls_version;
  record_->sni = client_.sni;
}

bool Exchange::FindRoute() {
  if (head_.path() == "*") {
    Answer(405, "of no route");
    return false;
  }
  const CheckedPath checked = CheckPath(head_.path(), path_);
  if (checked.error != PathError::kNone) {
    Answer(static_cast<uint16_t>(StatusOf(checked.error)), Name(checked.error));
    return false;
  }
  if (checked.path.data() != path_.data()) path_ = checked.path;
  const std::optional<RouteMatch> match = host_->table.Find(path_);
  if (!host_->table.IsSameWithoutParameters(path_, match)) {
    Answer(400, "parameters in the path hide its route");
    return false;
  }
  if (!match) {
    Answer(404, "no route");
    return false;
  }
  match_ = *match;
  route_ = &host_->routes[match_.route];
  counters_ = site_->counters(*route_).get();
  if (record_) record_->route = route_->config->name;
  return true;
}

// Whether this client may ask this, at all and now.
bool Exchange::Admit() {
  const config::Route& route = *route_->config;
  const config::Address source = client_.peer.address();
  if (!route_->access.Allows(source)) {
    Answer(403, "source is not allowed");
    return false;
  }
  if (route.requests_per_source != 0 &&
      !service_.rates().Take(source, site_->rate_rule(*route_), route.requests_per_source,
                             service_.loop().now())) {
    Answer(429, "too many requests of this source");
    return false;
  }
  if (route.max_body != 0 && head_.framing == Framing::kLength &&
      head_.content_length > route.max_body) {
    Answer(413, "body is too large");
    return false;
  }
  return CheckUpgrade() && CheckUser() && CheckToken();
}

bool Exchange::CheckUpgrade() {
  if (head_.upgrade == Upgrade::kNone) return true;
  const auto* proxy = std::get_if<config::ProxyAction>(&route_->config->action);
  const bool tunnels = proxy != nullptr
                           ? proxy->websocket
                           : std::holds_alternative<config::ServerIdAction>(route_->config->action);
  if (!tunnels) {
    Answer(400, "no WebSocket on this route");
    return false;
  }
  std::vector<std::string_view> origins;
  for (const Field field : head_.fields()) {
    if (field.id == HeaderId::kOrigin) origins.push_back(field.value);
  }
  if (route_->origins.Allows(origins)) return true;
  Answer(403, "Origin is not allowed");
  return false;
}

bool Exchange::CheckUser() {
  BasicAuthCheck* check = site_->basic_auth(*route_);
  if (check == nullptr) return true;
  const auto field = head_.Find(HeaderId::kAuthorization);
  const auto credentials = field ? ParseBasic(*field) : std::nullopt;
  if (!credentials) {
    Challenge(field ? "no credentials in Authorization" : "no Authorization");
    return false;
  }
  if (record_) record_->user = credentials->user;
  // The upstream has no use for them, and might log them.
  head_.Remove(HeaderId::kAuthorization);
  return Await(check->Check(*credentials, client_.peer.address(), service_.loop().now(),
                            Verdict(&Exchange::OnUser)),
               401, "wrong user or password");
}

bool Exchange::CheckToken() {
  CookieTokenCheck* check = site_->cookie_token(*route_);
  if (check == nullptr) return true;
  std::optional<std::string_view> token;
  for (const Field field : head_.fields()) {
    if (field.id == HeaderId::kCookie && !token) {
      token = FindCookie(field.value, route_->config->cookie_token->cookie);
    }
  }
  if (!token) {
    Answer(403, "no token");
    return false;
  }
  return Await(check->Check(*token, client_.peer.address(), service_.loop().now(),
                            Verdict(&Exchange::OnToken)),
               403, "token is not known");
}

// A callback that finds nobody when the exchange has ended meanwhile.
DeferredCheck::Done Exchange::Verdict(void (Exchange::*on_verdict)(bool)) {
  return [self = std::weak_ptr<Exchange*>(self_), on_verdict](bool yes) {
    if (const auto alive = self.lock()) ((*alive)->*on_verdict)(yes);
  };
}

bool Exchange::Await(DeferredCheck::Answer answer, uint16_t refused, std::string_view why) {
  switch (answer) {
    case DeferredCheck::Answer::kYes:
      return true;
    case DeferredCheck::Answer::kLater:
      state_ = State::kWaiting;
      return false;
    case DeferredCheck::Answer::kBusy:
      Answer(503, "too many checks are waiting");
      return false;
    case DeferredCheck::Answer::kBusyOfSource:
      Answer(429, "too many checks of this source are waiting");
      return false;
    case DeferredCheck::Answer::kNo:
      break;
  }
  if (refused == 401) {
    Challenge(why);
  } else {
    Answer(refused, why);
  }
  return false;
}

void Exchange::OnUser(bool yes) {
  if (state_ != State::kWaiting) return;  // the client has gone in this turn of the loop
  state_ = State::kRouting;
  if (!yes) return Challenge("wrong user or password");
  if (CheckToken()) Act();
}

void Exchange::OnToken(bool yes) {
  if (state_ != State::kWaiting) return;
  state_ = State::kRouting;
  if (!yes) return Answer(403, "token is not known");
  Act();
}

void Exchange::Act() {
  const auto& action = route_->config->action;
  if (const auto* proxy = std::get_if<config::ProxyAction>(&action)) {
    Proxy(proxy->upstream, proxy->response_timeout, proxy->tunnel_idle_timeout);
  } else if (const auto* ids = std::get_if<config::ServerIdAction>(&action)) {
    const std::optional<uint32_t> server = route_->server_ids->Find(match_.rest);
    if (!server) return Answer(404, "no such server-id");
    Proxy(ids->servers[*server].upstream, kServerIdResponseTimeout, ids->tunnel_idle_timeout);
  } else if (const auto* redirect = std::get_if<config::RedirectAction>(&action)) {
    Redirect(*redirect);
  } else if (const auto* files = std::get_if<config::FilesAction>(&action)) {
    SendFile(*files);
  } else {
    Respond(std::get<config::RespondAction>(action));
  }
}

RequestFacts Exchange::Facts() {
  if (client_address_.empty()) {
    client_address_ = client_.peer.address().text();
    client_port_ = fmt::format("{}", client_.peer.port());
    client_endpoint_ = client_.peer.text();
    request_host_ = head_.authority();
    host_name_ = head_.host();
  }
  RequestFacts facts;
  facts.host = host_name_;
  facts.request_host = request_host_;
  facts.scheme = client_.tls ? "https" : "http";
  facts.client_address = client_address_;
  facts.client_port = client_port_;
  facts.client_endpoint = client_endpoint_;
  facts.from_trusted_proxy = host_->trusted_proxies.Allows(client_.peer.address());
  return facts;
}

void Exchange::Proxy(const std::string& upstream, std::chrono::milliseconds response_timeout,
                     std::chrono::milliseconds tunnel_timeout) {
  response_timeout_ = response_timeout;
  tunnel_timeout_ = tunnel_timeout;
  group_ = service_.FindGroup(upstream);
  if (record_) record_->upstream = upstream;
  if (!group_) return Answer(502, "the upstream is gone");
  const Method method = head_.method();
  idempotent_ = method == Method::kGet || method == Method::kHead || method == Method::kOptions ||
                method == Method::kPut || method == Method::kDelete;
  method_ = method;
  if (PrepareRequest()) Dial();
}

// What goes to the upstream: the path as the route has it, the fields as the configuration has
// them.
bool Exchange::PrepareRequest() {
  std::string rewritten;
  const std::optional<std::string_view> path = host_->table.Rewrite(match_, path_, rewritten);
  std::string target(path.value_or(""));
  std::optional<std::string_view> query;
  if (head_.has_query()) query = head_.query();
  if (query && !IsQuery(*query)) {
    Answer(400, "query holds what none may");
    return false;
  }
  host_->table.AppendQuery(match_, query, target);
  const RequestFacts facts = Facts();
  HeadEditor editor(head_);
  if (!path || !head_.SetTarget(target)) {
    Answer(400, "path can not be rewritten");
    return false;
  }
  if (!route_->request_headers.Apply(editor, facts)) {
    Answer(400, "field's name stands for a trusted one");
    return false;
  }
  return true;
}

}  // namespace bridgehead::proxy
