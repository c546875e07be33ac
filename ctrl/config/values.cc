// One scalar of the file against its key's type and range.
#include <algorithm>
#include <bit>

#include "ctrl/config/schema.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::config {

namespace {

struct SizeUnit {
  std::string_view name;
  uint64_t bytes;
};
constexpr SizeUnit kSizeUnits[] = {
    {"GiB", uint64_t{1} << 30}, {"MiB", uint64_t{1} << 20}, {"KiB", uint64_t{1} << 10}};

ParsedValue Good(Value value) {
  return {std::move(value), ""};
}
ParsedValue Bad(const Key& key, const std::string& got) {
  return {{}, fmt::format("got {}, expected {}", got, Expected(key))};
}

ParsedValue Integer(const Key& key, const YamlNode& node) {
  const auto value = ParseDecimal(node.text);
  if (node.quoted || !value) return Bad(key, node.Describe() + (node.quoted ? " (text)" : ""));
  if (*value < key.min || *value > key.max) return Bad(key, node.text);
  if (key.power_of_two && !std::has_single_bit(*value)) return Bad(key, node.text);
  return Good(*value);
}

ParsedValue Choice(const Key& key, const YamlNode& node) {
  const auto found = std::find(key.choices.begin(), key.choices.end(), node.text);
  if (found == key.choices.end()) return Bad(key, node.Describe());
  return Good(static_cast<uint64_t>(found - key.choices.begin()));
}

ParsedValue Duration(const Key& key, const YamlNode& node) {
  constexpr uint64_t kLongest = 1000000;  // keeps the multiplication in range
  if (node.text.empty()) return Bad(key, node.Describe());
  const std::string_view text = node.text;
  const char unit = text.back();
  const uint64_t seconds = unit == 's'   ? 1
                           : unit == 'm' ? 60
                           : unit == 'h' ? 3600
                           : unit == 'd' ? 86400
                                         : 0;
  const auto number = ParseDecimal(text.substr(0, text.size() - 1), kLongest);
  if (seconds == 0 && ParseDecimal(text)) return Bad(key, node.text + " without a unit");
  if (seconds == 0 || !number) return Bad(key, node.Describe());
  if (*number * seconds < key.min || *number * seconds > key.max) return Bad(key, node.text);
  return Good(std::chrono::seconds(*number * seconds));
}

ParsedValue Name(const Key& key, const YamlNode& node) {
  const bool good = !node.text.empty() && node.text.size() <= kMaxNameLength &&
                    std::all_of(node.text.begin(), node.text.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
                    });
  if (node.text.size() > kMaxNameLength) {
    return Bad(key, fmt::format("a name of {} characters", node.text.size()));
  }
  return good ? Good(node.text) : Bad(key, node.Describe());
}

// A colon gets its reason: bridges' own samples of a prefix have one.
ParsedValue UfragPrefix(const Key& key, const YamlNode& node) {
  const std::string& text = node.text;
  if (text.find(':') != std::string::npos) {
    return Bad(key, fmt::format("{}, with a colon, at which the bridge itself splits USERNAME and "
                                "which browsers refuse",
                                node.Describe()));
  }
  if (text.size() > kMaxUfragPrefixLength) {
    return Bad(key, fmt::format("a prefix of {} characters", text.size()));
  }
  const bool good = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
  });
  return good ? Good(text) : Bad(key, node.Describe());
}

ParsedValue Ports(const Key& key, const YamlNode& node) {
  const auto ports = PortRange::Parse(node.text);
  if (!ports || ports->first < key.min || ports->last > key.max) return Bad(key, node.Describe());
  return Good(*ports);
}

// An address that can be a host's; `what` goes into the message as given.
ParsedValue HostAddress(const Key& key, const YamlNode& node, const std::optional<Address>& address,
                        Value value) {
  if (!address) return Bad(key, node.Describe());
  if (const auto why = address->NotAHost()) {
    return Bad(key, fmt::format("{}, {}", node.text, *why));
  }
  return Good(std::move(value));
}

