// The file, the tree and the schema brought together: CheckFile and what is built on it.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "ctrl/config/checks.h"
#include "ctrl/config/config.h"
#include "ctrl/config/schema.h"
#include "ctrl/config/yaml_tree.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::config {

namespace {

// Levenshtein's edit distance.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

// Walks tree and schema together and stores values.
class Walker {
 public:
  Walker(Config& config, Source& source, Findings& findings)
      : config_(config), source_(source), findings_(findings) {}

  // The keys with the schema prefix `prefix`, in the mapping `node` at the path `path`.
  void Section(const std::string& prefix, const std::string& path, const YamlNode& node,
               const Location& place) {
    const std::vector<const Key*> keys = KeysIn(prefix);
    // In the schema's order, whatever the file's: setters of lists work on the last element.
    for (const Key* key : keys) {
      const std::string key_path = Join(path, key->name());
      const auto found =
          std::find_if(node.entries.begin(), node.entries.end(),
                       [&](const YamlNode::Entry& entry) { return entry.key == key->name(); });
      if (found == node.entries.end()) {
        Absent(*key, key_path, place);
      } else {
        Present(*key, key_path, *found);
      }
    }
    for (const YamlNode::Entry& entry : node.entries) {
      const bool known = std::any_of(keys.begin(), keys.end(),
                                     [&](const Key* key) { return key->name() == entry.key; });
      if (!known) Unknown(keys, Join(path, entry.key), entry);
    }
  }

 private:
  static std::string Join(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
  }

  void Unknown(const std::vector<const Key*>& keys, const std::string& path,
               const YamlNode::Entry& entry) {
    std::vector<std::string_view> names;
    std::string_view nearest;
    size_t best = entry.key.size() / 3 + 1;
    for (const Key* key : keys) {
      names.push_back(key->name());
      const size_t distance = EditDistance(entry.key, key->name());
      if (distance <= best && (nearest.empty() || distance < best)) {
        best = distance;
        nearest = key->name();
      }
    }
    std::string message =
        fmt::format("got an unknown key, expected one of {}", fmt::join(names, ", "));
    if (!nearest.empty()) message += fmt::format("; did you mean {}?", nearest);
    findings_.ErrorAt(entry.key_location, path, std::move(message));
  }

  void Absent(const Key& key, const std::string& path, const Location& place) {
    if (key.required) {
      findings_.ErrorAt(place, path, fmt::format("got nothing, expected {}", ExpectedWhole(key)));
    } else if (key.type == Type::kSection && !key.list) {
      if (key.optional_section()) return;
      Section(key.ChildPrefix(), path, YamlNode{}, place);
    } else if (!key.default_text.empty()) {
      YamlNode node;
      node.kind = YamlNode::Kind::kScalar;
      node.text = std::string(key.default_text);
      key.set(config_, ParseValue(key, node).value);
    }
  }

  void Present(const Key& key, const std::string& path, const YamlNode::Entry& entry) {
    const bool scalar = entry.value.kind == YamlNode::Kind::kScalar;
    source_.locations[path] = scalar ? entry.value.location : entry.key_location;
    if (key.list) {
      List(key, path, entry);
    } else if (key.type == Type::kSection) {
      Group(key, path, entry.value, entry.key_location);
    } else {
      Scalar(key, path, entry.value);
    }
  }

  void List(const Key& key, const std::string& path, const YamlNode::Entry& entry) {
    const size_t count = entry.value.items.size();
    if (key.or_one && entry.value.kind == YamlNode::Kind::kScalar) {
      Scalar(key, path, entry.value);
      return;
    }
    if (entry.value.kind != YamlNode::Kind::kSequence) {
      findings_.Error(
          path, fmt::format("got {}, expected {}", entry.value.Describe(), ExpectedWhole(key)));
      return;
    }
    if (count < key.min_items || count > key.max_items) {
      findings_.Error(path, fmt::format("got a list of {}, expected {} to {} elements", count,
                                        key.min_items, key.max_items));
      return;
    }
    for (size_t i = 0; i < count; i++) {
      const YamlNode& item = entry.value.items[i];
      const std::string item_path = fmt::format("{}[{}]", path, i);
      source_.locations[item_path] = item.location;
      if (key.type == Type::kSection) {
        key.set(config_, {});
        Group(key, item_path, item, item.location);
      } else {
        Scalar(key, item_path, item);
      }
    }
  }

  void Group(const Key& key, const std::string& path, const YamlNode& node, const Location& place) {
    if (node.kind != YamlNode::Kind::kMapping) {
      findings_.Error(path, fmt::format("got {}, expected {}", node.Describe(), Expected(key)));
      return;
    }
    if (key.optional_section()) key.set(config_, {});
    Section(key.ChildPrefix(), path, node, place);
  }

