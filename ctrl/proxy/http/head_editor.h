// A request's or response's head, as policy edits it.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ctrl/proxy/http/message.h"
#include "ctrl/proxy/route/field_editor.h"

namespace bridgehead::proxy {

// Host is a request's authority. What a head does not take (HTTP's grammar) is not written: what
// the configuration says was checked when it was read, so this is about what variables stand for.
template <typename HeadType>
class HeadEditor final : public FieldEditor {
 public:
  explicit HeadEditor(HeadType& head) : head_(head) {}

  void ForEach(Visit visit) const override {
    for (const Field field : head_.fields()) visit(field.name, field.value);
  }
  bool Has(std::string_view name) const override { return head_.Find(name).has_value(); }
  void Add(std::string_view name, std::string_view value) override {
    static_cast<void>(head_.Add(name, value));
  }
  void Set(std::string_view name, std::string_view value) override {
    if constexpr (std::is_same_v<HeadType, RequestHead>) {
      if (HeaderIdOf(name) == HeaderId::kHost) {
        static_cast<void>(head_.SetAuthority(value));
        return;
      }
    }
    static_cast<void>(head_.Set(name, value));
  }
  void Remove(std::string_view name) override { head_.Remove(name); }
  void RemoveIf(Choose choose) override {
    std::vector<std::string> chosen;
    for (const Field field : head_.fields()) {
      if (choose(field.name)) chosen.emplace_back(field.name);
    }
    for (const std::string& name : chosen) head_.Remove(name);
  }

 private:
  HeadType& head_;
};

}  // namespace bridgehead::proxy
