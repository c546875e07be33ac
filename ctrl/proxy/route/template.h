// Text with variables in it: "https://$host$path".
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace bridgehead::proxy {

class Template {
 public:
  // `variables`: the names that may follow a "$" (letters, digits and "_" are part of a name); "$$"
  // stands for a dollar sign. Error: another name, or none.
  static absl::StatusOr<Template> Parse(std::string_view text,
                                        std::span<const std::string_view> variables);

  // `value_of`: from a variable's index to its value.
  template <typename ValueOf>
  void AppendTo(std::string& out, ValueOf&& value_of) const {
    for (const Piece& piece : pieces_) {
      out += piece.text;
      if (piece.variable != kNone) out += std::string_view(value_of(piece.variable));
    }
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);
  struct Piece {
    std::string text;  // in front of the variable
    size_t variable = kNone;
  };
  std::vector<Piece> pieces_;
};

}  // namespace bridgehead::proxy
