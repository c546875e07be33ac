#include "ctrl/config/yaml_tree.h"

#include <algorithm>
#include <sstream>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "absl/container/flat_hash_map.h"
#include "fmt/format.h"

namespace bridgehead::config {

namespace {

constexpr size_t kMaxDepth = 16;
constexpr size_t kMaxProblems = 100;

Location At(const YAML::Mark& mark, size_t length = 1) {
  return Location{std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1,
                  static_cast<int>(std::max<size_t>(length, 1))};
}

// Builds the tree. A node is complete when its End event arrives; a stack holds the open ones.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view text, YamlDocument& document) : text_(text), document_(document) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) Problem(At(mark), "got a second document, expected one document");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    YamlNode node;
    node.location = At(mark);
    Add(std::move(node));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Problem(At(mark), "got an alias (*), expected the value itself: aliases are not supported");
    Add(YamlNode{});
  }
  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    Problem(At(mark, name.size() + 1),
            "got an anchor (&), expected the value itself: anchors are not supported");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    RefuseTag(mark, tag);
    if (tag == "!" && Unclosed(static_cast<size_t>(std::max(mark.pos, 0)))) {
      Problem(At(mark), "got text without its closing quote, expected one");
    }
    YamlNode node;
    node.kind = YamlNode::Kind::kScalar;
    node.quoted = tag == "!";
    node.text = value;
    node.location = At(mark, value.size() + (node.quoted ? 2 : 0));
    Add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    RefuseTag(mark, tag);
    Open(YamlNode::Kind::kSequence, mark);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    RefuseTag(mark, tag);
    Open(YamlNode::Kind::kMapping, mark);
  }
  void OnMapEnd() override { Close(); }

  int documents() const { return documents_; }

 private:
  struct OpenNode {
    YamlNode node;
    bool has_key = false;  // of a mapping: the next node is a value
    bool skip = false;     // ... of a key already refused
    std::string key;
    Location key_location;
    absl::flat_hash_map<std::string, int> keys;  // line of each
  };

  std::string Path() const {
    std::string path;
    for (const OpenNode& open : stack_) {
      if (open.node.kind == YamlNode::Kind::kSequence) {
        path += fmt::format("[{}]", open.node.items.size());
      } else if (open.has_key) {
        path += path.empty() ? open.key : "." + open.key;
      }
    }
    return path.empty() ? "yaml" : path;
  }
  void Problem(Location location, std::string message) {
    if (document_.problems.size() < kMaxProblems) {
      document_.problems.push_back({location, Path(), std::move(message)});
    }
  }
  void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "!" || tag == "?") return;
    Problem(At(mark), fmt::format("got the tag \"{}\", expected a plain value", Printable(tag)));
  }
  // The parser takes the end of the file for a closing quote. `at` is the opening one.
  bool Unclosed(size_t at) const {
    if (at >= text_.size() || (text_[at] != '"' && text_[at] != '\'')) return false;
    const char quote = text_[at];
    for (size_t i = at + 1; i < text_.size(); i++) {
      if (quote == '"' && text_[i] == '\\') {
        i++;
      } else if (text_[i] == quote) {
        // In single quotes a doubled one stands for itself.
        if (quote == '"' || i + 1 >= text_.size() || text_[i + 1] != quote) return false;
        i++;
      }
    }
    return true;
  }
  void Open(YamlNode::Kind kind, const YAML::Mark& mark) {
    depth_++;
    if (depth_ == kMaxDepth + 1) {
      Problem(At(mark),
              fmt::format("got nesting deeper than {}, expected a shallower document", kMaxDepth));
    }
    if (depth_ > kMaxDepth) return;
    OpenNode open;
    open.node.kind = kind;
    open.node.location = At(mark);
    stack_.push_back(std::move(open));
  }
  void Close() {
    if (depth_-- > kMaxDepth) return;
    YamlNode node = std::move(stack_.back().node);
    stack_.pop_back();
    Add(std::move(node));
  }
  void Add(YamlNode node) {
    if (depth_ > kMaxDepth) return;
    if (stack_.empty()) {
      if (documents_ <= 1) document_.root = std::move(node);
      return;
    }
    OpenNode& parent = stack_.back();
    if (parent.node.kind == YamlNode::Kind::kSequence) {
      parent.node.items.push_back(std::move(node));
    } else if (parent.has_key) {
      AddValue(parent, std::move(node));
    } else {
      AddKey(parent, std::move(node));
    }
  }
  void AddKey(OpenNode& parent, YamlNode node) {
    parent.skip = node.kind != YamlNode::Kind::kScalar;
    if (parent.skip) {
      Problem(node.location, fmt::format("got {} as a key, expected a name", node.Describe()));
    }
    parent.key = parent.skip ? "?" : Printable(node.text);
    parent.key_location = node.location;
    parent.has_key = true;
    if (parent.skip) return;
    const auto [first, fresh] = parent.keys.try_emplace(parent.key, node.location.line);
    if (!fresh) {
      parent.skip = true;
      Problem(node.location,
              fmt::format("got the key a second time (the first is on line {}), expected it once",
                          first->second));
    }
  }
  void AddValue(OpenNode& parent, YamlNode node) {
    parent.has_key = false;
    if (parent.skip) return;
    // The parser places an empty value at the token behind it; its key says more.
    if (node.kind == YamlNode::Kind::kNull && node.text.empty()) {
      node.location = parent.key_location;
    }
    parent.node.entries.push_back({parent.key, parent.key_location, std::move(node)});
  }

  std::string_view text_;
  YamlDocument& document_;
  std::vector<OpenNode> stack_;
  size_t depth_ = 0;
  int documents_ = 0;
};

