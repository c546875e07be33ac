/* The maps of the steering program. Nothing is pinned: the relay finds them through the program
 * that is attached to the interface, so they live exactly as long as it does. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "shared.h"

/* Which addresses are ours, on which side; the value is the address's row in steer_ports. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, BH_STEER_MAX_RULES);
  __type(key, struct bh_steer_key);
  __type(value, __u32);
} steer_rules SEC(".maps");

/* Which ports of such an address are ours. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, BH_STEER_MAX_RULES);
  __type(key, __u32);
  __type(value, struct bh_steer_ports);
} steer_ports SEC(".maps");

/* The relay's sockets, by receive queue of the interface. */
struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, BH_STEER_MAX_QUEUES);
  __type(key, __u32);
  __type(value, __u32);
} xsks_map SEC(".maps");

/* What became of the packets, for operators and tests. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, BH_STEER_COUNTERS);
  __type(key, __u32);
  __type(value, __u64);
} steer_counters SEC(".maps");
