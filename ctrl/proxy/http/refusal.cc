#include "ctrl/proxy/http/refusal.h"

namespace bridgehead::proxy {

uint16_t StatusOf(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      break;
#define BRIDGEHEAD_X(name, status, text) \
  case Refusal::name:                    \
    return status;
      BRIDGEHEAD_HTTP_REFUSALS(BRIDGEHEAD_X)
#undef BRIDGEHEAD_X
  }
  return 200;
}

std::string_view TextOf(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      break;
#define BRIDGEHEAD_X(name, status, text) \
  case Refusal::name:                    \
    return text;
      BRIDGEHEAD_HTTP_REFUSALS(BRIDGEHEAD_X)
#undef BRIDGEHEAD_X
  }
  return "";
}

}  // namespace bridgehead::proxy