  void Scalar(const Key& key, const std::string& path, const YamlNode& node) {
    ParsedValue parsed = ParseValue(key, node);
    if (!parsed.error.empty()) {
      findings_.Error(path, std::move(parsed.error));
    } else {
      key.set(config_, parsed.value);
    }
  }

  Config& config_;
  Source& source_;
  Findings& findings_;
};

// Fills in what is left out and follows from other keys.
void Complete(const Source& source, Config& config) {
  for (std::vector<MediaListener>* listeners : {&config.media, &config.octo}) {
    for (MediaListener& listener : *listeners) {
      if (listener.bridge_port == 0) listener.bridge_port = listener.listen.ports.first;
    }
  }
  for (size_t i = 0; i < config.octo.size(); i++) {
    MediaListener& listener = config.octo[i];
    if (source.Has(fmt::format("octo[{}].name", i)) || listener.bridges.empty()) continue;
    listener.name = "octo-" + listener.bridges[0];
  }
  CompleteEdge(config.edge);
}

void ParseTree(std::string_view text, Config& config, Source& source, Findings& findings) {
  const YamlDocument document = ReadYaml(text);
  for (const YamlProblem& problem : document.problems) {
    findings.ErrorAt(problem.location, problem.key, problem.message);
  }
  if (!document.readable) return;
  if (document.root.kind == YamlNode::Kind::kNull) {
    if (document.problems.empty()) {
      findings.ErrorAt({}, "file", "got an empty file, expected dataplane, bridges and media");
    }
    return;
  }
  if (document.root.kind != YamlNode::Kind::kMapping) {
    findings.ErrorAt(document.root.location, "yaml",
                     fmt::format("got {}, expected a group of keys", document.root.Describe()));
    return;
  }
  Walker(config, source, findings).Section("", "", document.root, Location{});
  Complete(source, config);
  CheckDataplane(config, findings);
  CheckServices(config, findings);
  CheckEdge(config, findings);
}

std::vector<std::string> SplitLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (!lines.back().empty() && lines.back().back() == '\r') lines.back().pop_back();
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

CheckResult FileProblem(const std::string& path, std::string message) {
  auto source = std::make_shared<Source>();
  source->file = path;
  CheckResult result;
  result.errors.push_back({path, {}, "file", std::move(message), ""});
  result.config.source = std::move(source);
  return result;
}

std::string TooLarge() {
  return fmt::format("got more than {} bytes, expected at most that many", kMaxFileBytes);
}

absl::StatusOr<Config> ConfigOrError(CheckResult result) {
  if (result.ok()) return std::move(result.config);
  std::string message;
  for (const Finding& error : result.errors) {
    if (!message.empty()) message += '\n';
    message += error.Line();
  }
  if (result.errors_left_off > 0) {
    message += fmt::format("\n{}: {} more errors", result.errors[0].file, result.errors_left_off);
  }
  return absl::InvalidArgumentError(message);
}

}  // namespace

CheckResult CheckText(std::string_view text, const std::string& filename) {
  if (text.size() > kMaxFileBytes) return FileProblem(filename, TooLarge());
  auto source = std::make_shared<Source>();
  source->file = filename;
  source->lines = SplitLines(text);
  Findings findings(*source);
  CheckResult result;
  ParseTree(text, result.config, *source, findings);
  result.errors = findings.TakeErrors();
  result.errors_left_off = findings.errors_left_off();
  result.warnings = findings.TakeWarnings();
  for (const Finding& warning : result.warnings) result.config.warnings.push_back(warning.Line());
  result.config.source = std::move(source);
  return result;
}

CheckResult CheckFile(const std::string& path) {
  // Not blocking: a FIFO must not hang the caller.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return FileProblem(path, fmt::format("cannot be read: {}", strerror(errno)));
  }
  struct stat status {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(fd);
    return FileProblem(path, "got something else than a regular file, expected a readable file");
  }
  std::string text(kMaxFileBytes + 1, '\0');
  size_t size = 0;
  ssize_t got = 0;
  while (size < text.size() && (got = read(fd, text.data() + size, text.size() - size)) > 0) {
    size += static_cast<size_t>(got);
  }
  const int read_error = got < 0 ? errno : 0;
  close(fd);
  if (read_error != 0) {
    return FileProblem(path, fmt::format("cannot be read: {}", strerror(read_error)));
  }
  text.resize(size);
  return CheckText(text, path);
}

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  return ConfigOrError(CheckFile(path));
}

absl::StatusOr<Config> ParseConfig(std::string_view text, const std::string& filename) {
  return ConfigOrError(CheckText(text, filename));
}

}  // namespace bridgehead::config
