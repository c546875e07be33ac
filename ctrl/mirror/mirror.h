// The netlink mirror: keeps a KernelState in step with the kernel and says when the routing that
// the relay needs has changed.
//
// How it works: one rtnetlink socket joins the notification groups and dumps links, addresses,
// routes and neighbours, one after the other, each of IPv4 and IPv6 in one go. Notifications that
// arrive meanwhile wait in the same socket in the order in which the kernel made them, between the
// parts of the dump, and are taken in as they come: nothing is lost between dump and follow. A dump
// that the kernel marks as interrupted is repeated, three times at once and then later: a table
// that never stands still is used as far as it is known. When the socket overflows (ENOBUFS) or
// breaks, a new one takes its place and everything is dumped again; what was known stays in use
// until the new dump is complete.
//
// Runs on a libevent loop, never blocks, needs no privilege. A change is reported at once, because
// packets wait for it in the relay; under many changes, those that come while one report is made
// are reported together, and no more than a fifth of the time goes into reports.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <event2/event.h>

#include "absl/status/status.h"
#include "ctrl/mirror/kernel_state.h"
#include "ctrl/mirror/routing.h"

struct mnl_socket;

namespace bridgehead::mirror {

class Mirror {
 public:
  // `changed` is called from the loop once the first dump is complete, and after each change of
  // routing(), own_addresses() or warnings(). `base` outlives the mirror.
  Mirror(event_base* base, std::function<void()> changed);
  ~Mirror();
  Mirror(const Mirror&) = delete;
  Mirror& operator=(const Mirror&) = delete;

  // Error: no rtnetlink socket can be had.
  absl::Status Start();

  // The kernel interface of each port, empty for a port without one. Takes effect in routing() at
  // once, without a call of `changed`.
  void SetDevices(std::vector<std::string> devices);

  // False until the first dump is complete; routing() is empty then.
  bool ready() const { return ready_; }
  const api::Routing& routing() const { return current_.routing; }
  const std::vector<std::string>& warnings() const { return current_.warnings; }
  const std::vector<Address>& own_addresses() const { return current_.own_addresses; }
  const KernelState& state() const { return state_; }
  uint64_t resyncs() const { return resyncs_; }  // sockets lost since Start()

 private:
  struct SocketCloser {
    void operator()(mnl_socket* socket) const;
  };
  struct EventFree {
    void operator()(event* e) const { event_free(e); }
  };
  using Event = std::unique_ptr<event, EventFree>;

  absl::Status OpenSocket();
  void OnReadable();
  // False when the socket was given up.
  bool TakeIn(const char* data, size_t size);
  void HandleControl(const nlmsghdr& message);
  void FinishDump(bool interrupted);
  void AskFor(Section section);
  void AskNext();
  void Resync(const std::string& why);
  void OnRetry();
  void OnAgain();
  void OnReport();
  void ScheduleReport();
  bool Rebuild();  // true when the result differs from the last one

  event_base* base_;
  std::function<void()> changed_;
  std::unique_ptr<mnl_socket, SocketCloser> socket_;
  Event readable_, report_, retry_, again_;
  std::vector<char> buffer_;
  KernelState state_;
  std::vector<std::string> devices_;
  MirroredRouting current_;
  std::string current_bytes_;  // serialised, to see whether a change matters

  bool wanted_[kSectionCount] = {};  // still to be dumped
  bool dumping_ = false;
  bool interrupted_ = false;
  int interruptions_[kSectionCount] = {};   // in a row
  bool torn_[kSectionCount] = {};           // the last dump was interrupted to the end
  bool dumped_[kSectionCount] = {};         // once at least
  Section section_ = Section::kNeighbours;  // the last one asked for
  uint32_t sequence_ = 0;
  bool ready_ = false;
  bool announced_ = false;
  std::chrono::steady_clock::time_point rest_until_;  // no report before
  uint64_t resyncs_ = 0;
  uint64_t malformed_ = 0;
};

}  // namespace bridgehead::mirror
