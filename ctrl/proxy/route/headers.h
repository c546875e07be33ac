// What the configuration changes in the fields of requests and responses, and what upstreams are
// told about the client.
//
// Upstreams believe X-Forwarded-For and its kin, so whoever is no trusted proxy can not send them:
// they are taken out, and set anew from what is known of the connection. Programs behind CGI-like
// interfaces do not tell X_Real_IP from X-Real-IP (RFC 3875 section 4.1.18): a request with such an
// alias is refused.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "ctrl/config/edge.h"
#include "ctrl/proxy/route/field_editor.h"
#include "ctrl/proxy/route/template.h"

namespace bridgehead::proxy {

inline constexpr size_t kMaxChangedNameBytes = 64;

// What variables stand for. Checked before: none has a control byte. Not views of the
// fields that are to be changed.
struct RequestFacts {
  std::string_view host;             // as NormalizeHost gives it
  std::string_view request_host;     // the Host field as it came
  std::string_view scheme;           // "https" or "http"
  std::string_view client_address;   // without brackets
  std::string_view client_port;      // decimal
  std::string_view client_endpoint;  // "192.0.2.1:50000", "[2001:db8::1]:50000"
  bool from_trusted_proxy = false;   // the peer is in Host::trusted_proxies
};

// A list of HeaderChange, ready to be applied in its order.
class HeaderEdits {
 public:
  enum class Of { kRequest, kResponse };
  // Error: a name that is no token, or one that frames messages and is not the configuration's to
  // change (Connection, Content-Length, ...; of requests Host may be set, not removed); a value
  // with control bytes; an unknown variable. $forwarded_for is known to requests only.
  static absl::StatusOr<HeaderEdits> Build(std::span<const config::HeaderChange> changes, Of of);

  // kSet leaves one field of the name, or none when its value is empty. kAppend adds one more,
  // which means the same as one list of both values (RFC 9110 section 5.3). kRemove removes all.
  void Apply(FieldEditor& fields, const RequestFacts& facts, std::string_view forwarded_for) const;

 private:
  struct Edit {
    config::HeaderOp op;
    std::string name;
    Template value;
  };
  std::vector<Edit> edits_;
};

// The whole way of a request's fields to the upstream, for one route.
class RequestHeaders {
 public:
  // Error: as of HeaderEdits.
  static absl::StatusOr<RequestHeaders> Build(const config::Host& host, const config::Route& route);

  // In this order: takes out what only a trusted proxy may say, sets the forwarding fields
  // (Host::forwarded_headers), applies the changes of the host, then those of the route. With a
  // trusted proxy X-Forwarded-For is appended to, and -Proto, -Host and X-Real-IP stay if present.
  // False: the request has an alias of a trusted field (400); `fields` is as it was.
  [[nodiscard]] bool Apply(FieldEditor& fields, const RequestFacts& facts) const;

 private:
  bool HasAlias(const FieldEditor& fields) const;

  bool forwarded_headers_ = true;
  HeaderEdits host_, route_;
  // Names that upstreams may rely on, with "_" for all but letters and digits.
  absl::flat_hash_set<std::string> trusted_;
};

}  // namespace bridgehead::proxy
