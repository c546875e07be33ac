#include "bench/rig/opening.h"

#include <algorithm>

namespace bridgehead::rig {
namespace {

constexpr unsigned kRequestsPerStep = 32;

}  // namespace

void Outbox::Flush() {
  if (waiting_.empty()) return;
  const uint16_t sent =
      rte_eth_tx_burst(wire_.port, 0, waiting_.data(), static_cast<uint16_t>(waiting_.size()));
  waiting_.erase(waiting_.begin(), waiting_.begin() + sent);
}

Opening::Opening(const Options& options, Sessions& sessions, Wires& wires, uint64_t begin,
                 double hz)
    : sessions_(sessions),
      pace_(options.open_rate, begin, hz),
      hz_(hz),
      begin_(begin),
      first_(options.sessions),
      next_(options.sessions),
      requests_(wires.client()),
      answers_(wires.bridge()) {}

void Opening::Step(uint64_t now) {
  for (unsigned i = 0; i < kRequestsPerStep && next_ < sessions_.size() && !requests_.full(); ++i) {
    if (now < begin_ || !pace_.Allows(report_.asked, now)) break;
    if (!requests_.Add([&](uint8_t* out) {
          return BuildStunRequest(sessions_.ToListener(next_), next_, out);
        })) {
      break;
    }
    ++next_;
    ++report_.asked;
  }
  requests_.Flush();
  answers_.Flush();
}

void Opening::AtBridge(const rte_mbuf* mbuf) {
  const auto received = ReadFrame(rte_pktmbuf_mtod(mbuf, const uint8_t*), mbuf->data_len);
  if (!received || received->tag < first_ || !sessions_.Learn(*received)) {
    ++report_.wrong;
    return;
  }
  ++report_.reached;
  if (answers_.full()) return;  // counts as not opened
  answers_.Add([&](uint8_t* out) {
    return BuildStunResponse(sessions_.FromBridge(received->tag), received->tag, out);
  });
}

void Opening::AtClient(const rte_mbuf* mbuf, uint64_t now) {
  const auto received = ReadFrame(rte_pktmbuf_mtod(mbuf, const uint8_t*), mbuf->data_len);
  if (!received || received->tag < first_ || !sessions_.RightAtClient(*received)) {
    ++report_.wrong;
    return;
  }
  ++report_.opened;
  last_opened_ = now;
}

OpeningReport Opening::Report() const {
  OpeningReport report = report_;
  if (last_opened_ > begin_) {
    report.per_second =
        static_cast<double>(report_.opened) * hz_ / static_cast<double>(last_opened_ - begin_);
  }
  return report;
}

}  // namespace bridgehead::rig
