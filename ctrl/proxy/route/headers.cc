#include "ctrl/proxy/route/headers.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "fmt/format.h"

namespace bridgehead::proxy {
namespace {

using config::HeaderOp;

constexpr std::string_view kVariables[] = {
    "host",   "client_address", "client_port",  "client_endpoint",
    "scheme", "request_host",   "forwarded_for"};
constexpr size_t kForwardedFor = 6;
static_assert(kVariables[kForwardedFor] == "forwarded_for");

// How messages are framed and connections kept is between this proxy and its peers (RFC 9110
// section 7.6.1, RFC 9112 section 6).
constexpr std::string_view kFraming[] = {"connection", "content-length",    "expect",
                                         "keep-alive", "proxy-connection",  "te",
                                         "trailer",    "transfer-encoding", "upgrade"};

constexpr std::string_view kForwardedPrefix = "x-forwarded-";
// What upstreams take for the truth about the client, or (the last three) about the path and host
// that were asked for.
constexpr std::string_view kTrusted[] = {"forwarded",      "x-real-ip",      "x-client-ip",
                                         "client-ip",      "true-client-ip", "x-cluster-client-ip",
                                         "x-original-url", "x-rewrite-url",  "x-original-host"};
// Some programs take it for a setting of theirs: https://httpoxy.org.
constexpr std::string_view kProxy = "proxy";

bool IsToken(std::string_view name) {  // RFC 9110 section 5.6.2
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](unsigned char c) {
    return absl::ascii_isalnum(c) || kOthers.find(static_cast<char>(c)) != kOthers.npos;
  });
}

bool IsOneOf(std::string_view name, std::span<const std::string_view> names) {
  return std::any_of(names.begin(), names.end(),
                     [name](std::string_view other) { return SameName(name, other); });
}

bool IsForwarded(std::string_view name) {
  return SameName(name.substr(0, kForwardedPrefix.size()), kForwardedPrefix);
}

bool IsTrusted(std::string_view name) {
  return IsForwarded(name) || IsOneOf(name, kTrusted);
}

char Folded(unsigned char c) {
  return absl::ascii_isalnum(c) ? absl::ascii_tolower(c) : '_';
}

std::string Fold(std::string_view name) {
  std::string folded;
  std::transform(name.begin(), name.end(), std::back_inserter(folded), Folded);
  return folded;
}

absl::Status CheckChange(const config::HeaderChange& change, HeaderEdits::Of of) {
  const auto bad = [&](std::string_view why) {
    return absl::InvalidArgumentError(fmt::format("header {}: {}", change.name, why));
  };
  if (!IsToken(change.name)) return bad("expected a name of letters, digits and -");
  if (change.name.size() > kMaxChangedNameBytes) {
    return bad(fmt::format("name of more than {} bytes", kMaxChangedNameBytes));
  }
  const bool host = SameName(change.name, "host");
  if (IsOneOf(change.name, kFraming)) return bad("is part of how messages are framed");
  if (host && (of == HeaderEdits::Of::kResponse || change.op != HeaderOp::kSet)) {
    return bad("can only be set, and in requests");
  }
  const bool clean = std::all_of(change.value.begin(), change.value.end(), [](unsigned char c) {
    return (c >= ' ' && c != 0x7f) || c == '\t';
  });
  return clean ? absl::OkStatus() : bad("value has a control byte");
}

}  // namespace

absl::StatusOr<HeaderEdits> HeaderEdits::Build(std::span<const config::HeaderChange> changes,
                                               Of of) {
  HeaderEdits edits;
  const std::span<const std::string_view> all = kVariables;
  const auto variables = of == Of::kRequest ? all : all.first(kForwardedFor);
  for (const config::HeaderChange& change : changes) {
    if (absl::Status checked = CheckChange(change, of); !checked.ok()) return checked;
    auto value = Template::Parse(change.value, variables);
    if (!value.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("header {}: {}", change.name, std::string(value.status().message())));
    }
    edits.edits_.push_back({change.op, change.name, *std::move(value)});
  }
  return edits;
}

