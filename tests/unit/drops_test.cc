// The documents name every drop, with the words of drops.def, and no other.
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "relay/walk/drop.h"

namespace bridgehead {
namespace {

TEST(Drops, ReadmeTableIsTheListInItsOrder) {
  std::ifstream file(std::string(BRIDGEHEAD_SOURCE) + "/relay/README.md");
  ASSERT_TRUE(file.good());
  std::vector<std::string> rows;
  bool in_drops = false;
  for (std::string line; std::getline(file, line);) {
    if (line == "## Drops") in_drops = true;
    if (in_drops && line.starts_with("| `")) rows.push_back(line);
  }
  ASSERT_EQ(rows.size(), kDropCount);
  for (size_t d = 0; d < kDropCount; ++d) {
    EXPECT_EQ(rows[d], "| `" + std::string(kDropInfo[d].label) + "` | " +
                           std::string(kDropInfo[d].text) + " |");
  }
}

TEST(Drops, LabelsAreDistinctAndFitForMetrics) {
  std::set<std::string_view> labels;
  for (const DropInfo& info : kDropInfo) {
    EXPECT_TRUE(labels.insert(info.label).second) << info.label;
    EXPECT_EQ(info.label.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
              std::string_view::npos);
  }
}

// What the XDP program drops, the relay drops by the same name where there is no such program.
TEST(Drops, EarlyDropsAreAmongTheRelays) {
  std::set<std::string_view> labels;
  for (const DropInfo& info : kDropInfo) labels.insert(info.label);
  for (std::string_view label : kEarlyDropLabels) EXPECT_EQ(labels.erase(label), 1u) << label;
}

}  // namespace
}  // namespace bridgehead
