/* What the XDP program (bpf/steer.bpf.c) and the relay (relay/port/steer_maps.cc) agree on.
 * Included by both, so plain C types only. Sizes are asserted on both sides.
 *
 * A packet is ours when (destination address, destination port), (source address, source port) or
 * (source address, destination port) is in a rule. A rule is an address, the side it stands on, and
 * a bitmap of ports.
 */
#pragma once

#include <linux/types.h>

/* Names by which the relay finds the program and its maps on an interface. */
#define BH_STEER_PROGRAM "bh_steer" /* the kernel keeps 15 bytes of a name */
#define BH_STEER_RULES_MAP "steer_rules"
#define BH_STEER_PORTS_MAP "steer_ports"
#define BH_STEER_COUNTERS_MAP "steer_counters"
#define BH_XSKS_MAP "xsks_map" /* the name net_af_xdp asks for */

#define BH_STEER_MAX_RULES 1024    /* address and side pairs */
#define BH_STEER_BITMAP_WORDS 1024 /* 65536 ports / 64 */
#define BH_STEER_MAX_QUEUES 64

enum bh_steer_side {
  BH_STEER_DESTINATION = 0, /* a listener, or a NAT address and its NAT ports */
  BH_STEER_SOURCE = 1,      /* a bridge's media address, in destination NAT */
  BH_STEER_OUTBOUND = 2,    /* a bridge's address, and the ports that it may open flows to */
};

struct bh_steer_key {
  __u32 side;       /* enum bh_steer_side */
  __u8 address[16]; /* network order; IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2) */
};

struct bh_steer_ports {
  __u64 bits[BH_STEER_BITMAP_WORDS]; /* port p: bits[p / 64] >> (p % 64) & 1, p in host order */
};

enum bh_steer_counter {
  BH_STEER_REDIRECTED =
      0,               /* given to a socket of the relay, or to the kernel where none is bound */
  BH_STEER_PASSED = 1, /* left to the kernel */
  BH_STEER_COUNTERS = 2,
};

/* steer_rules: HASH bh_steer_key -> __u32 index into steer_ports.
 * steer_ports: ARRAY of BH_STEER_MAX_RULES bh_steer_ports.
 * steer_counters: PERCPU_ARRAY of BH_STEER_COUNTERS __u64. */
#ifdef __cplusplus
static_assert(sizeof(bh_steer_key) == 20);
static_assert(sizeof(bh_steer_ports) == 8192);
#else
_Static_assert(sizeof(struct bh_steer_key) == 20, "bh_steer_key");
_Static_assert(sizeof(struct bh_steer_ports) == 8192, "bh_steer_ports");
#endif
