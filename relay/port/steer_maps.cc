#include "relay/port/steer_maps.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <unistd.h>

namespace bridgehead::port {
namespace {

absl::Status SystemError(std::string_view what, int error) {
  return absl::InternalError(fmt::format("{}: {}", what, std::strerror(error)));
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// Fills `id` and `generic`.
absl::StatusOr<AttachedProgram> QueryAttached(unsigned ifindex) {
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (const int error = bpf_xdp_query(static_cast<int>(ifindex), 0, &query); error != 0) {
    return SystemError("asking for the interface's XDP program", -error);
  }
  AttachedProgram out;
  out.generic = query.attach_mode == XDP_ATTACHED_SKB;
  out.id = query.prog_id;
  if (query.attach_mode == XDP_ATTACHED_MULTI) {
    out.id = query.drv_prog_id != 0 ? query.drv_prog_id : query.hw_prog_id;
  }
  return out;
}

bh_access_key AccessKey(uint32_t number, const SteerList::key_type& prefix) {
  bh_access_key key{};
  key.prefix_bits = 32 + prefix.first;
  key.list = number;
  std::copy(prefix.second.begin(), prefix.second.end(), key.address);
  return key;
}

static_assert(BH_STEER_COUNTERS == BH_STEER_PASSED + 1 + kEarlyDropCount);

}  // namespace

const std::array<SteerMaps::Wanted, SteerMaps::kMaps> SteerMaps::kWanted = {{
    {BH_STEER_RULES_MAP, sizeof(bh_steer_rule)},
    {BH_STEER_PORTS_MAP, sizeof(bh_steer_ports)},
    {BH_STEER_GUARDS_MAP, sizeof(bh_steer_guard)},
    {BH_STEER_ACCESS_MAP, sizeof(uint8_t)},
    {BH_STEER_COUNTERS_MAP, sizeof(uint64_t)},
    {BH_STEER_REFUSED_MAP, 0},
}};

absl::StatusOr<uint32_t> QueryProgramId(unsigned ifindex) {
  const absl::StatusOr<AttachedProgram> attached = QueryAttached(ifindex);
  if (!attached.ok()) {
    return attached.status();
  }
  return attached->id;
}

absl::StatusOr<AttachedProgram> QueryProgram(unsigned ifindex) {
  absl::StatusOr<AttachedProgram> attached = QueryAttached(ifindex);
  if (!attached.ok() || attached->id == 0) {
    return attached;
  }
  AttachedProgram out = *std::move(attached);
  const Fd program(bpf_prog_get_fd_by_id(out.id));
  bpf_prog_info info{};
  uint32_t size = sizeof(info);
  if (program.get() < 0 || bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) {
    return SystemError(fmt::format("reading XDP program {}", out.id), errno);
  }
  out.name = info.name;
  return out;
}

absl::Status DetachProgram(unsigned ifindex, const AttachedProgram& program) {
  const uint32_t mode = program.generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
  const int error = bpf_xdp_detach(static_cast<int>(ifindex), mode, nullptr);
  if (error != 0 && error != -ENODEV && error != -ENOENT) {
    return SystemError(fmt::format("detaching XDP program \"{}\"", program.name), -error);
  }
  return absl::OkStatus();
}

absl::StatusOr<SteerMaps> SteerMaps::Find(unsigned ifindex) {
  const absl::StatusOr<AttachedProgram> attached = QueryProgram(ifindex);
  if (!attached.ok()) {
    return attached.status();
  }
  if (attached->id == 0) {
    return absl::NotFoundError("no XDP program is attached");
  }
  const Fd program(bpf_prog_get_fd_by_id(attached->id));
  bpf_prog_info info{};
  std::vector<uint32_t> ids(16);
  info.nr_map_ids = static_cast<uint32_t>(ids.size());
  info.map_ids = reinterpret_cast<uintptr_t>(ids.data());
  uint32_t size = sizeof(info);
  if (program.get() < 0 || bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) {
    return SystemError(fmt::format("reading XDP program {}", attached->id), errno);
  }
  ids.resize(std::min<size_t>(ids.size(), info.nr_map_ids));

  SteerMaps maps;
  for (const uint32_t id : ids) {
    Fd map(bpf_map_get_fd_by_id(id));
    bpf_map_info map_info{};
    uint32_t map_size = sizeof(map_info);
    if (map.get() < 0 || bpf_obj_get_info_by_fd(map.get(), &map_info, &map_size) != 0) {
      return SystemError(fmt::format("reading BPF map {}", id), errno);
    }
    for (size_t m = 0; m < kMaps; ++m) {
      if (std::strcmp(map_info.name, kWanted[m].name) == 0 &&
          map_info.value_size == kWanted[m].value_bytes && maps.fds_[m] < 0) {
        maps.fds_[m] = map.release();
        break;
      }
    }
  }
  for (size_t m = 0; m < kMaps; ++m) {
    if (maps.fds_[m] < 0) {
      return absl::FailedPreconditionError(
          fmt::format("XDP program \"{}\" has no map {} of this version; use the steer.bpf.o that "
                      "was built with this relay",
                      attached->name, kWanted[m].name));
    }
  }
  if (absl::Status status = maps.OpenRing(); !status.ok()) {
    return status;
  }
  return maps;
}

void SteerMaps::RingDeleter::operator()(ring_buffer* ring) const {
  ring_buffer__free(ring);
}

absl::Status SteerMaps::OpenRing() {
  refused_ = std::make_unique<std::vector<bh_refused>>();
  const auto take = [](void* all, void* data, size_t bytes) {
    if (bytes >= sizeof(bh_refused)) {
      bh_refused one;
      std::memcpy(&one, data, sizeof(one));
      static_cast<std::vector<bh_refused>*>(all)->push_back(one);
    }
    return 0;
  };
  ring_.reset(ring_buffer__new(fds_[kRefused], take, refused_.get(), nullptr));
  return ring_ != nullptr ? absl::OkStatus() : SystemError("opening the log of refusals", errno);
}

std::vector<bh_refused> SteerMaps::TakeRefused() {
  ring_buffer__consume(ring_.get());
  return std::exchange(*refused_, {});
}

SteerMaps::SteerMaps(SteerMaps&& other) noexcept
    : fds_(other.fds_),
      rows_(std::move(other.rows_)),
      applied_(std::move(other.applied_)),
      refused_(std::move(other.refused_)),
      ring_(std::move(other.ring_)) {
  other.fds_.fill(-1);
}

SteerMaps& SteerMaps::operator=(SteerMaps&& other) noexcept {
  std::swap(fds_, other.fds_);
  std::swap(rows_, other.rows_);
  std::swap(applied_, other.applied_);
  std::swap(refused_, other.refused_);
  std::swap(ring_, other.ring_);
  return *this;
}

SteerMaps::~SteerMaps() {
  for (const int fd : fds_) {
    if (fd >= 0) {
      close(fd);
    }
  }
}

absl::Status SteerMaps::Update(Map map, const void* key, const void* value, const char* what) {
  if (bpf_map_update_elem(fds_[map], key, value, BPF_ANY) != 0) {
    return SystemError(what, errno);
  }
  return absl::OkStatus();
}

absl::Status SteerMaps::AddList(uint32_t number, const SteerList& list) {
  for (const auto& [prefix, allowed] : list) {
    const bh_access_key key = AccessKey(number, prefix);
    const uint8_t value = allowed ? 1 : 0;
    absl::Status status = Update(kAccess, &key, &value, "writing an access list");
    if (!status.ok()) {
      // Half a list could deny what the whole one allows; one without entries denies nothing.
      status.Update(ForgetList(number, list));
      return status;
    }
  }
  return absl::OkStatus();
}

// The shortest prefixes first, which is the order of the list: a packet that still asks for it
// never falls back from its own prefix to a shorter one that says something else.
absl::Status SteerMaps::ForgetList(uint32_t number, const SteerList& list) {
  absl::Status status;
  for (const auto& [prefix, allowed] : list) {
    const bh_access_key key = AccessKey(number, prefix);
    if (bpf_map_delete_elem(fds_[kAccess], &key) != 0 && errno != ENOENT) {
      status.Update(SystemError("removing an access list", errno));
    }
  }
  return status;
}

absl::Status SteerMaps::Put(const SteerChange::Put& put) {
  // Ports before the key: a key is never seen with the ports of the row's former owner.
  absl::Status status;
  if (put.ports) {
    status = Update(kPorts, &put.rule.row, put.ports.get(), "writing steering ports");
  }
  if (status.ok() && put.write_rule) {
    status = Update(kRules, &put.key, &put.rule, "writing a steering rule");
  }
  return status;
}

absl::Status SteerMaps::Remove(const bh_steer_key& key) {
  if (bpf_map_delete_elem(fds_[kRules], &key) != 0 && errno != ENOENT) {
    return SystemError("removing a steering rule", errno);
  }
  return absl::OkStatus();
}

// What fails is put back as it was as far as that goes: the next Apply then begins from there, and
// not from what was never written.
absl::Status SteerMaps::Apply(const SteerTable& table) {
  absl::Status status = Execute(rows_.ChangeTo(table));
  if (status.ok()) {
    applied_ = table;
  } else {
    Execute(rows_.ChangeTo(applied_)).IgnoreError();
  }
  return status;
}

absl::Status SteerMaps::Execute(const SteerChange& change) {
  absl::Status status;
  const auto remove_all = [&] {
    for (const bh_steer_key& key : change.removals) {
      status.Update(Remove(key));
    }
  };
  for (const auto& [number, list] : change.lists) {
    status.Update(AddList(number, *list));
  }
  for (const auto& [at, guard] : change.guards) {
    status.Update(Update(kGuards, &at, &guard, "writing a listener's guard"));
  }
  if (change.remove_first) {
    remove_all();
  }
  for (const SteerChange::Put& put : change.puts) {
    status.Update(Put(put));
  }
  if (!change.remove_first) {
    remove_all();
  }
  for (const auto& [number, list] : change.forgotten) {
    status.Update(ForgetList(number, *list));
  }
  return status;
}

SteerCounts SteerMaps::ReadCounts() const {
  SteerCounts out;
  std::vector<uint64_t> per_cpu(static_cast<size_t>(libbpf_num_possible_cpus()));
  const auto sum = [&](uint32_t counter) {
    if (bpf_map_lookup_elem(fds_[kCounters], &counter, per_cpu.data()) != 0) {
      return uint64_t{0};
    }
    return std::accumulate(per_cpu.begin(), per_cpu.end(), uint64_t{0});
  };
  out.redirected = sum(BH_STEER_REDIRECTED);
  out.passed = sum(BH_STEER_PASSED);
  for (uint32_t drop = 0; drop < kEarlyDropCount; ++drop) {
    out.dropped[drop] = sum(BH_STEER_PASSED + 1 + drop);
  }
  return out;
}

}  // namespace bridgehead::port
