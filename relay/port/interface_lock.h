// One relay per interface: a lock file that the kernel releases when its holder dies, however that
// happens. So an XDP program found on an interface whose lock is free is a leftover, and one whose
// lock is taken is at work. The file's name holds the network namespace's inode and the interface's
// index; it does not depend on the relay's run directory.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace bridgehead::port {

class InterfaceLock {
 public:
  static constexpr char kDirectory[] = "/run/lock/bridgehead";

  // AlreadyExists names the process that holds it.
  static absl::StatusOr<InterfaceLock> Take(unsigned ifindex,
                                            const std::string& directory = kDirectory);
  // The interfaces of this network namespace with a lock file, whether or not anybody holds it, in
  // ascending order: those held now, and those of relays that did not end in good order.
  static std::vector<unsigned> Interfaces(const std::string& directory = kDirectory);
  InterfaceLock(InterfaceLock&& other) noexcept;
  InterfaceLock& operator=(InterfaceLock&& other) noexcept;
  ~InterfaceLock();  // releases it and removes the file

 private:
  InterfaceLock(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_ = -1;
};

}  // namespace bridgehead::port
