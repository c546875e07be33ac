#include "relay/api/counters.h"

#include <algorithm>
#include <new>
#include <utility>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace bridgehead {
namespace {

size_t SegmentBytes(size_t workers) {
  return sizeof(SegmentHeader) + workers * sizeof(WorkerCounters);
}

absl::Status Errno(const std::string& what, const std::string& path) {
  int error = errno;
  std::string text = fmt::format("{} {}: {}", what, path, strerror(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

std::string NameText(const Name& name) {
  return std::string(name.data(), strnlen(name.data(), name.size()));
}

const SegmentHeader* AsHeader(const void* memory) {
  return static_cast<const SegmentHeader*>(memory);
}

void AddWorker(CounterTotals::WorkerTotal& sum, const CounterTotals::WorkerTotal& one) {
  sum.received += one.received;
  sum.forwarded += one.forwarded;
  sum.dropped += one.dropped;
  sum.held += one.held;
  sum.icmp_sent += one.icmp_sent;
  sum.fragments_made += one.fragments_made;
  sum.handoff_sent += one.handoff_sent;
  sum.handoff_received += one.handoff_received;
  sum.tx_handoff_sent += one.tx_handoff_sent;
  sum.tx_handoff_received += one.tx_handoff_received;
  sum.sessions_created += one.sessions_created;
  sum.sessions_expired += one.sessions_expired;
  sum.sessions_displaced += one.sessions_displaced;
  sum.sessions_active += one.sessions_active;
  sum.sessions_unconfirmed += one.sessions_unconfirmed;
  sum.nat_ports_in_use += one.nat_ports_in_use;
  sum.nat_ports_quarantined += one.nat_ports_quarantined;
  sum.loops += one.loops;
  sum.busy_loops += one.busy_loops;
  sum.snapshot_id = std::max(sum.snapshot_id, one.snapshot_id);
}

void AddTraffic(CounterTotals::Traffic& sum, const TrafficCounters& one) {
  sum.packets_to_bridge += one.packets_to_bridge.Get();
  sum.bytes_to_bridge += one.bytes_to_bridge.Get();
  sum.packets_to_client += one.packets_to_client.Get();
  sum.bytes_to_client += one.bytes_to_client.Get();
  sum.sessions_created += one.sessions_created.Get();
  sum.refused += one.refused.Get();
  sum.refused_ufrag += one.refused_ufrag.Get();
  sum.sessions_active += one.sessions_active.Get();
}

CounterTotals::WorkerTotal ReadWorker(const WorkerCounters& from, size_t drop_count) {
  CounterTotals::WorkerTotal to;
  to.received = from.received.Get();
  to.forwarded = from.forwarded.Get();
  to.held = from.held.Get();
  to.icmp_sent = from.icmp_sent.Get();
  to.fragments_made = from.fragments_made.Get();
  to.handoff_sent = from.handoff_sent.Get();
  to.handoff_received = from.handoff_received.Get();
  to.tx_handoff_sent = from.tx_handoff_sent.Get();
  to.tx_handoff_received = from.tx_handoff_received.Get();
  to.sessions_created = from.sessions_created.Get();
  to.sessions_expired = from.sessions_expired.Get();
  to.sessions_displaced = from.sessions_displaced.Get();
  to.sessions_active = from.sessions_active.Get();
  to.sessions_unconfirmed = from.sessions_unconfirmed.Get();
  to.nat_ports_in_use = from.nat_ports_in_use.Get();
  to.nat_ports_quarantined = from.nat_ports_quarantined.Get();
  to.loops = from.loops.Get();
  to.busy_loops = from.busy_loops.Get();
  to.snapshot_id = from.snapshot_id.Get();
  for (size_t d = 0; d < drop_count; ++d) to.dropped += from.drops[d].Get();
  return to;
}

void ReadState(const PortState& from, CounterTotals::PortTotal& to) {
  to.missed = from.missed.Get();
  to.no_buffer = from.no_buffer.Get();
  to.link_up = from.link_up.Get() != 0;
  to.has_xdp = from.has_xdp.Get() != 0;
  to.xdp_redirected = from.xdp_redirected.Get();
  to.xdp_passed = from.xdp_passed.Get();
  for (size_t d = 0; d < kEarlyDropCount; ++d) to.xdp_dropped[d] = from.xdp_dropped[d].Get();
}

}  // namespace

void CopyName(Name& to, std::string_view from) {
  to.fill('\0');
  std::copy_n(from.data(), std::min(from.size(), to.size() - 1), to.data());
}

CounterSegment::CounterSegment(void* memory, size_t bytes, size_t workers) : bytes_(bytes) {
  header_ = new (memory) SegmentHeader{};
  header_->version = kSegmentVersion;
  header_->header_bytes = sizeof(SegmentHeader);
  header_->total_bytes = bytes;
  header_->worker_bytes = sizeof(WorkerCounters);
  header_->worker_count = static_cast<uint32_t>(workers);
  header_->drop_count = kDropCount;
  header_->pid = static_cast<uint32_t>(getpid());
  header_->start_time_unix = static_cast<uint64_t>(time(nullptr));
  for (size_t d = 0; d < kDropCount; ++d) CopyName(header_->drop_labels[d], kDropInfo[d].label);
  for (size_t w = 0; w < workers; ++w) {
    new (static_cast<char*>(memory) + sizeof(SegmentHeader) + w * sizeof(WorkerCounters))
        WorkerCounters{};
  }
  std::atomic_thread_fence(std::memory_order_release);
  header_->magic = kSegmentMagic;
}

absl::StatusOr<std::unique_ptr<CounterSegment>> CounterSegment::Create(const std::string& path,
                                                                       size_t workers) {
  size_t bytes = SegmentBytes(workers);
  std::string temporary = path + ".new";
  unlink(temporary.c_str());
  int fd = open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return Errno("cannot create", temporary);
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    absl::Status status = Errno("cannot size", temporary);
    close(fd);
    return status;
  }
  // Populated now: a worker must not fault a page in while it forwards.
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  close(fd);
  if (memory == MAP_FAILED) return Errno("cannot map", temporary);
  auto segment = std::unique_ptr<CounterSegment>(new CounterSegment(memory, bytes, workers));
  if (rename(temporary.c_str(), path.c_str()) != 0) return Errno("cannot put in place", path);
  return segment;
}

std::unique_ptr<CounterSegment> CounterSegment::CreatePrivate(size_t workers) {
  size_t bytes = SegmentBytes(workers);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return std::unique_ptr<CounterSegment>(new CounterSegment(memory, bytes, workers));
}

CounterSegment::~CounterSegment() {
  header_->closed.Set(1);
  munmap(header_, bytes_);
}

WorkerCounters& CounterSegment::worker(size_t index) {
  char* base = reinterpret_cast<char*>(header_) + sizeof(SegmentHeader);
  return *reinterpret_cast<WorkerCounters*>(base + index * sizeof(WorkerCounters));
}

CounterReader::CounterReader(std::string path, const void* memory, size_t bytes, uint64_t inode)
    : path_(std::move(path)), header_(AsHeader(memory)), bytes_(bytes), inode_(inode) {}

CounterReader::~CounterReader() {
  munmap(const_cast<SegmentHeader*>(header_), bytes_);
}

absl::StatusOr<std::unique_ptr<CounterReader>> CounterReader::Open(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Errno("cannot open", path);
  struct stat info {};
  if (fstat(fd, &info) != 0) {
    absl::Status status = Errno("cannot stat", path);
    close(fd);
    return status;
  }
  auto bytes = static_cast<size_t>(info.st_size);
  if (bytes < sizeof(SegmentHeader)) {
    close(fd);
    return absl::FailedPreconditionError(path + ": not a counter segment (too short)");
  }
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (memory == MAP_FAILED) return Errno("cannot map", path);
  auto reader = std::unique_ptr<CounterReader>(
      new CounterReader(path, memory, bytes, static_cast<uint64_t>(info.st_ino)));
  const SegmentHeader& header = *reader->header_;
  if (header.magic != kSegmentMagic || header.version != kSegmentVersion ||
      header.header_bytes != sizeof(SegmentHeader) ||
      header.worker_bytes != sizeof(WorkerCounters) || header.worker_count > kMaxWorkers ||
      header.drop_count > kMaxDrops || bytes < SegmentBytes(header.worker_count)) {
    return absl::FailedPreconditionError(
        path + ": written by another version of bridgehead-relay; restart the relay");
  }
  return reader;
}

const WorkerCounters& CounterReader::worker(size_t index) const {
  const char* base = reinterpret_cast<const char*>(header_) + sizeof(SegmentHeader);
  return *reinterpret_cast<const WorkerCounters*>(base + index * sizeof(WorkerCounters));
}

bool CounterReader::Stale() const {
  struct stat info {};
  if (stat(path_.c_str(), &info) != 0) return true;
  return static_cast<uint64_t>(info.st_ino) != inode_ || header_->closed.Get() != 0;
}

CounterTotals CounterReader::Read() const {
  const SegmentHeader& header = *header_;
  CounterTotals totals;
  totals.pid = header.pid;
  totals.start_time_unix = header.start_time_unix;
  totals.closed = header.closed.Get() != 0;
  totals.session_capacity = header.session_capacity.Get();
  totals.session_memory_bytes = header.session_memory_bytes.Get();
  totals.drops.resize(header.drop_count);
  totals.ports.resize(std::min<size_t>(header.port_count.Get(), kMaxPorts));
  totals.listeners.resize(std::min<size_t>(header.listener_count.Get(), kMaxListeners));
  totals.bridges.resize(std::min<size_t>(header.bridge_count.Get(), kMaxBridges));
  for (size_t d = 0; d < totals.drops.size(); ++d) {
    totals.drops[d].label = NameText(header.drop_labels[d]);
  }
  for (size_t p = 0; p < totals.ports.size(); ++p) {
    totals.ports[p].name = NameText(header.port_names[p]);
    ReadState(header.port_state[p], totals.ports[p]);
  }
  for (size_t i = 0; i < totals.listeners.size(); ++i) {
    totals.listeners[i].name = NameText(header.listener_names[i]);
  }
  for (size_t i = 0; i < totals.bridges.size(); ++i) {
    totals.bridges[i].name = NameText(header.bridge_names[i]);
  }
  for (size_t w = 0; w < header.worker_count; ++w) {
    const WorkerCounters& counters = worker(w);
    totals.workers.push_back(ReadWorker(counters, header.drop_count));
    AddWorker(totals.total, totals.workers.back());
    for (size_t d = 0; d < totals.drops.size(); ++d) {
      totals.drops[d].packets += counters.drops[d].Get();
    }
    for (size_t p = 0; p < totals.ports.size(); ++p) {
      totals.ports[p].rx_packets += counters.ports[p].rx_packets.Get();
      totals.ports[p].rx_bytes += counters.ports[p].rx_bytes.Get();
      totals.ports[p].tx_packets += counters.ports[p].tx_packets.Get();
      totals.ports[p].tx_bytes += counters.ports[p].tx_bytes.Get();
    }
    for (size_t i = 0; i < totals.listeners.size(); ++i) {
      AddTraffic(totals.listeners[i], counters.listeners[i]);
    }
    for (size_t i = 0; i < totals.bridges.size(); ++i) {
      AddTraffic(totals.bridges[i], counters.bridges[i]);
    }
  }
  return totals;
}

}  // namespace bridgehead
