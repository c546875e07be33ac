#include "ctrl/proxy/accept/refusal_log.h"

#include <utility>

#include "fmt/format.h"

namespace bridgehead::proxy {

bool AcceptRefusalLog::Note(std::string_view listener, const SocketAddress& client,
                            AcceptRefusal refusal) {
  if (refusal == AcceptRefusal::kClosedEarly) return false;
  const size_t index = RefusalIndex(refusal);
  Reason& reason = reasons_[index];
  if (++reason.noted <= kLines) {
    Write(index, listener, client, 0);
  } else {
    reason.listener = listener;
    reason.client = client;
  }
  return !std::exchange(window_, true);
}

void AcceptRefusalLog::EndWindow() {
  for (size_t i = 0; i < kRefusalCount; ++i) {
    const Reason reason = std::exchange(reasons_[i], {});
    if (reason.noted > kLines) Write(i, reason.listener, reason.client, reason.noted - kLines - 1);
  }
  window_ = false;
}

void AcceptRefusalLog::Write(size_t reason, std::string_view listener, const SocketAddress& client,
                             uint32_t more) {
  const std::string others =
      more > 0 ? fmt::format("; {} more in the last {} s", more, kWindow.count()) : std::string();
  sink_(fmt::format("edge: refused {} (listener {}): {}{}", client.text(), listener,
                    kRefusalInfo[reason].label, others));
}

}  // namespace bridgehead::proxy
