// Schema of a list of changes to headers, which hosts and routes have.
#pragma once

#include <string>
#include <vector>

#include "ctrl/config/schema_edge.h"

namespace bridgehead::config {

inline constexpr size_t kMaxHeaderChanges = 64;

// The keys of the list at `path`, which kList finds in a configuration, with values of this form.
template <std::vector<HeaderChange>& (*kList)(Config&)>
std::vector<Key> HeaderKeys(const std::string& path, const TextForm& value, std::string_view doc) {
  return {
      {.path = path,
       .list = true,
       .max_items = kMaxHeaderChanges,
       .default_note = "none",
       .doc = doc,
       .set = [](Config& c, const Value&) { kList(c).emplace_back(); }},
      {.path = path + "[].name",
       .type = Type::kForm,
       .form = &kHeaderNameForm,
       .required = true,
       .doc = "The header. Next to it stands exactly one of set, append and remove.",
       .source = "RFC 9110 section 5.1",
       .set = [](Config& c, const Value& v) { kList(c).back().name = Text(v); }},
      {.path = path + "[].set",
       .type = Type::kForm,
       .form = &value,
       .default_note = "none",
       .doc = "The header has this value, whatever it had. Variables in it: $host (the name that "
              "the request is for), $request_host (its Host header), $scheme (http or https), "
              "$client_address, $client_port, $client_endpoint (address:port), and in requests "
              "$forwarded_for (X-Forwarded-For so far, and the client's address). $$ is a dollar "
              "sign.",
       .source = "RFC 9110 section 5.5",
       .set = [](Config& c, const Value& v) { kList(c).back().value = Text(v); }},
      {.path = path + "[].append",
       .type = Type::kForm,
       .form = &value,
       .default_note = "none",
       .doc = "One more value behind those that the header has, as in set.",
       .set =
           [](Config& c, const Value& v) {
             kList(c).back().op = HeaderOp::kAppend;
             kList(c).back().value = Text(v);
           }},
      {.path = path + "[].remove",
       .type = Type::kChoice,
       .choices = {"true"},
       .default_note = "none",
       .doc = "The header is left out.",
       .set = [](Config& c, const Value&) { kList(c).back().op = HeaderOp::kRemove; }},
  };
}

}  // namespace bridgehead::config
