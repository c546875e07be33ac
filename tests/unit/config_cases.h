// Tables of mistakes in a configuration: one key, one mistake, one message with its place.
#pragma once

#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctrl/config/config.h"
#include "ctrl/config/schema.h"

namespace bridgehead::config {

struct Case {
  std::string from;  // this text of the base
  std::string to;    // ... becomes this
  std::string path;  // of the only error
  std::string got;   // its message begins with it
  std::string at;    // text at its place; "" when it is about something left out
};

inline std::string Changed(const std::string& base, const Case& c) {
  std::string text = base;
  const size_t at = text.find(c.from);
  EXPECT_NE(at, std::string::npos) << c.from;
  if (at != std::string::npos) text.replace(at, c.from.size(), c.to);
  return text;
}

// dataplane.ports[3].name -> dataplane.ports[].name; the element of a list of values is the list.
inline std::string SchemaPath(const std::string& path) {
  std::string result;
  bool inside = false;
  for (const char c : path) {
    if (c == ']') inside = false;
    if (!inside) result += c;
    if (c == '[') inside = true;
  }
  if (result.ends_with("[]")) result.resize(result.size() - 2);
  return result;
}

inline bool IsOfEdge(const Key& key) {
  return key.path == "edge" || key.path.starts_with("edge.");
}

inline void ExpectNamed(const std::string& base, const Case& c) {
  SCOPED_TRACE(c.from + " -> " + c.to);
  const CheckResult result = CheckText(Changed(base, c), "t.yaml");
  const Finding* found = nullptr;
  for (const Finding& error : result.errors) {
    if (error.key == c.path) found = &error;
    EXPECT_THAT(error.Line(), testing::MatchesRegex("t\\.yaml:[0-9]+:[0-9]+: [^ ]+: got .+, "
                                                    "expected .+"));
  }
  ASSERT_NE(found, nullptr) << (result.ok() ? "no error" : result.errors[0].Line());
  EXPECT_THAT(found->message, testing::StartsWith(c.got));
  if (!c.at.empty()) {
    const auto column = static_cast<size_t>(found->location.column - 1);
    ASSERT_LE(column, found->source_line.size());
    EXPECT_THAT(found->source_line.substr(column), testing::StartsWith(c.at)) << found->Line();
  }
  // A mistake has one message, unless the change itself moved keys elsewhere.
  if (c.from.find('\n') == std::string::npos) {
    EXPECT_EQ(result.errors.size(), 1u) << result.errors.back().Line();
  }
}

inline void ExpectEachIsNamed(const std::string& base, const std::vector<Case>& cases) {
  for (const Case& c : cases) ExpectNamed(base, c);
}

// So that a new key without a bad value fails.
template <typename Wanted>
void ExpectEveryKeyHasACase(const std::vector<Case>& cases, Wanted wanted) {
  std::set<std::string> covered;
  for (const Case& c : cases) covered.insert(SchemaPath(c.path));
  for (const Key& key : Schema()) {
    if (wanted(key)) {
      EXPECT_TRUE(covered.contains(key.path)) << key.path << " has no case";
    }
  }
}

}  // namespace bridgehead::config
