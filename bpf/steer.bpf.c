/* Which packets of a shared interface belong to the relay.
 *
 * Redirects to the relay's AF_XDP sockets exactly
 *   - UDP whose destination is a DESTINATION rule, whose source is a SOURCE rule, or whose source
 *     address and destination port are an OUTBOUND rule, and
 *   - ICMP errors about such UDP, seen from the other side: the quoted packet is one that the relay
 *     sent, so source and destination have changed places.
 * All else goes on to the kernel, and so does whatever is too short to tell: ssh, ARP, routing and
 * TCP never notice. The relay checks everything again and names what it drops; this program only
 * has to be right about whose a packet is.
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
enum { ICMP_UNREACHABLE = 3, ICMP_SOURCE_QUENCH = 4, ICMP_TIME_EXCEEDED = 11, ICMP_PARAMETER = 12 };
enum { ICMPV6_FIRST_ERROR = 1, ICMPV6_LAST_ERROR = 4 };
struct icmp_header {
  __u8 type;
  __u8 code;
  __be16 checksum;
  __be32 rest;
};

struct address {
  __u8 bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
};

struct ip_packet {
  struct address source;
  struct address destination;
  __u8 protocol;
};

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

/* False also for fragments other than the first, which carry no ports. */
BH_INLINE int parse_ipv4(struct cursor* c, struct ip_packet* out) {
  struct iphdr* ip = take(c, sizeof(*ip));
  if (!ip || ip->version != 4 || ip->ihl < 5) {
    return 0;
  }
  if (ip->frag_off & bpf_htons(0x1fff)) {
    return 0;
  }
  map_ipv4(&out->source, ip->saddr);
  map_ipv4(&out->destination, ip->daddr);
  out->protocol = ip->protocol;
  /* Options are the relay's to refuse; here they are only in the way. Counted from the header's
   * start, because the verifier loses the bounds of a difference. */
  c->at = (void*)ip + ip->ihl * 4;
  return c->at <= c->end;
}

/* RFC 8200. Extension headers come out as a protocol that is not ours. */
BH_INLINE int parse_ipv6(struct cursor* c, struct ip_packet* out) {
  struct ipv6hdr* ip = take(c, sizeof(*ip));
  if (!ip || ip->version != 6) {
    return 0;
  }
  __builtin_memcpy(&out->source, &ip->saddr, sizeof(out->source));
  __builtin_memcpy(&out->destination, &ip->daddr, sizeof(out->destination));
  out->protocol = ip->nexthdr;
  return 1;
}

BH_INLINE int matches(__u32 side, const struct address* address, __be16 wire_port) {
  struct bh_steer_key key = {.side = side};
  __builtin_memcpy(key.address, address, sizeof(*address));

  __u32* row = bpf_map_lookup_elem(&steer_rules, &key);
  if (!row) {
    return 0;
  }
  struct bh_steer_ports* ports = bpf_map_lookup_elem(&steer_ports, row);
  if (!ports) {
    return 0;
  }
  __u16 port = bpf_ntohs(wire_port);
  return ports->bits[port / 64] >> (port % 64) & 1;
}

BH_INLINE int udp_is_ours(struct cursor* c, const struct ip_packet* ip) {
  struct udphdr* udp = take(c, sizeof(*udp));
  if (!udp) {
    return 0;
  }
  return matches(BH_STEER_DESTINATION, &ip->destination, udp->dest) ||
         matches(BH_STEER_SOURCE, &ip->source, udp->source) ||
         matches(BH_STEER_OUTBOUND, &ip->source, udp->dest);
}

/* What an ICMP error quotes of the packet it is about: was it one that the relay sent? */
BH_INLINE int quoted_is_ours(struct cursor* c, const struct ip_packet* quoted) {
  if (quoted->protocol != IPPROTO_UDP) {
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
    case ICMP_SOURCE_QUENCH:
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

BH_INLINE int ipv4_is_ours(struct cursor* c) {
  struct ip_packet ip;
  if (!parse_ipv4(c, &ip)) {
    return 0;
  }
  switch (ip.protocol) {
    case IPPROTO_UDP:
      return udp_is_ours(c, &ip);
    case IPPROTO_ICMP:
      return icmp_is_ours(c);
    default:
      return 0;
  }
}

BH_INLINE int ipv6_is_ours(struct cursor* c) {
  struct ip_packet ip;
  if (!parse_ipv6(c, &ip)) {
    return 0;
  }
  switch (ip.protocol) {
    case IPPROTO_UDP:
      return udp_is_ours(c, &ip);
    case IPPROTO_ICMPV6:
      return icmpv6_is_ours(c);
    default:
      return 0;
  }
}

BH_INLINE int is_ours(struct cursor* c) {
  switch (parse_ethernet(c)) {
    case bpf_htons(ETH_P_IP):
      return ipv4_is_ours(c);
    case bpf_htons(ETH_P_IPV6):
      return ipv6_is_ours(c);
    default:
      return 0;
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

  if (!is_ours(&c)) {
    count(BH_STEER_PASSED);
    return XDP_PASS;
  }
  count(BH_STEER_REDIRECTED);
  /* XDP_PASS: without a socket on this queue the packet is the kernel's, not lost. The relay sees
   * to it at start that every queue of the interface has one. */
  return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
}

char LICENSE[] SEC("license") = "Apache-2.0";
