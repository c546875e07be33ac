#include "ctrl/mirror/mirror.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fmt/format.h"
#include "relay/api/log.h"

namespace bridgehead::mirror {
namespace {

constexpr int kSocketBufferBytes = 8 * 1024 * 1024;
constexpr size_t kReadBufferBytes = 64 * 1024;  // more than one part of a dump has
constexpr int kReadsPerTurn = 64;               // then others on the loop get their turn
constexpr timeval kRetryAfter{0, 500'000};
constexpr timeval kDumpStuckAfter{5, 0};
constexpr int kRepeats = 3;  // of an interrupted dump, at once
constexpr timeval kDumpAgainAfter{5, 0};
constexpr int kRestPerWork = 4;  // times the duration of the last report
constexpr std::chrono::microseconds kLongestRest = std::chrono::milliseconds(500);
using Clock = std::chrono::steady_clock;

constexpr uint16_t kDumpTypes[kSectionCount] = {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE,
                                                RTM_GETNEIGH};
constexpr int kGroups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                           RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_NEIGH,
                           RTNLGRP_NEXTHOP};

}  // namespace

void Mirror::SocketCloser::operator()(mnl_socket* socket) const {
  mnl_socket_close(socket);
}

Mirror::Mirror(event_base* base, std::function<void()> changed)
    : base_(base), changed_(std::move(changed)), buffer_(kReadBufferBytes) {
  report_.reset(evtimer_new(
      base_, [](int, short, void* self) { static_cast<Mirror*>(self)->OnReport(); }, this));
  retry_.reset(evtimer_new(
      base_, [](int, short, void* self) { static_cast<Mirror*>(self)->OnRetry(); }, this));
  again_.reset(evtimer_new(
      base_, [](int, short, void* self) { static_cast<Mirror*>(self)->OnAgain(); }, this));
}

Mirror::~Mirror() {
  readable_.reset();
}

absl::Status Mirror::Start() {
  absl::Status status = OpenSocket();
  if (!status.ok()) return status;
  std::fill(std::begin(wanted_), std::end(wanted_), true);
  AskNext();
  return absl::OkStatus();
}

absl::Status Mirror::OpenSocket() {
  readable_.reset();
  dumping_ = false;
  socket_.reset(mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket_) return absl::UnavailableError(fmt::format("netlink socket: {}", strerror(errno)));
  int fd = mnl_socket_get_fd(socket_.get());
  // Past the system's limit with the right to do so, else up to it.
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBufferBytes, sizeof(int)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSocketBufferBytes, sizeof(int));
  }
  int on = 1;
  mnl_socket_setsockopt(socket_.get(), NETLINK_GET_STRICT_CHK, &on, sizeof(on));
  if (mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) != 0) {
    return absl::UnavailableError(fmt::format("netlink bind: {}", strerror(errno)));
  }
  for (int group : kGroups) {
    if (mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0 &&
        group != RTNLGRP_NEXTHOP) {  // older kernels have no next hop objects
      return absl::UnavailableError(fmt::format("netlink group {}: {}", group, strerror(errno)));
    }
  }
  readable_.reset(event_new(
      base_, fd, EV_READ | EV_PERSIST,
      [](int, short, void* self) { static_cast<Mirror*>(self)->OnReadable(); }, this));
  event_add(readable_.get(), nullptr);
  return absl::OkStatus();
}

void Mirror::SetDevices(std::vector<std::string> devices) {
  devices_ = std::move(devices);
  if (ready_) Rebuild();
}

void Mirror::AskNext() {
  // In turn: a section that is always wanted again must not keep the others from theirs.
  const size_t last = static_cast<size_t>(section_);
  for (size_t i = 1; i <= kSectionCount && !dumping_; ++i) {
    const size_t next = (last + i) % kSectionCount;
    if (wanted_[next]) AskFor(static_cast<Section>(next));
  }
  if (!dumping_) evtimer_del(retry_.get());
}

void Mirror::AskFor(Section section) {
  alignas(nlmsghdr) char request[256] = {};
  nlmsghdr* header = mnl_nlmsg_put_header(request);
  header->nlmsg_type = kDumpTypes[static_cast<size_t>(section)];
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = ++sequence_;
  // The kernel checks each header strictly. All zeros ask for everything of every family.
  constexpr size_t kHeaderBytes[kSectionCount] = {sizeof(ifinfomsg), sizeof(ifaddrmsg),
                                                  sizeof(rtmsg), sizeof(ndmsg)};
  mnl_nlmsg_put_extra_header(header, kHeaderBytes[static_cast<size_t>(section)]);
  if (mnl_socket_sendto(socket_.get(), header, header->nlmsg_len) < 0) {
    Resync(fmt::format("cannot ask: {}", strerror(errno)));
    return;
  }
  wanted_[static_cast<size_t>(section)] = false;
  state_.BeginDump(section);
  section_ = section;
  dumping_ = true;
  interrupted_ = false;
  evtimer_add(retry_.get(), &kDumpStuckAfter);
}