ParsedValue EndpointValue(const Key& key, const YamlNode& node) {
  if (key.type == Type::kEndpointOrOff && node.text == "off") return Good(std::monostate{});
  const auto endpoint = Endpoint::Parse(node.text);
  if (!endpoint) return Bad(key, node.Describe());
  if (key.type == Type::kEndpoint) return HostAddress(key, node, endpoint->address, *endpoint);
  // A socket of ours may also listen on loopback and on every address; a server may be on this
  // machine.
  const Address& address = endpoint->address;
  const bool every = address.IsUnspecified() && key.type != Type::kTcpServer;
  if (address.NotAHost() && !address.IsLoopback() && !every) {
    return Bad(key, fmt::format("{}, {}", node.text, *address.NotAHost()));
  }
  if (endpoint->ports.count() != 1) return Bad(key, node.Describe());
  return Good(*endpoint);
}

// "1048576", "512KiB", "10MiB", "1GiB".
ParsedValue Bytes(const Key& key, const YamlNode& node) {
  std::string_view text = node.text;
  uint64_t unit = 1;
  for (const SizeUnit& known : kSizeUnits) {
    if (!text.ends_with(known.name)) continue;
    unit = known.bytes;
    text.remove_suffix(known.name.size());
    break;
  }
  const auto number = ParseDecimal(text, UINT64_MAX / unit);
  if (node.quoted || !number) return Bad(key, node.Describe() + (node.quoted ? " (text)" : ""));
  if (*number * unit < key.min || *number * unit > key.max) return Bad(key, node.text);
  return Good(*number * unit);
}

ParsedValue Form(const Key& key, const YamlNode& node) {
  FormedText formed = key.form->read(node.text);
  if (formed.good) return Good(std::move(formed.text));
  return Bad(key, node.Describe() + (formed.why.empty() ? "" : ", " + formed.why));
}

ParsedValue PrefixValue(const Key& key, const YamlNode& node) {
  const auto prefix = Prefix::Parse(node.text);
  if (!prefix) return Bad(key, node.Describe());
  if (prefix->address.IsV4Mapped()) {
    return Bad(key, fmt::format("{}, {}", node.text, *prefix->address.NotAHost()));
  }
  return Good(*prefix);
}

ParsedValue Mac(const Key& key, const YamlNode& node) {
  const auto mac = MacAddress::Parse(node.text);
  if (!mac || mac->IsZero() || mac->IsMulticast()) return Bad(key, node.Describe());
  return Good(*mac);
}

ParsedValue Url(const Key& key, const YamlNode& node) {
  ParsedCheckUrl parsed = ParseCheckUrl(node.text);
  if (parsed.url && (key.type == Type::kHealthUrl || parsed.url->kind == CheckUrl::Kind::kHttp)) {
    return Good(*std::move(parsed.url));
  }
  return Bad(key, node.Describe() + (parsed.why.empty() ? "" : ", " + parsed.why));
}

}  // namespace

std::string SizeText(uint64_t bytes) {
  for (const SizeUnit& unit : kSizeUnits) {
    if (bytes >= unit.bytes && bytes % unit.bytes == 0) {
      return fmt::format("{}{}", bytes / unit.bytes, unit.name);
    }
  }
  return fmt::format("{}", bytes);
}

