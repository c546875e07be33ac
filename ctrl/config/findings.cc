#include <algorithm>

#include "ctrl/config/checks.h"
#include "ctrl/config/config.h"
#include "fmt/format.h"

namespace bridgehead::config {

namespace {

// A hostile file must not make a finding of every one of its bytes.
constexpr size_t kMaxStored = 500;
constexpr size_t kMaxSourceLine = 400;

std::vector<Finding> Sorted(std::vector<Finding> findings) {
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return std::pair(a.location.line, a.location.column) <
           std::pair(b.location.line, b.location.column);
  });
  return findings;
}

// True when `key` is `prefix` itself or something inside it.
bool IsIn(std::string_view key, std::string_view prefix) {
  return key.starts_with(prefix) &&
         (key.size() == prefix.size() || key[prefix.size()] == '.' || key[prefix.size()] == '[');
}

}  // namespace

Location Source::Find(std::string_view key) const {
  while (!key.empty()) {
    const auto found = locations.find(std::string(key));
    if (found != locations.end()) return found->second;
    const size_t cut = key.find_last_of(".[");
    key = cut == std::string_view::npos ? "" : key.substr(0, cut);
  }
  return {};
}

namespace {

// What a file holds must not steer the terminal that shows it. As many characters as there were.
std::string Printable(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t' && c != '\n') || byte == 0x7f) c = '?';
  }
  return text;
}

}  // namespace

std::string Finding::Line() const {
  return fmt::format("{}:{}:{}: {}: {}", file, location.line, location.column, key,
                     Printable(message));
}

std::string Finding::WithCaret() const {
  if (source_line.empty()) return Line();
  const auto width = static_cast<int>(source_line.size());
  const int before = std::clamp(location.column - 1, 0, width);
  const int length = std::clamp(location.length, 1, std::max(1, width - before));
  // Tabs stay tabs, so that the caret stands under its token whatever a tab's width is.
  std::string blank = source_line.substr(0, static_cast<size_t>(before));
  for (char& c : blank) c = c == '\t' ? '\t' : ' ';
  return fmt::format("{}\n  {}\n  {}^{}", Line(), Printable(source_line), blank,
                     std::string(static_cast<size_t>(length - 1), '~'));
}

void Findings::Error(const std::string& key, std::string message) {
  ErrorAt(source_.Find(key), key, std::move(message));
}

void Findings::ErrorAt(const Location& location, const std::string& key, std::string message) {
  if (errors_.size() >= kMaxStored) {
    errors_left_off_++;
    return;
  }
  errors_.push_back(Make(location, key, std::move(message)));
}

void Findings::Warning(const std::string& key, std::string message) {
  if (warnings_.size() >= kMaxStored) return;
  warnings_.push_back(Make(source_.Find(key), key, std::move(message)));
}

bool Findings::HasErrorIn(std::string_view key) const {
  return std::any_of(errors_.begin(), errors_.end(),
                     [&](const Finding& error) { return IsIn(error.key, key); });
}

bool Findings::HasErrorAt(std::string_view key) const {
  return std::any_of(errors_.begin(), errors_.end(),
                     [&](const Finding& error) { return error.key == key; });
}

std::vector<Finding> Findings::TakeErrors() {
  std::vector<Finding> errors = Sorted(std::move(errors_));
  if (errors.size() > kMaxErrors) {
    errors_left_off_ += errors.size() - kMaxErrors;
    errors.resize(kMaxErrors);
  }
  return errors;
}

std::vector<Finding> Findings::TakeWarnings() {
  return Sorted(std::move(warnings_));
}

Finding Findings::Make(const Location& location, const std::string& key,
                       std::string message) const {
  Finding finding{source_.file, location, key, std::move(message), ""};
  const auto line = static_cast<size_t>(location.line);
  if (line >= 1 && line <= source_.lines.size() &&
      source_.lines[line - 1].size() <= kMaxSourceLine) {
    finding.source_line = source_.lines[line - 1];
  }
  return finding;
}

}  // namespace bridgehead::config
