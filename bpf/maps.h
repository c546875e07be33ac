/* The maps of the steering program. Nothing is pinned: the relay finds them through the program
 * that is attached to the interface, so they live exactly as long as it does. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "shared.h"

/* Which addresses are ours, on which side. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, BH_STEER_MAX_RULES);
  __type(key, struct bh_steer_key);
  __type(value, struct bh_steer_rule);
} steer_rules SEC(".maps");

/* Which ports of such an address are ours. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, BH_STEER_MAX_RULES);
  __type(key, __u32);
  __type(value, struct bh_steer_ports);
} steer_ports SEC(".maps");

/* What listeners take at their ports. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 2 * BH_STEER_MAX_GUARDS);
  __type(key, __u32);
  __type(value, struct bh_steer_guard);
} steer_guards SEC(".maps");

/* Their access lists. */
struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, BH_STEER_MAX_PREFIXES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct bh_access_key);
  __type(value, __u8);
} steer_access SEC(".maps");

/* How much each source has asked for. A source that is pushed out by newer ones begins anew with a
 * full bucket: a flood from forged sources can give it another burst, and never take one away. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, BH_STEER_MAX_SOURCES);
  __type(key, struct bh_source_key);
  __type(value, struct bh_source_bucket);
} steer_sources SEC(".maps");

/* Clients that have asked while their address had a share left: when a flood under that address
 * uses it up, they may go on asking. Whoever forges the address does not know their ports. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, BH_STEER_MAX_CLIENTS);
  __type(key, struct bh_client_key);
  __type(value, struct bh_source_bucket);
} steer_clients SEC(".maps");

/* Some of the denied packets, for the relay's log. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, BH_STEER_REFUSED_BYTES);
} steer_refused SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct bh_sampled);
} steer_sampled SEC(".maps");

/* What became of the first fragments of packets, for the others. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, BH_STEER_MAX_FRAGMENTED);
  __type(key, struct bh_fragment_key);
  __type(value, struct bh_fragment_fate);
} steer_fragments SEC(".maps");

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