void Mirror::OnReadable() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    sockaddr_nl from{};
    iovec part{buffer_.data(), buffer_.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    ssize_t size = recvmsg(mnl_socket_get_fd(socket_.get()), &message, 0);
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return;
      Resync(strerror(errno));  // ENOBUFS: notifications were lost
      return;
    }
    if (from.nl_pid != 0) continue;  // only the kernel is believed
    if ((message.msg_flags & MSG_TRUNC) != 0) {
      Resync("message larger than the buffer");
      return;
    }
    if (!TakeIn(buffer_.data(), static_cast<size_t>(size))) return;
  }
}

bool Mirror::TakeIn(const char* data, size_t size) {
  int left = static_cast<int>(size);
  const auto* message = reinterpret_cast<const nlmsghdr*>(data);
  for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
    if (dumping_ && message->nlmsg_seq == sequence_ &&
        (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) {
      interrupted_ = true;
    }
    if (message->nlmsg_type < NLMSG_MIN_TYPE) {
      HandleControl(*message);
      if (!socket_) return false;
      continue;
    }
    absl::StatusOr<KernelState::Effect> effect = state_.Apply(*message);
    if (!effect.ok()) {
      if (malformed_++ == 0) log::Warn("mirror: {}", std::string(effect.status().message()));
      continue;
    }
    if (effect->routes_stale) {
      wanted_[static_cast<size_t>(Section::kRoutes)] = true;
      if (!dumping_) AskNext();
      if (!socket_) return false;
    }
    if (effect->changed) ScheduleReport();
  }
  return true;
}

void Mirror::HandleControl(const nlmsghdr& message) {
  if (message.nlmsg_type == NLMSG_OVERRUN) return Resync("kernel reports an overrun");
  if (!dumping_ || message.nlmsg_seq != sequence_) return;
  if (message.nlmsg_type == NLMSG_DONE) return FinishDump(interrupted_);
  if (message.nlmsg_type != NLMSG_ERROR) return;
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(nlmsgerr)) return Resync("short error message");
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(&message));
  if (error->error == -EBUSY) return FinishDump(true);
  Resync(fmt::format("dump refused: {}", strerror(-error->error)));
}

void Mirror::FinishDump(bool interrupted) {
  const auto section = static_cast<size_t>(section_);
  dumping_ = false;
  if (interrupted && interruptions_[section]++ < kRepeats) {
    wanted_[section] = true;
    return AskNext();
  }
  interruptions_[section] = 0;
  if (interrupted) {
    // The table changes faster than it can be read. What was read is true, and the changes were
    // notified; what the dump has skipped and what is gone unnoticed has to wait.
    torn_[section] = true;
    if (!evtimer_pending(again_.get(), nullptr)) evtimer_add(again_.get(), &kDumpAgainAfter);
  } else if (state_.EndDump(section_)) {
    ScheduleReport();
  }
  dumped_[section] = true;
  if (!ready_ && std::all_of(std::begin(dumped_), std::end(dumped_), std::identity())) {
    ready_ = true;
    ScheduleReport();
  }
  AskNext();
}

void Mirror::OnAgain() {
  for (size_t i = 0; i < kSectionCount; ++i) wanted_[i] |= std::exchange(torn_[i], false);
  if (socket_ && !dumping_) AskNext();
}

void Mirror::Resync(const std::string& why) {
  log::Warn("mirror: netlink socket given up ({}), dumping everything again", why);
  ++resyncs_;
  readable_.reset();
  socket_.reset();
  dumping_ = false;
  std::fill(std::begin(wanted_), std::end(wanted_), true);
  evtimer_add(retry_.get(), &kRetryAfter);
}

void Mirror::OnRetry() {
  if (socket_) return Resync("dump does not end");
  absl::Status status = OpenSocket();
  if (!status.ok()) {
    readable_.reset();
    socket_.reset();
    log::Warn("mirror: {}; trying again", std::string(status.message()));
    evtimer_add(retry_.get(), &kRetryAfter);
    return;
  }
  AskNext();
}

void Mirror::ScheduleReport() {
  using std::chrono::microseconds;
  if (!ready_ || evtimer_pending(report_.get(), nullptr)) return;
  auto rest = std::chrono::duration_cast<microseconds>(rest_until_ - Clock::now());
  timeval after{0, std::clamp(rest, microseconds(0), kLongestRest).count()};
  evtimer_add(report_.get(), &after);
}

void Mirror::OnReport() {
  Clock::time_point begin = Clock::now();
  if (Rebuild() || !announced_) {
    announced_ = true;
    changed_();
  }
  Clock::time_point end = Clock::now();
  rest_until_ = end + std::min<Clock::duration>(kRestPerWork * (end - begin), kLongestRest);
}

bool Mirror::Rebuild() {
  MirroredRouting next = BuildRouting(state_, devices_);
  std::string bytes = next.routing.SerializeAsString();
  bool differs = bytes != current_bytes_ || next.warnings != current_.warnings ||
                 next.own_addresses != current_.own_addresses;
  for (const std::string& warning : next.warnings) {
    const auto& old = current_.warnings;
    if (std::find(old.begin(), old.end(), warning) == old.end()) log::Warn("{}", warning);
  }
  current_ = std::move(next);
  current_bytes_ = std::move(bytes);
  return differs;
}

}  // namespace bridgehead::mirror
