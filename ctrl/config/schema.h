// The declarative schema of the configuration file: one Key for each key, in the order of the
// reference. The parser (parse.cc), the check for unknown keys, the defaults and REFERENCE.md
// (reference.cc) come from this table and from nothing else: a new key is one new entry.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ctrl/config/config.h"
#include "ctrl/config/text_form.h"
#include "ctrl/config/yaml_tree.h"

namespace bridgehead::config {

enum class Type {
  kSection,  // a group of keys: those whose path begins with this one's
  kInteger,
  kBoolean,
  kChoice,
  kDuration,
  kName,         // [A-Za-z0-9_.-], at most kMaxNameLength
  kUfragPrefix,  // [A-Za-z0-9+/], ICE's characters (RFC 8839 section 5.4), at most
                 // kMaxUfragPrefixLength
  kText,
  kAddress,
  kPrefix,
  kPortRange,
  kEndpoint,
  kEndpointOrOff,
  kTcpListen,  // of a socket of ours: one port; loopback and every address too
  kTcpServer,  // of a socket that we connect to: one port; loopback too
  kBytes,
  kForm,  // text of Key::form
  kMac,
  kHttpUrl,    // http:// (check_url.h)
  kHealthUrl,  // that, or stun:
};

// What a changed value needs to take effect.
enum class Reload { kLive, kRelayRestart };

// A parsed scalar. Integers, bytes and the index of a choice are uint64_t; monostate is a section,
// or "off".
using Value = std::variant<std::monostate, uint64_t, bool, std::string, std::chrono::seconds,
                           Address, Prefix, PortRange, Endpoint, MacAddress, CheckUrl>;

struct Key {
  std::string path = "";  // dataplane.ports[].device: [] stands for the elements of a list
  Type type = Type::kSection;
  std::string_view unit = "";
  uint64_t min = 0, max = 0;  // of an integer, of bytes, of a duration in seconds, of a port
  std::vector<std::string_view> choices = {};
  const TextForm* form = nullptr;  // of kForm
  bool power_of_two = false;
  bool list = false;
  bool or_one = false;                  // a list of one element may do without the list
  size_t min_items = 0, max_items = 0;  // of a list
  bool required = false;
  std::string_view default_text = "";  // as the file would say it; parsed like the file
  std::string_view default_note = "";  // when it is not a constant
  Reload reload = Reload::kLive;
  std::string_view doc = "";
  std::string_view source = "";  // RFC or other reason for range, default or rule
  // Stores one value. For a list it is called for each element; for a list of sections it appends
  // an element, and the setters of the keys in it then work on the last element. A section that is
  // no list and has one is optional: it makes the thing, and the keys in it count only then.
  void (*set)(Config& config, const Value& value) = nullptr;

  bool optional_section() const { return type == Type::kSection && !list && set != nullptr; }
  std::string_view name() const { return std::string_view(path).substr(path.rfind('.') + 1); }
  // Path prefix of the keys in this section, with the dot.
  std::string ChildPrefix() const;
};

const std::vector<Key>& Schema();
// Keys directly in the section with this ChildPrefix(); "" is the top of the file.
std::vector<const Key*> KeysIn(std::string_view prefix);

// Of a list of prefixes that allows or denies.
inline constexpr size_t kMaxAccessPrefixes = 1024;

// The parts of the schema, in order.
std::vector<Key> DataplaneKeys();
std::vector<Key> PortKeys();
std::vector<Key> ServiceKeys();
std::vector<Key> BridgeKeys();  // before those of media:
std::vector<Key> OctoKeys();    // follow those of media:
std::vector<Key> EdgeKeys();

// What one value of the key looks like, for messages: "an integer from 1 to 65535".
std::string Expected(const Key& key);
// The same for the whole list, when the key is one.
std::string ExpectedWhole(const Key& key);

// In the largest unit that it is a whole number of: 1MiB.
std::string SizeText(uint64_t bytes);

struct ParsedValue {
  Value value;
  std::string error;  // "got X, expected Y"; empty when the value is good
};
// One scalar against the key's type and range. `key` is no section.
ParsedValue ParseValue(const Key& key, const YamlNode& node);

}  // namespace bridgehead::config
