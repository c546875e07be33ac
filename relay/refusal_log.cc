#include "relay/refusal_log.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "fmt/format.h"

namespace bridgehead {
namespace {

std::string Text(const Ipv6Address& address, be16 port) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.IsMapped()) {
    inet_ntop(AF_INET, address.bytes.data() + 12, text, sizeof(text));
    return fmt::format("{}:{}", text, port.ToHost());
  }
  inet_ntop(AF_INET6, address.bytes.data(), text, sizeof(text));
  return fmt::format("[{}]:{}", text, port.ToHost());
}

std::string Who(const Refusal& refusal, const std::string& listener) {
  return fmt::format("{} -> {} ({})", Text(refusal.source, refusal.source_port),
                     Text(refusal.destination, refusal.destination_port),
                     listener.empty() ? "from a bridge" : "listener " + listener);
}

}  // namespace

void RefusalLog::Note(const Refusal& refusal, const std::string& listener) {
  if (lines_ == 0) return;
  Reason& reason = reasons_[DropIndex(refusal.drop)];
  if (reason.lines == lines_) {
    reason.who = Who(refusal, listener);
    return;
  }
  ++reason.lines;
  ++reason.told;
  sink_(fmt::format("refused {}: {}", Who(refusal, listener),
                    kDropInfo[DropIndex(refusal.drop)].label));
}

void RefusalLog::EndWindow(const Totals& totals) {
  for (Drop drop : kLoggedRefusals) {
    const size_t index = DropIndex(drop);
    Reason& reason = reasons_[index];
    const auto label = kDropInfo[index].label;
    // A packet is counted a moment after it was noted, so a line may be ahead of the total.
    if (lines_ != 0 && totals[index] > reason.told) {
      const uint64_t more = totals[index] - reason.told;
      if (!reason.who) {
        sink_(fmt::format("refused: {}: {} more in the last {} s", label, more, kWindowSeconds));
      } else if (more == 1) {
        sink_(fmt::format("refused {}: {}", *reason.who, label));
      } else {
        sink_(fmt::format("refused {}: {}; {} more in the last {} s", *reason.who, label, more - 1,
                          kWindowSeconds));
      }
    }
    reason.lines = 0;
    reason.who.reset();
    if (lines_ == 0 || totals[index] > reason.told) reason.told = totals[index];
  }
}

}  // namespace bridgehead
