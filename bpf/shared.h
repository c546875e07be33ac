/* What the XDP program (bpf/steer.bpf.c) and the relay (relay/port/steer_maps.cc) agree on.
 * Included by both, so plain C types only. Sizes are asserted on both sides.
 *
 * A packet is ours when (destination address, destination port), (source address, source port) or
 * (source address, destination port) is in a rule. A rule is an address, the side it stands on, and
 * a bitmap of ports.
 *
 * A rule of a listener's address has guards beside its bitmap: what the listeners at some of its
 * ports take. The first guard that holds the port decides; a port that none holds has none.
 */
#pragma once

#include <linux/types.h>

/* Names by which the relay finds the program and its maps on an interface. */
#define BH_STEER_PROGRAM "bh_steer" /* the kernel keeps 15 bytes of a name */
#define BH_STEER_RULES_MAP "steer_rules"
#define BH_STEER_PORTS_MAP "steer_ports"
#define BH_STEER_GUARDS_MAP "steer_guards"
#define BH_STEER_ACCESS_MAP "steer_access"
#define BH_STEER_SOURCES_MAP "steer_sources"
#define BH_STEER_REFUSED_MAP "steer_refused"
#define BH_STEER_COUNTERS_MAP "steer_counters"
#define BH_XSKS_MAP "xsks_map" /* the name net_af_xdp asks for */

#define BH_STEER_MAX_RULES 1024    /* address and side pairs */
#define BH_STEER_BITMAP_WORDS 1024 /* 65536 ports / 64 */
#define BH_STEER_MAX_QUEUES 64
#define BH_STEER_MAX_GUARDS 256         /* as many as there can be listeners */
#define BH_STEER_MAX_PREFIXES (1 << 21) /* of all lists, old and new ones during a reload */
#define BH_STEER_MAX_SOURCES 65536      /* that have sent a STUN request of late */
#define BH_STEER_MAX_CLIENTS 65536      /* addresses and ports that have sent one */
#define BH_STEER_MAX_FRAGMENTED 8192    /* packets that came in fragments of late */
#define BH_STEER_REFUSED_BYTES 65536    /* room for samples that nobody has read yet */
#define BH_STEER_SAMPLES 16             /* of denied packets, for each CPU and second */

/* What a client may ask for whose address has used up its share: 20 requests/s, and as many at
 * once. RFC 8445 section 14 paces checks by 50 ms. */
#define BH_CLIENT_INTERVAL_NS 50000000ull
#define BH_CLIENT_BURST_NS 1000000000ull
/* As long as a receiver waits for the rest (RFC 791 and RFC 8200 allow 15 to 60 s). */
#define BH_FRAGMENT_SECONDS 30

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

struct bh_steer_rule {
  __u32 row;         /* of steer_ports */
  __u16 first_guard; /* the rule's run in steer_guards */
  __u16 guards;
};

/* What a listener takes at its ports. */
struct bh_steer_guard {
  __u16 first_port; /* host order, inclusive */
  __u16 last_port;
  __u32 list;             /* number of its access list in steer_access; 0: takes every source */
  __u64 request_interval; /* ns that a STUN request of one source costs; 0: no limit */
  __u64 request_burst;    /* ns that a source may be ahead of its time: at least one request */
  __u32 media;            /* 1: takes STUN, ZRTP, DTLS, TURN channels and RTP, see bpf/demux.h */
  __u32 unused;
};

/* Longest prefix match. The list's number counts as the first 32 bits of the prefix. */
struct bh_access_key {
  __u32 prefix_bits; /* 32 and those of the address */
  __u32 list;
  __u8 address[16]; /* network order; IPv4 mapped, its prefixes are 96 bits longer */
};

/* An IPv4 address, or an IPv6 /64: whoever has one address of that has all of them (RFC 6177). */
struct bh_source_key {
  __u64 high; /* network order, as it lies in the packet */
  __u64 low;  /* IPv6: 0 */
};

/* One client of an address. */
struct bh_client_key {
  __u8 address[16]; /* network order; IPv4 mapped */
  __be16 port;
  __u16 unused;
};

/* A token bucket as the time at which it is full again (the virtual scheduling algorithm of ITU-T
 * I.371): one word, so that no reader sees half of a change. */
struct bh_source_bucket {
  __u64 full_at; /* ns of the monotonic clock */
};

/* What all fragments of a packet have in common (RFC 791 section 3.2, RFC 8200 section 4.5). */
struct bh_fragment_key {
  __u8 source[16]; /* network order; IPv4 mapped */
  __u8 destination[16];
  __u32 id; /* as it lies in the packet */
};

/* What became of the first one. */
struct bh_fragment_fate {
  __u32 fate;   /* enum bh_steer_counter */
  __u32 second; /* of the monotonic clock */
};

/* A denied packet, for the log. */
struct bh_refused {
  __u8 source[16]; /* network order; IPv4 mapped */
  __u8 destination[16];
  __be16 source_port;
  __be16 destination_port;
};

/* How many of those a CPU has told of in this second. */
struct bh_sampled {
  __u32 second;
  __u32 count;
};

enum bh_steer_counter {
  BH_STEER_REDIRECTED =
      0,               /* given to a socket of the relay, or to the kernel where none is bound */
  BH_STEER_PASSED = 1, /* left to the kernel */
#define BH_EARLY_DROP(identifier, label) identifier,
#include "early_drops.def"
#undef BH_EARLY_DROP
  BH_STEER_COUNTERS,
};

/* steer_rules: HASH bh_steer_key -> bh_steer_rule.
 * steer_ports: ARRAY of BH_STEER_MAX_RULES bh_steer_ports.
 * steer_guards: ARRAY of 2 * BH_STEER_MAX_GUARDS bh_steer_guard: one half in use, one for the next.
 * steer_access: LPM_TRIE bh_access_key -> __u8, 1 is allowed. A list has entries for all of IPv4
 *   and all of IPv6; one without is in the making, or being removed, and denies nothing.
 * steer_sources: LRU_HASH bh_source_key -> bh_source_bucket.
 * steer_clients: LRU_HASH bh_client_key -> bh_source_bucket.
 * steer_fragments: LRU_HASH bh_fragment_key -> bh_fragment_fate.
 * steer_refused: RINGBUF of bh_refused.
 * steer_counters: PERCPU_ARRAY of BH_STEER_COUNTERS __u64. */
#ifdef __cplusplus
#define BH_ASSERT_SIZE(type, bytes) static_assert(sizeof(type) == (bytes))
#else
#define BH_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
#endif
BH_ASSERT_SIZE(bh_steer_key, 20);
BH_ASSERT_SIZE(bh_steer_ports, 8192);
BH_ASSERT_SIZE(bh_steer_rule, 8);
BH_ASSERT_SIZE(bh_steer_guard, 32);
BH_ASSERT_SIZE(bh_access_key, 24);
BH_ASSERT_SIZE(bh_source_key, 16);
BH_ASSERT_SIZE(bh_source_bucket, 8);
BH_ASSERT_SIZE(bh_fragment_key, 36);
BH_ASSERT_SIZE(bh_fragment_fate, 8);
BH_ASSERT_SIZE(bh_client_key, 20);
BH_ASSERT_SIZE(bh_refused, 36);
