#include "ctrl/cli/format.h"

#include <algorithm>

#include "fmt/format.h"

namespace bridgehead::cli {

std::string Thousands(uint64_t value) {
  std::string digits = fmt::format("{}", value);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string Thousands(int64_t value) {
  if (value >= 0) return Thousands(static_cast<uint64_t>(value));
  return "-" + Thousands(uint64_t{0} - static_cast<uint64_t>(value));
}

std::string Bytes(uint64_t value) {
  if (value < 1024) return fmt::format("{} B", value);
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double scaled = static_cast<double>(value) / 1024;
  size_t unit = 0;
  // 1023.95 would print as 1024.0, 1023.5 as 1024: on to the next unit before that.
  while (scaled >= 999.5 && unit + 1 < std::size(kUnits)) {
    scaled /= 1024;
    ++unit;
  }
  int decimals = scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", scaled, decimals, kUnits[unit]);
}

std::string Duration(uint64_t seconds) {
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m {}s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{}h {}m", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{}d {}h", seconds / 86400, seconds / 3600 % 24);
}

std::string Since(uint64_t then, uint64_t now) {
  return Duration(now > then ? now - then : 0);
}

std::string Printable(const std::string& text) {
  std::string out = text;
  for (char& c : out) {
    auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n') || byte == 0x7f) c = '?';
  }
  return out;
}

std::string Table::Text() const {
  std::vector<size_t> widths;
  for (const Column& column : columns_) widths.push_back(column.title.size());
  for (const auto& row : rows_) {
    for (size_t c = 0; c < columns_.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string out;
  auto line = [&](auto cell) {
    for (size_t c = 0; c < columns_.size(); ++c) {
      const std::string& text = cell(c);
      bool last = c + 1 == columns_.size();
      if (columns_[c].align == Align::kRight) {
        out += fmt::format("{:>{}}", text, widths[c]);
      } else {
        out += last ? text : fmt::format("{:<{}}", text, widths[c]);
      }
      if (!last) out += "  ";
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    out += "\n";
  };
  line([&](size_t c) -> const std::string& { return columns_[c].title; });
  for (const auto& row : rows_) {
    line([&](size_t c) -> const std::string& { return row[c]; });
  }
  return out;
}

}  // namespace bridgehead::cli