std::string Expected(const Key& key) {
  switch (key.type) {
    case Type::kSection: {
      std::vector<std::string_view> names;
      for (const Key* child : KeysIn(key.ChildPrefix())) names.push_back(child->name());
      return fmt::format("a group of keys: {}", fmt::join(names, ", "));
    }
    case Type::kInteger:
      return fmt::format("{} from {} to {}", key.power_of_two ? "a power of two" : "an integer",
                         key.min, key.max);
    case Type::kBoolean:
      return "true or false";
    case Type::kChoice:
      return fmt::format("{}", fmt::join(key.choices, " or "));
    case Type::kDuration:
      return fmt::format("a duration from {}s to {}s, such as 300s, 5m or 1h", key.min, key.max);
    case Type::kName:
      return fmt::format("a name of 1 to {} letters, digits, '_', '.' or '-'", kMaxNameLength);
    case Type::kUfragPrefix:
      return fmt::format("1 to {} letters, digits, '+' or '/', as ICE allows in a ufrag",
                         kMaxUfragPrefixLength);
    case Type::kText:
      return "text";
    case Type::kAddress:
      return "the address of a host, such as 192.0.2.10 or 2001:db8::10";
    case Type::kPrefix:
      return "an address and prefix length, such as 192.0.2.10/24 or 2001:db8::10/64";
    case Type::kPortRange:
      return fmt::format("a port or ports FIRST-LAST from {} to {}", key.min, key.max);
    case Type::kEndpoint:
      return "a host's address and port or first-last, such as 192.0.2.10:10000-10050 or "
             "\"[2001:db8::10]:10000\" (in quotes)";
    case Type::kEndpointOrOff:
      return "an address and port, such as 127.0.0.1:9100 or \"[::1]:9100\" (in quotes), or off";
    case Type::kTcpListen:
      return "an address and port, such as 198.51.100.10:443, 0.0.0.0:443 or \"[::]:443\" (in "
             "quotes)";
    case Type::kTcpServer:
      return "a server's numeric address and port, such as 10.8.0.11:8080 or "
             "\"[2001:db8::11]:8080\" (in quotes)";
    case Type::kBytes:
      return fmt::format("a size from {} to {}, such as 65536, 512KiB or 10MiB", key.min,
                         SizeText(key.max));
    case Type::kForm:
      return std::string(key.form->expected);
    case Type::kMac:
      return "a host's Ethernet address, such as 02:00:00:00:00:01";
    case Type::kHttpUrl:
      return "http://ADDRESS:PORT/PATH, such as http://10.8.0.11:8080/colibri/drain";
    case Type::kHealthUrl:
      return "http://ADDRESS:PORT/PATH, such as http://10.8.0.11:8080/about/health, or "
             "stun:ADDRESS:PORT";
  }
  return "";
}

std::string ExpectedWhole(const Key& key) {
  if (!key.list) return Expected(key);
  if (key.or_one) return fmt::format("{}, or a list of such", Expected(key));
  return fmt::format("a list, each element {}", Expected(key));
}

ParsedValue ParseValue(const Key& key, const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kScalar) return Bad(key, node.Describe());
  switch (key.type) {
    case Type::kSection:
      return Bad(key, node.Describe());
    case Type::kInteger:
      return Integer(key, node);
    case Type::kBoolean:
      if (node.quoted || (node.text != "true" && node.text != "false")) {
        return Bad(key, node.Describe() + (node.quoted ? " (text)" : ""));
      }
      return Good(node.text == "true");
    case Type::kChoice:
      return Choice(key, node);
    case Type::kDuration:
      return Duration(key, node);
    case Type::kName:
      return Name(key, node);
    case Type::kUfragPrefix:
      return UfragPrefix(key, node);
    case Type::kText:
      if (node.text.empty()) return Bad(key, node.Describe());
      return Good(node.text);
    case Type::kAddress: {
      const auto address = Address::Parse(node.text);
      return HostAddress(key, node, address, address ? Value(*address) : Value());
    }
    case Type::kPrefix:
      return PrefixValue(key, node);
    case Type::kPortRange:
      return Ports(key, node);
    case Type::kEndpoint:
    case Type::kEndpointOrOff:
    case Type::kTcpListen:
    case Type::kTcpServer:
      return EndpointValue(key, node);
    case Type::kBytes:
      return Bytes(key, node);
    case Type::kForm:
      return Form(key, node);
    case Type::kMac:
      return Mac(key, node);
    case Type::kHttpUrl:
    case Type::kHealthUrl:
      return Url(key, node);
  }
  return Bad(key, node.Describe());
}

}  // namespace bridgehead::config