void HeaderEdits::Apply(FieldEditor& fields, const RequestFacts& facts,
                        std::string_view forwarded_for) const {
  const std::string_view values[] = {
      facts.host,   facts.client_address, facts.client_port, facts.client_endpoint,
      facts.scheme, facts.request_host,   forwarded_for};
  static_assert(std::size(values) == std::size(kVariables));
  std::string made;
  for (const Edit& edit : edits_) {
    if (edit.op == HeaderOp::kRemove) {
      fields.Remove(edit.name);
      continue;
    }
    made.clear();
    edit.value.AppendTo(made, [&](size_t variable) { return values[variable]; });
    if (edit.op == HeaderOp::kSet && made.empty()) {
      fields.Remove(edit.name);
    } else if (edit.op == HeaderOp::kSet) {
      fields.Set(edit.name, made);
    } else if (!made.empty()) {
      fields.Add(edit.name, made);
    }
  }
}

absl::StatusOr<RequestHeaders> RequestHeaders::Build(const config::Host& host,
                                                     const config::Route& route) {
  auto of_host = HeaderEdits::Build(host.request_headers, HeaderEdits::Of::kRequest);
  if (!of_host.ok()) return of_host.status();
  auto of_route = HeaderEdits::Build(route.request_headers, HeaderEdits::Of::kRequest);
  if (!of_route.ok()) return of_route.status();
  RequestHeaders headers;
  headers.forwarded_headers_ = host.forwarded_headers;
  headers.host_ = *std::move(of_host);
  headers.route_ = *std::move(of_route);
  for (const std::string_view name : kTrusted) headers.trusted_.insert(Fold(name));
  for (const auto* changes : {&host.request_headers, &route.request_headers}) {
    for (const auto& change : *changes) headers.trusted_.insert(Fold(change.name));
  }
  return headers;
}

bool RequestHeaders::HasAlias(const FieldEditor& fields) const {
  bool alias = false;
  fields.ForEach([&](std::string_view name, std::string_view) {
    const auto odd = [](unsigned char c) { return !absl::ascii_isalnum(c) && c != '-'; };
    if (std::none_of(name.begin(), name.end(), odd)) return;
    std::array<char, kMaxChangedNameBytes> buffer;
    const std::string_view begin = name.substr(0, buffer.size());
    std::transform(begin.begin(), begin.end(), buffer.begin(), Folded);
    const absl::string_view folded(buffer.data(), begin.size());
    alias = alias || absl::StartsWith(folded, "x_forwarded_") ||
            (name.size() == begin.size() && trusted_.contains(folded));
  });
  return alias;
}

bool RequestHeaders::Apply(FieldEditor& fields, const RequestFacts& facts) const {
  if (HasAlias(fields)) return false;
  std::string forwarded_for;
  if (facts.from_trusted_proxy) {
    fields.ForEach([&](std::string_view name, std::string_view value) {
      if (!SameName(name, "x-forwarded-for") || value.empty()) return;
      forwarded_for += value;
      forwarded_for += ", ";
    });
  }
  forwarded_for += facts.client_address;
  const bool trusted = facts.from_trusted_proxy;
  fields.RemoveIf([trusted](std::string_view name) {
    return SameName(name, kProxy) || (!trusted && IsTrusted(name));
  });
  if (forwarded_headers_) {
    fields.Set("X-Forwarded-For", forwarded_for);
    const std::pair<std::string_view, std::string_view> others[] = {
        {"X-Forwarded-Proto", facts.scheme},
        {"X-Forwarded-Host", facts.request_host},
        {"X-Real-IP", facts.client_address}};
    for (const auto& [name, value] : others) {
      if (!fields.Has(name)) fields.Add(name, value);
    }
  }
  host_.Apply(fields, facts, forwarded_for);
  route_.Apply(fields, facts, forwarded_for);
  return true;
}

}  // namespace bridgehead::proxy
