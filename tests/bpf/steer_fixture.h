// The steering program loaded for BPF_PROG_TEST_RUN, and its maps. No interface is involved: what
// the program decided is read from its own counters, because a redirect without a socket on the
// queue gives the same verdict as a pass. Needs CAP_BPF.
#pragma once

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include "bpf/shared.h"
#include "tests/support/packet_builder.h"

namespace bridgehead::test {

class SteerProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    libbpf_set_print([](libbpf_print_level level, const char* format, va_list args) {
      return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
    });
    object_.reset(bpf_object__open_file(STEER_PROGRAM, nullptr));
    ASSERT_NE(object_, nullptr);
    ASSERT_EQ(bpf_object__load(object_.get()), 0) << "needs root and a kernel with BPF";
    bpf_program* program = bpf_object__next_program(object_.get(), nullptr);
    ASSERT_STREQ(bpf_program__name(program), BH_STEER_PROGRAM);
    program_ = bpf_program__fd(program);
  }

  int Map(const char* name) { return bpf_object__find_map_fd_by_name(object_.get(), name); }
  void Write(const char* map, const void* key, const void* value) {
    ASSERT_EQ(bpf_map_update_elem(Map(map), key, value, BPF_ANY), 0) << map << strerror(errno);
  }

  // IPv4 mapped.
  static std::array<uint8_t, 16> Any(std::string_view address) {
    if (address.find(':') != address.npos) return Ip6(address);
    std::array<uint8_t, 16> any{};
    any[10] = any[11] = 0xff;
    const auto ip = Ip4(address);
    std::copy(ip.begin(), ip.end(), any.begin() + 12);
    return any;
  }

  void AddRule(uint32_t row, bh_steer_side side, std::string_view address, uint32_t first,
               uint32_t last, uint16_t first_guard = 0, uint16_t guards = 0) {
    auto ports = std::make_unique<bh_steer_ports>();
    for (uint32_t port = first; port <= last; ++port) {
      ports->bits[port / 64] |= uint64_t{1} << port % 64;
    }
    bh_steer_key key{};
    key.side = side;
    const auto any = Any(address);
    std::copy(any.begin(), any.end(), key.address);
    const bh_steer_rule rule{.row = row, .first_guard = first_guard, .guards = guards};
    Write(BH_STEER_PORTS_MAP, &row, ports.get());
    Write(BH_STEER_RULES_MAP, &key, &rule);
  }

  uint64_t ReadCounter(uint32_t which) {
    std::vector<uint64_t> per_cpu(libbpf_num_possible_cpus());
    EXPECT_EQ(bpf_map_lookup_elem(Map(BH_STEER_COUNTERS_MAP), &which, per_cpu.data()), 0);
    uint64_t sum = 0;
    for (uint64_t value : per_cpu) {
      sum += value;
    }
    return sum;
  }

  // What becomes of a frame, as the one counter that has counted it. No frame is changed.
  uint32_t Fate(const Bytes& frame) {
    std::array<uint64_t, BH_STEER_COUNTERS> before{};
    for (uint32_t i = 0; i < before.size(); ++i) before[i] = ReadCounter(i);
    Bytes out(frame.size() + 256);
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data(), .data_out = out.data(),
                .data_size_in = static_cast<uint32_t>(frame.size()),
                .data_size_out = static_cast<uint32_t>(out.size()), .repeat = 1);
    EXPECT_EQ(bpf_prog_test_run_opts(program_, &run), 0) << strerror(errno);
    out.resize(run.data_size_out);
    EXPECT_EQ(out, frame);
    uint64_t counted = 0;
    uint32_t fate = BH_STEER_COUNTERS;
    for (uint32_t i = 0; i < before.size(); ++i) {
      const uint64_t change = ReadCounter(i) - before[i];
      counted += change;
      if (change != 0) fate = i;
    }
    EXPECT_EQ(counted, 1u);
    // XDP_PASS is also the redirect's fallback.
    EXPECT_EQ(run.retval, fate > BH_STEER_PASSED ? uint32_t{XDP_DROP} : uint32_t{XDP_PASS});
    return fate;
  }
  uint32_t Fate(const Packet& packet) { return Fate(packet.Build()); }

 private:
  struct Close {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  std::unique_ptr<bpf_object, Close> object_;
  int program_ = -1;
};

}  // namespace bridgehead::test
