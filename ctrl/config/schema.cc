#include "ctrl/config/schema.h"

namespace bridgehead::config {

std::string Key::ChildPrefix() const {
  return path + (list ? "[]." : ".");
}

const std::vector<Key>& Schema() {
  static const std::vector<Key> schema = [] {
    std::vector<Key> keys = DataplaneKeys();
    for (Key& key : PortKeys()) keys.push_back(std::move(key));
    for (Key& key : ServiceKeys()) keys.push_back(std::move(key));
    for (Key& key : EdgeKeys()) keys.push_back(std::move(key));
    return keys;
  }();
  return schema;
}

std::vector<const Key*> KeysIn(std::string_view prefix) {
  std::vector<const Key*> keys;
  for (const Key& key : Schema()) {
    if (key.path.starts_with(prefix) &&
        key.path.find('.', prefix.size()) == std::string_view::npos) {
      keys.push_back(&key);
    }
  }
  return keys;
}

}  // namespace bridgehead::config
