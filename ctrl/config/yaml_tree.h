// YAML text to a bounded tree whose every node knows its place. Built on yaml-cpp's events rather
// than on its Node, which keeps duplicate keys in silence, expands aliases without bound and loses
// places.
//
// Refused here, each with its place: text that is not UTF-8 or holds control characters, tabs in
// indentation, syntax errors, duplicate keys, keys that are not scalars, anchors, aliases and tags
// (a configuration needs none, and aliases can blow up), nesting deeper than 16, more than one
// document.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ctrl/config/config.h"

namespace bridgehead::config {

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMapping };
  struct Entry;

  Kind kind = Kind::kNull;
  bool quoted = false;  // scalar written in quotes: it is text, whatever it looks like
  std::string text;     // of a scalar
  Location location;
  std::vector<YamlNode> items;  // of a sequence
  std::vector<Entry> entries;   // of a mapping, in the file's order

  // What it is, for messages: "80", a list, ...; long scalars are cut.
  std::string Describe() const;
};

struct YamlNode::Entry {
  std::string key;
  Location key_location;
  YamlNode value;
};

// What went wrong, without the file's name: `key` is a dotted path or "yaml".
struct YamlProblem {
  Location location;
  std::string key;
  std::string message;
};

struct YamlDocument {
  YamlNode root;
  std::vector<YamlProblem> problems;
  bool readable = false;  // root is there; there may still be problems
};

YamlDocument ReadYaml(std::string_view text);

// RFC 3629.
bool IsUtf8(std::string_view text);

// Makes the bytes of a message printable: control and non-ASCII bytes as \xNN, cut at 60 bytes.
std::string Printable(std::string_view text);

}  // namespace bridgehead::config
