// The fields of a head that will be written, as policy reads and changes them.
#pragma once

#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"

namespace bridgehead::proxy {

// Names are compared without regard to case (RFC 9110 section 5.1). What is passed in is copied.
class FieldEditor {
 public:
  using Visit = absl::FunctionRef<void(std::string_view name, std::string_view value)>;
  using Choose = absl::FunctionRef<bool(std::string_view name)>;

  // In their order. The views are valid within the call.
  virtual void ForEach(Visit visit) const = 0;
  virtual bool Has(std::string_view name) const = 0;
  virtual void Add(std::string_view name, std::string_view value) = 0;
  // Leaves one of this name.
  virtual void Set(std::string_view name, std::string_view value) = 0;
  virtual void Remove(std::string_view name) = 0;
  // All whose name `choose` says true to, in one pass.
  virtual void RemoveIf(Choose choose) = 0;

 protected:
  ~FieldEditor() = default;
};

inline bool SameName(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase({a.data(), a.size()}, {b.data(), b.size()});
}

}  // namespace bridgehead::proxy
