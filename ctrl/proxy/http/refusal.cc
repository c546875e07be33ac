#include "ctrl/proxy/http/refusal.h"

#include <cstddef>

namespace bridgehead::proxy {
namespace {

struct Entry {
  uint16_t status;
  std::string_view text;
};

// In the order of the enumeration.
// clang-format off
constexpr Entry kEntries[] = {
    {200, ""},
#define BRIDGEHEAD_X(name, status, text) {status, text},
    BRIDGEHEAD_HTTP_REFUSALS(BRIDGEHEAD_X)
#undef BRIDGEHEAD_X
};
// clang-format on

}  // namespace

uint16_t StatusOf(Refusal refusal) {
  return kEntries[static_cast<size_t>(refusal)].status;
}

std::string_view TextOf(Refusal refusal) {
  return kEntries[static_cast<size_t>(refusal)].text;
}

}  // namespace bridgehead::proxy
