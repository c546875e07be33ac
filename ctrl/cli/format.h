// Numbers, durations and tables for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bridgehead::cli {

// "1,234,567".
std::string Thousands(uint64_t value);
std::string Thousands(int64_t value);
// "999 B", "1.2 KiB", "34 MiB": three significant digits at most.
std::string Bytes(uint64_t value);
// "12s", "3m 20s", "5h 2m", "12d 4h".
std::string Duration(uint64_t seconds);
// How long ago it was; both in seconds.
std::string Since(uint64_t then, uint64_t now);
// As a terminal shows it: control characters, which a name or an error may carry, as "?".
std::string Printable(const std::string& text);

// Columns as wide as their widest cell, two spaces between them. The last column is never padded,
// so that lines carry no trailing blanks; nothing is cut and nothing is wrapped.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as there are columns.
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  // One line for the titles, one for each row.
  std::string Text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace bridgehead::cli
