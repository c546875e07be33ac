/* Which packets of a shared interface belong to the relay, and which of those not even it wants.
 *
 * Redirects to the relay's AF_XDP sockets exactly
 *   - UDP whose destination is a DESTINATION rule, whose source is a SOURCE rule, or whose source
 *     address and destination port are an OUTBOUND rule, and
 *   - the other fragments of such UDP, which have no ports: by what became of the first one, or,
 *     should they come before it, by their addresses alone, and
 *   - ICMP errors about such UDP, seen from the other side: the quoted packet is one that the relay
 *     sent, so source and destination have changed places.
 * All else goes on to the kernel, and so does whatever is too short to tell: ssh, ARP, routing and
 * TCP never notice. The relay checks everything again and names what it drops.
 *
 * Of UDP to a listener, what the listener's guard refuses is dropped here, counted by reason: a
 * denied source, what can not be media, and STUN requests of a source that sends too many. This is
 * the first line of defence only: in doubt a packet goes on to the relay.
 *
 * A parser takes a cursor, looks only at bytes it has checked to be there, and moves the cursor
 * past them. Addresses become 16 bytes at once (IPv4 mapped), so that rules know no family.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "demux.h"
#include "maps.h"
#include "shared.h"

#define BH_INLINE static __always_inline

struct cursor {
  void* at;
  void* end;
};

struct vlan_tag {
  __be16 control;
  __be16 type;
};

/* RFC 792 and RFC 4443. Spelt out because linux/icmp.h leads to the C library's headers. */
enum { ICMP_UNREACHABLE = 3, ICMP_TIME_EXCEEDED = 11, ICMP_PARAMETER = 12 };
enum { ICMPV6_FIRST_ERROR = 1, ICMPV6_LAST_ERROR = 4 };
struct icmp_header {
  __u8 type;
  __u8 code;
  __be16 checksum;
  __be32 rest;
};

/* RFC 8489 section 5: how a STUN message begins. */
struct stun_start {
  __be16 type;
  __be16 length;
  __be32 cookie;
};

struct address {
  __u8 bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
};

/* RFC 8200 section 4.5. */
struct ipv6_fragment {
  __u8 protocol;
  __u8 reserved;
  __be16 place; /* offset, and in the lowest bit whether there is more */
  __be32 id;
};

enum fragment { WHOLE, FIRST, LATER };

struct ip_packet {
  struct address source;
  struct address destination;
  __u8 protocol;
  __u8 fragment; /* enum fragment */
  __u32 id;      /* of a fragment's packet */
};

BH_INLINE __u32 this_second(void) {
  return (__u32)(bpf_ktime_get_ns() / 1000000000ull);
}

/* The next `bytes` bytes, or NULL when they are not all there. */
BH_INLINE void* take(struct cursor* c, __u32 bytes) {
  void* start = c->at;
  if (start + bytes > c->end) {
    return NULL;
  }
  c->at = start + bytes;
  return start;
}

/* EtherType behind at most one VLAN tag, or 0. In network order. */
BH_INLINE __be16 parse_ethernet(struct cursor* c) {
  struct ethhdr* eth = take(c, sizeof(*eth));
  if (!eth) {
    return 0;
  }
  if (eth->h_proto != bpf_htons(ETH_P_8021Q) && eth->h_proto != bpf_htons(ETH_P_8021AD)) {
    return eth->h_proto;
  }
  struct vlan_tag* tag = take(c, sizeof(*tag));
  return tag ? tag->type : 0;
}

BH_INLINE void map_ipv4(struct address* out, __be32 address) {
  __builtin_memset(out, 0, sizeof(*out));
  out->bytes[10] = 0xff;
  out->bytes[11] = 0xff;
  __builtin_memcpy(&out->bytes[12], &address, sizeof(address));
}

BH_INLINE int parse_ipv4(struct cursor* c, struct ip_packet* out) {
  struct iphdr* ip = take(c, sizeof(*ip));
  if (!ip || ip->version != 4 || ip->ihl < 5) {
    return 0;
  }
  const __u16 place = bpf_ntohs(ip->frag_off);
  out->fragment = place & 0x1fff ? LATER : place & 0x2000 ? FIRST : WHOLE;
  out->id = ip->id;
  map_ipv4(&out->source, ip->saddr);
  map_ipv4(&out->destination, ip->daddr);
  out->protocol = ip->protocol;
  /* Options are the relay's to refuse; here they are only in the way. Counted from the header's
   * start, because the verifier loses the bounds of a difference. */
  c->at = (void*)ip + ip->ihl * 4;
  return c->at <= c->end;
}