// Length of the UTF-8 sequence at the start of `text`, or 0 when it is not one (RFC 3629 section
// 4).
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned b0 = byte(0);
  const unsigned b1 = byte(1);
  if (b0 < 0x80) return 1;
  if (b0 >= 0xc2 && b0 <= 0xdf) return tail(1) ? 2 : 0;
  if (b0 >= 0xe0 && b0 <= 0xef) {
    const bool first = tail(1) && !(b0 == 0xe0 && b1 < 0xa0) && !(b0 == 0xed && b1 > 0x9f);
    return first && tail(2) ? 3 : 0;
  }
  if (b0 >= 0xf0 && b0 <= 0xf4) {
    const bool first = tail(1) && !(b0 == 0xf0 && b1 < 0x90) && !(b0 == 0xf4 && b1 > 0x8f);
    return first && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

// Bytes that no configuration may hold, found before the parser sees them.
void CheckBytes(std::string_view text, std::vector<YamlProblem>& problems) {
  int line = 1;
  size_t line_start = 0;
  bool indentation = true;
  for (size_t i = 0; i < text.size();) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    const Location here{line, static_cast<int>(i - line_start) + 1, 1};
    const size_t length = Utf8Length(text.substr(i));
    if (c == '\n') {
      line++;
      line_start = i + 1;
      indentation = true;
    } else if (c == '\t' && indentation) {
      problems.push_back({here, "yaml", "got a tab, expected spaces as indentation"});
      return;
    } else if (length == 0) {
      problems.push_back(
          {here, "yaml", fmt::format("got the byte 0x{:02x}, expected UTF-8 text", c)});
      return;
    } else if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f) {
      problems.push_back(
          {here, "yaml", fmt::format("got the control character 0x{:02x}, expected text", c)});
      return;
    } else if (c != ' ') {
      indentation = false;
    }
    i += std::max<size_t>(length, 1);
  }
}

// Whether the colon at `position` may belong to an IPv6 address: after its bracket, with which YAML
// opens a list, or after another colon, where YAML takes it for the end of a key.
bool EndsAnIpv6Address(std::string_view text, int position) {
  if (position < 1 || static_cast<size_t>(position) >= text.size()) return false;
  const auto at = static_cast<size_t>(position);
  return text[at] == ':' && (text[at - 1] == ']' || text[at - 1] == ':');
}

}  // namespace

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string Printable(std::string_view text) {
  constexpr size_t kLongest = 60;
  std::string result;
  for (const char c : text.substr(0, kLongest)) {
    const unsigned char u = static_cast<unsigned char>(c);
    if (u < 0x20 || u >= 0x7f) {
      result += fmt::format("\\x{:02x}", u);
    } else {
      result.push_back(c);
    }
  }
  if (text.size() > kLongest) result += "...";
  return result;
}

std::string YamlNode::Describe() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar:
      return "\"" + Printable(text) + "\"";
    case Kind::kSequence:
      return "a list";
    case Kind::kMapping:
      return "a group of keys";
  }
  return "";
}

YamlDocument ReadYaml(std::string_view text) {
  YamlDocument document;
  CheckBytes(text, document.problems);
  if (!document.problems.empty()) return document;
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  TreeBuilder builder(text, document);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (builder.documents() < 2 && parser.HandleNextDocument(builder)) {
    }
    document.readable = true;
  } catch (const YAML::Exception& error) {
    std::string message =
        fmt::format("got a syntax error ({}), expected YAML", Printable(error.msg));
    if (EndsAnIpv6Address(text, error.mark.pos)) {
      message += "; \"[2001:db8::10]:10000\" and \"2001:db8::\" stand in quotes";
    }
    document.problems.push_back({At(error.mark), "yaml", std::move(message)});
  }
  return document;
}

}  // namespace bridgehead::config
