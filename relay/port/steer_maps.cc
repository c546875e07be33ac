#include "relay/port/steer_maps.h"

#include <cerrno>
#include <cstring>
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

}  // namespace

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
    if (std::strcmp(map_info.name, BH_STEER_RULES_MAP) == 0 &&
        map_info.key_size == sizeof(bh_steer_key)) {
      maps.rules_fd_ = map.release();
    } else if (std::strcmp(map_info.name, BH_STEER_PORTS_MAP) == 0 &&
               map_info.value_size == sizeof(bh_steer_ports)) {
      maps.ports_fd_ = map.release();
    }
  }
  if (maps.rules_fd_ < 0 || maps.ports_fd_ < 0) {
    return absl::FailedPreconditionError(fmt::format(
        "XDP program \"{}\" has no maps {} and {} of this version; use the steer.bpf.o that was "
        "built with this relay",
        attached->name, BH_STEER_RULES_MAP, BH_STEER_PORTS_MAP));
  }
  return maps;
}

SteerMaps::SteerMaps(SteerMaps&& other) noexcept
    : rules_fd_(std::exchange(other.rules_fd_, -1)),
      ports_fd_(std::exchange(other.ports_fd_, -1)),
      rows_(std::move(other.rows_)) {}

SteerMaps& SteerMaps::operator=(SteerMaps&& other) noexcept {
  std::swap(rules_fd_, other.rules_fd_);
  std::swap(ports_fd_, other.ports_fd_);
  std::swap(rows_, other.rows_);
  return *this;
}

SteerMaps::~SteerMaps() {
  for (const int fd : {rules_fd_, ports_fd_}) {
    if (fd >= 0) {
      close(fd);
    }
  }
}

absl::Status SteerMaps::Put(const SteerChange::Put& put) {
  // Ports before the key: a key is never seen with the ports of the row's former owner.
  if (bpf_map_update_elem(ports_fd_, &put.row, put.ports.get(), BPF_ANY) != 0) {
    return SystemError("writing steering ports", errno);
  }
  if (put.add_key && bpf_map_update_elem(rules_fd_, &put.key, &put.row, BPF_ANY) != 0) {
    return SystemError("writing a steering rule", errno);
  }
  return absl::OkStatus();
}

absl::Status SteerMaps::Remove(const bh_steer_key& key) {
  if (bpf_map_delete_elem(rules_fd_, &key) != 0 && errno != ENOENT) {
    return SystemError("removing a steering rule", errno);
  }
  return absl::OkStatus();
}

absl::Status SteerMaps::Apply(const SteerTable& table) {
  const SteerChange change = rows_.ChangeTo(table);
  absl::Status status;
  const auto remove_all = [&] {
    for (const bh_steer_key& key : change.removals) {
      status.Update(Remove(key));
    }
  };
  if (change.remove_first) {
    remove_all();
  }
  for (const SteerChange::Put& put : change.puts) {
    status.Update(Put(put));
  }
  if (!change.remove_first) {
    remove_all();
  }
  return status;
}

}  // namespace bridgehead::port