/* RFC 8200. Extension headers but for the fragment's come out as a protocol that is not ours. */
BH_INLINE int parse_ipv6(struct cursor* c, struct ip_packet* out) {
  struct ipv6hdr* ip = take(c, sizeof(*ip));
  if (!ip || ip->version != 6) {
    return 0;
  }
  __builtin_memcpy(&out->source, &ip->saddr, sizeof(out->source));
  __builtin_memcpy(&out->destination, &ip->daddr, sizeof(out->destination));
  out->protocol = ip->nexthdr;
  out->fragment = WHOLE;
  out->id = 0;
  if (ip->nexthdr != IPPROTO_FRAGMENT) {
    return 1;
  }
  struct ipv6_fragment* fragment = take(c, sizeof(*fragment));
  if (!fragment) {
    return 0;
  }
  const __u16 place = bpf_ntohs(fragment->place);
  out->protocol = fragment->protocol;
  out->fragment = place & 0xfff8 ? LATER : place & 1 ? FIRST : WHOLE;
  out->id = fragment->id;
  return 1;
}

/* Fills in the rule that holds this port; 0: there is none. */
BH_INLINE int find_rule(__u32 side, const struct address* address, __be16 wire_port,
                        struct bh_steer_rule* rule) {
  struct bh_steer_key key = {.side = side};
  __builtin_memcpy(key.address, address, sizeof(*address));

  const void* found = bpf_map_lookup_elem(&steer_rules, &key);
  if (!found) {
    return 0;
  }
  /* In one piece: the element may get another value at any time. */
  const __u64 value = *(const volatile __u64*)found;
  __builtin_memcpy(rule, &value, sizeof(*rule));
  struct bh_steer_ports* ports = bpf_map_lookup_elem(&steer_ports, &rule->row);
  if (!ports) {
    return 0;
  }
  __u16 port = bpf_ntohs(wire_port);
  return ports->bits[port / 64] >> (port % 64) & 1;
}

BH_INLINE int matches(__u32 side, const struct address* address, __be16 wire_port) {
  struct bh_steer_rule rule;
  return find_rule(side, address, wire_port, &rule);
}

/* The first of the rule's guards that holds the port, or NULL. */
BH_INLINE const struct bh_steer_guard* find_guard(const struct bh_steer_rule* rule, __u16 port) {
#pragma clang loop unroll(disable)
  for (__u32 i = 0; i < BH_STEER_MAX_GUARDS; ++i) {
    if (i >= rule->guards) {
      return NULL;
    }
    __u32 at = rule->first_guard + i;
    const struct bh_steer_guard* guard = bpf_map_lookup_elem(&steer_guards, &at);
    if (!guard) {
      return NULL;
    }
    if (port >= guard->first_port && port <= guard->last_port) {
      return guard;
    }
  }
  return NULL;
}

/* By the longest prefix of the list that holds the source. */
BH_INLINE int is_denied(__u32 list, const struct address* source) {
  struct bh_access_key key = {.prefix_bits = 32 + 128, .list = list};
  __builtin_memcpy(key.address, source, sizeof(*source));
  const __u8* allowed = bpf_map_lookup_elem(&steer_access, &key);
  return allowed && !*allowed;
}

/* Charges one request to the source, or says that it has sent too many.
 *
 * Two CPUs that charge one source in the same moment may read the same time, and then one charge
 * is lost: a source gets away with at most one request for each other CPU at each such moment. No
 * source ever gets less than its rate. Times are nanoseconds since boot: their sums do not overflow
 * in 500 years. */
BH_INLINE int is_empty(struct bh_source_bucket* bucket, __u64 now, __u64 interval, __u64 burst) {
  __u64 full_at = bucket->full_at;
  if (full_at < now) {
    full_at = now;
  }
  if (full_at + interval > now + burst) {
    return 1;
  }
  bucket->full_at = full_at + interval;
  return 0;
}

BH_INLINE int asks_too_often(const struct bh_steer_guard* guard, const struct address* source,
                             __be16 port) {
  struct bh_source_key key;
  __builtin_memcpy(&key, source, sizeof(key));
  if (key.high != 0) { /* IPv6: an IPv4 address begins with ten bytes of zeros */
    key.low = 0;
  }
  struct bh_client_key client_key = {.port = port};
  __builtin_memcpy(client_key.address, source, sizeof(client_key.address));
  const __u64 now = bpf_ktime_get_ns();
  struct bh_source_bucket* client = bpf_map_lookup_elem(&steer_clients, &client_key);
  struct bh_source_bucket* bucket = bpf_map_lookup_elem(&steer_sources, &key);
  if (bucket && is_empty(bucket, now, guard->request_interval, guard->request_burst)) {
    return !client || is_empty(client, now, BH_CLIENT_INTERVAL_NS, BH_CLIENT_BURST_NS);
  }
  /* They fail only where the kernel finds no memory at the moment: not charged then. */
  if (!bucket) {
    struct bh_source_bucket first = {.full_at = now + guard->request_interval};
    bpf_map_update_elem(&steer_sources, &key, &first, BPF_ANY);
  }
  if (!client) {
    struct bh_source_bucket full = {.full_at = 0};
    bpf_map_update_elem(&steer_clients, &client_key, &full, BPF_ANY);
  }
  return 0;
}

