#include "ctrl/config/reference.h"

#include <vector>

#include "ctrl/config/schema.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::config {

namespace {

constexpr char kIntroduction[] =
    R"(# Configuration reference

Generated from the schema in `ctrl/config/schema_*.cc` by `bridgehead check --reference`; edit the
schema, not this page.

The file is YAML, UTF-8, at most 1 MiB, without anchors, aliases and tags. Unknown and duplicate keys
are errors. `bridgehead check FILE` says everything that is wrong with a file, each mistake as
`file:line:column: key: got X, expected Y`; a file with a mistake is never used, at start or on reload.

- A *name* is 1 to 63 letters, digits, `_`, `.` or `-`.
- A *duration* is a whole number with `s`, `m`, `h` or `d`: `300s`, `5m`, `1h`, `30d`.
- A *size* is a whole number of bytes, or one with `KiB`, `MiB` or `GiB`: `10MiB`.
- *Ports* are one port or `first-last`, both included.
- Addresses are IPv4 or IPv6 and name one host where packets are forwarded: not 0/8, 127/8, 224/4 or
  240/4; not ::/96, fe80::/10, ff00::/8 or ::ffff:0:0/96, which is IPv4 and to be written so. IPv6 with
  a port stands in brackets, and the whole in quotes: `"[2001:db8::10]:10000"`.

On reload: *live* keys take effect at once and touch no session. *relay restart* keys are fixed while
a relay runs: a reload that changes one is refused as a whole and the old configuration stays, also
for a relay that starts later. To use such a file, restart bridgehead-ctrl, which reads it, and then
bridgehead-relay, which ends its sessions.

)";

std::string TypeText(const Key& key) {
  switch (key.type) {
    case Type::kSection:
      return key.list ? "list of groups of keys" : "group of keys";
    case Type::kInteger:
      return key.power_of_two ? "integer, power of two" : "integer";
    case Type::kBoolean:
      return "`true` or `false`";
    case Type::kChoice:
      return fmt::format("`{}`", fmt::join(key.choices, "`, `"));
    case Type::kDuration:
      return "duration";
    case Type::kName:
      return "name";
    case Type::kUfragPrefix:
      return fmt::format("1 to {} letters, digits, `+` or `/`", kMaxUfragPrefixLength);
    case Type::kText:
      return "text";
    case Type::kAddress:
      return "address";
    case Type::kPrefix:
      return "address/prefix length";
    case Type::kPortRange:
      return "ports";
    case Type::kEndpoint:
      return "address:ports";
    case Type::kEndpointOrOff:
      return "address:port, or `off`";
    case Type::kTcpListen:
    case Type::kTcpServer:
      return "address:port";
    case Type::kBytes:
      return "size";
    case Type::kForm:
      return std::string(key.form->reference);
    case Type::kMac:
      return "Ethernet address";
    case Type::kHttpUrl:
      return "`http://ADDRESS[:PORT][/PATH]`";
    case Type::kHealthUrl:
      return "`http://ADDRESS[:PORT][/PATH]` or `stun:ADDRESS[:PORT]`";
  }
  return "";
}

std::string RangeText(const Key& key) {
  if (key.min == key.max) return "";
  if (key.type == Type::kBytes) return fmt::format("{} to {}", key.min, SizeText(key.max));
  const char* suffix = key.type == Type::kDuration ? "s" : "";
  return fmt::format("{}{} to {}{}", key.min, suffix, key.max, suffix);
}

std::string DefaultText(const Key& key) {
  if (key.required) return "required";
  if (!key.default_text.empty()) return fmt::format("`{}`", key.default_text);
  if (!key.default_note.empty()) return std::string(key.default_note);
  return "its keys' defaults";
}

std::string ReloadText(Reload reload) {
  switch (reload) {
    case Reload::kLive:
      return "live";
    case Reload::kRelayRestart:
      return "relay restart";
  }
  return "";
}

// Text in lines of at most `width` bytes.
std::string Wrapped(std::string_view text, size_t width) {
  std::string result;
  while (text.size() > width) {
    const size_t cut = text.rfind(' ', width);
    if (cut == std::string_view::npos) break;
    result += fmt::format("{}\n", text.substr(0, cut));
    text.remove_prefix(cut + 1);
  }
  return result + std::string(text);
}

std::string Entry(const Key& key) {
  std::vector<std::string> facts;
  const bool list_of_values = key.list && key.type != Type::kSection;
  const char* list = key.or_one ? "one, or a list of: " : "list of: ";
  facts.push_back((list_of_values ? list : "") + TypeText(key));
  if (!key.unit.empty()) facts.push_back("unit: " + std::string(key.unit));
  if (const std::string range = RangeText(key); !range.empty()) facts.push_back("range: " + range);
  if (key.list) facts.push_back(fmt::format("{} to {} elements", key.min_items, key.max_items));
  facts.push_back("default: " + DefaultText(key));
  facts.push_back("reload: " + ReloadText(key.reload));
  std::string entry = fmt::format("### `{}`\n\n- {}\n", key.path, fmt::join(facts, "\n- "));
  if (!key.source.empty()) entry += fmt::format("- source: {}\n", key.source);
  return entry + "\n" + Wrapped(key.doc, 100) + "\n\n";
}

}  // namespace

std::string ReferenceMarkdown() {
  std::string page = kIntroduction;
  std::string chapter;
  for (const Key& key : Schema()) {
    const std::string top(key.path.substr(0, key.path.find_first_of(".[")));
    if (top != chapter) page += fmt::format("## {}\n\n", top);
    chapter = top;
    page += Entry(key);
  }
  while (page.ends_with("\n\n")) page.pop_back();
  return page;
}

}  // namespace bridgehead::config
