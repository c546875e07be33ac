#include "ctrl/proxy/route/template.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace bridgehead::proxy {

absl::StatusOr<Template> Template::Parse(std::string_view text,
                                         std::span<const std::string_view> variables) {
  Template parsed;
  Piece piece;
  while (!text.empty()) {
    const size_t dollar = std::min(text.find('$'), text.size());
    piece.text += text.substr(0, dollar);
    text.remove_prefix(dollar);
    if (text.empty()) break;
    if (text.starts_with("$$")) {
      piece.text += '$';
      text.remove_prefix(2);
      continue;
    }
    const auto end = std::find_if(text.begin() + 1, text.end(), [](unsigned char c) {
      return !absl::ascii_isalnum(c) && c != '_';
    });
    const std::string_view name(text.begin() + 1, end);
    const auto known = std::find(variables.begin(), variables.end(), name);
    if (known == variables.end()) {
      return absl::InvalidArgumentError(
          fmt::format("got ${}, expected one of ${}, or $$ for a dollar sign", name,
                      fmt::join(variables, ", $")));
    }
    piece.variable = static_cast<size_t>(known - variables.begin());
    parsed.pieces_.push_back(std::move(piece));
    piece = {};
    text.remove_prefix(name.size() + 1);
  }
  if (!piece.text.empty()) parsed.pieces_.push_back(std::move(piece));
  return parsed;
}

}  // namespace bridgehead::proxy