/* For the log: the first of a second only, and none when nobody reads. */
BH_INLINE void tell_refused(const struct ip_packet* ip, const struct udphdr* udp) {
  const __u32 only = 0;
  struct bh_sampled* sampled = bpf_map_lookup_elem(&steer_sampled, &only);
  if (!sampled) {
    return;
  }
  const __u32 second = this_second();
  if (sampled->second != second) {
    sampled->second = second;
    sampled->count = 0;
  }
  if (sampled->count >= BH_STEER_SAMPLES) {
    return;
  }
  sampled->count += 1;
  struct bh_refused refused = {.source_port = udp->source, .destination_port = udp->dest};
  __builtin_memcpy(refused.source, &ip->source, sizeof(refused.source));
  __builtin_memcpy(refused.destination, &ip->destination, sizeof(refused.destination));
  bpf_ringbuf_output(&steer_refused, &refused, sizeof(refused), BPF_RB_NO_WAKEUP);
}

/* Of a datagram to a listener that takes media, `c` behind its UDP header. */
BH_INLINE __u32 fate_of_media(struct cursor* c, const struct ip_packet* ip,
                              const struct udphdr* udp, const struct bh_steer_guard* guard) {
  /* The UDP header says where the payload ends: a short frame is padded. */
  const __u16 bytes = bpf_ntohs(udp->len);
  struct cursor payload = *c;
  const __u8* first = take(&payload, sizeof(*first));
  if (!first || bytes <= sizeof(*udp)) {
    return BH_STEER_REDIRECTED; /* empty or cut short: the relay has names for it */
  }
  if (!bh_may_be_media(*first)) {
    return BH_STEER_NOT_MEDIA;
  }
  const struct stun_start* stun = take(c, sizeof(*stun));
  if (!stun || bytes < sizeof(*udp) + BH_STUN_HEADER_BYTES ||
      stun->type != bpf_htons(BH_STUN_BINDING_REQUEST) ||
      stun->cookie != bpf_htonl(BH_STUN_MAGIC_COOKIE)) {
    return BH_STEER_REDIRECTED;
  }
  return guard->request_interval != 0 && asks_too_often(guard, &ip->source, udp->source)
             ? BH_STEER_STUN_RATE
             : BH_STEER_REDIRECTED;
}

/* What becomes of a packet, as the counter that it is counted by (enum bh_steer_counter). */
BH_INLINE __u32 fate_of_datagram(struct cursor* c, const struct ip_packet* ip) {
  const struct udphdr* udp = take(c, sizeof(*udp));
  if (!udp) {
    return BH_STEER_PASSED;
  }
  struct bh_steer_rule rule;
  if (!find_rule(BH_STEER_DESTINATION, &ip->destination, udp->dest, &rule)) {
    return matches(BH_STEER_SOURCE, &ip->source, udp->source) ||
                   matches(BH_STEER_OUTBOUND, &ip->source, udp->dest)
               ? BH_STEER_REDIRECTED
               : BH_STEER_PASSED;
  }
  const struct bh_steer_guard* guard = find_guard(&rule, bpf_ntohs(udp->dest));
  if (!guard) {
    return BH_STEER_REDIRECTED;
  }
  if (guard->list != 0 && is_denied(guard->list, &ip->source)) {
    tell_refused(ip, udp);
    return BH_STEER_DENIED;
  }
  return guard->media ? fate_of_media(c, ip, udp, guard) : BH_STEER_REDIRECTED;
}

BH_INLINE int has_rule(__u32 side, const struct address* address) {
  struct bh_steer_key key = {.side = side};
  __builtin_memcpy(key.address, address, sizeof(*address));
  return bpf_map_lookup_elem(&steer_rules, &key) != NULL;
}

/* Without ports. One that comes before its first is the relay's if its address is the relay's at
 * some port: it waits there, while the kernel would never see the rest. */
BH_INLINE __u32 fate_of_later_fragment(const struct ip_packet* ip,
                                       const struct bh_fragment_key* key) {
  const struct bh_fragment_fate* first = bpf_map_lookup_elem(&steer_fragments, key);
  /* An older one is of another packet that had the same number. */
  if (first && this_second() - first->second <= BH_FRAGMENT_SECONDS) {
    return first->fate;
  }
  return has_rule(BH_STEER_DESTINATION, &ip->destination) ||
                 has_rule(BH_STEER_SOURCE, &ip->source) || has_rule(BH_STEER_OUTBOUND, &ip->source)
             ? BH_STEER_REDIRECTED
             : BH_STEER_PASSED;
}

BH_INLINE __u32 fate_of_udp(struct cursor* c, const struct ip_packet* ip) {
  if (ip->fragment == WHOLE) {
    return fate_of_datagram(c, ip);
  }
  struct bh_fragment_key key = {.id = ip->id};
  __builtin_memcpy(key.source, &ip->source, sizeof(key.source));
  __builtin_memcpy(key.destination, &ip->destination, sizeof(key.destination));
  if (ip->fragment == LATER) {
    return fate_of_later_fragment(ip, &key);
  }
  const struct bh_fragment_fate first = {fate_of_datagram(c, ip), this_second()};
  /* Should the kernel find no memory, the others go by their addresses. */
  bpf_map_update_elem(&steer_fragments, &key, &first, BPF_ANY);
  return first.fate;
}

/* What an ICMP error quotes of the packet it is about: was it one that the relay sent? */
BH_INLINE int quoted_is_ours(struct cursor* c, const struct ip_packet* quoted) {
  if (quoted->protocol != IPPROTO_UDP || quoted->fragment == LATER) {
    return 0;
  }
  struct udphdr* udp = take(c, sizeof(*udp));
  if (!udp) {
    return 0;
  }
  return matches(BH_STEER_DESTINATION, &quoted->source, udp->source) ||
         matches(BH_STEER_SOURCE, &quoted->destination, udp->dest) ||
         matches(BH_STEER_OUTBOUND, &quoted->destination, udp->source);
}

/* RFC 792: the error quotes the IP header and at least 8 bytes of what it is about. */
BH_INLINE int icmp_is_ours(struct cursor* c) {
  struct icmp_header* icmp = take(c, sizeof(*icmp));
  if (!icmp) {
    return 0;
  }
  switch (icmp->type) {
    case ICMP_UNREACHABLE:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETER:
      break;
    default:
      return 0;
  }
  struct ip_packet quoted;
  return parse_ipv4(c, &quoted) && quoted_is_ours(c, &quoted);
}

/* RFC 4443 section 2.4: the error quotes as much as fits. */
BH_INLINE int icmpv6_is_ours(struct cursor* c) {
  struct icmp_header* icmp = take(c, sizeof(*icmp));
  if (!icmp || icmp->type < ICMPV6_FIRST_ERROR || icmp->type > ICMPV6_LAST_ERROR) {
    return 0;
  }
  struct ip_packet quoted;
  return parse_ipv6(c, &quoted) && quoted_is_ours(c, &quoted);
}

BH_INLINE __u32 fate_of_error(int is_ours) {
  return is_ours ? BH_STEER_REDIRECTED : BH_STEER_PASSED;
}

BH_INLINE __u32 fate_of_ipv4(struct cursor* c) {
  struct ip_packet ip;
  if (!parse_ipv4(c, &ip)) {
    return BH_STEER_PASSED;
  }
  switch (ip.protocol) {
    case IPPROTO_UDP:
      return fate_of_udp(c, &ip);
    case IPPROTO_ICMP:
      return fate_of_error(icmp_is_ours(c));
    default:
      return BH_STEER_PASSED;
  }
}

BH_INLINE __u32 fate_of_ipv6(struct cursor* c) {
  struct ip_packet ip;
  if (!parse_ipv6(c, &ip)) {
    return BH_STEER_PASSED;
  }
  switch (ip.protocol) {
    case IPPROTO_UDP:
      return fate_of_udp(c, &ip);
    case IPPROTO_ICMPV6:
      return fate_of_error(icmpv6_is_ours(c));
    default:
      return BH_STEER_PASSED;
  }
}

BH_INLINE __u32 fate_of(struct cursor* c) {
  switch (parse_ethernet(c)) {
    case bpf_htons(ETH_P_IP):
      return fate_of_ipv4(c);
    case bpf_htons(ETH_P_IPV6):
      return fate_of_ipv6(c);
    default:
      return BH_STEER_PASSED;
  }
}

BH_INLINE void count(__u32 what) {
  __u64* counter = bpf_map_lookup_elem(&steer_counters, &what);
  if (counter) {
    *counter += 1; /* per CPU, and XDP is not preempted by itself */
  }
}

SEC("xdp")
int bh_steer(struct xdp_md* ctx) {
  struct cursor c = {.at = (void*)(long)ctx->data, .end = (void*)(long)ctx->data_end};

  const __u32 fate = fate_of(&c);
  count(fate);
  switch (fate) {
    case BH_STEER_PASSED:
      return XDP_PASS;
    case BH_STEER_REDIRECTED:
      /* XDP_PASS: without a socket on this queue the packet is the kernel's, not lost. The relay
       * sees to it at start that every queue of the interface has one. */
      return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
    default:
      return XDP_DROP;
  }
}

char LICENSE[] SEC("license") = "Apache-2.0";
