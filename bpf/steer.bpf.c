/* Which packets of a shared interface belong to the relay.
 *
 * Redirects to the relay's AF_XDP sockets exactly
 *   - UDP whose destination is a DESTINATION rule or whose source is a SOURCE rule, and
 *   - ICMP errors about such UDP, seen from the other side: the quoted packet is one that the relay
 *     sent, so its source is a DESTINATION rule or its destination a SOURCE rule.
 * All else goes on to the kernel, and so does whatever is too short to tell: ssh, ARP, routing and
 * TCP never notice. The relay checks everything again and names what it drops; this program only
 * has to be right about whose a packet is.
 *
 * A parser takes a cursor, looks only at bytes it has checked to be there, and moves the cursor
 * past them. Addresses become 16 bytes at once (IPv4 mapped), so that IPv6 is one more parser.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
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

/* RFC 792. Spelt out because linux/icmp.h leads to the C library's headers. */
enum { ICMP_UNREACHABLE = 3, ICMP_SOURCE_QUENCH = 4, ICMP_TIME_EXCEEDED = 11, ICMP_PARAMETER = 12 };
struct icmp_header {
  __u8 type;
  __u8 code;
  __be16 checksum;
  __be32 rest;
};

struct ip_packet {
  __be32 source;
  __be32 destination;
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

/* False also for fragments other than the first, which carry no ports. */
BH_INLINE int parse_ipv4(struct cursor* c, struct ip_packet* out) {
  struct iphdr* ip = take(c, sizeof(*ip));
  if (!ip || ip->version != 4 || ip->ihl < 5) {
    return 0;
  }
  if (ip->frag_off & bpf_htons(0x1fff)) {
    return 0;
  }
  out->source = ip->saddr;
  out->destination = ip->daddr;
  out->protocol = ip->protocol;
  /* Options are the relay's to refuse; here they are only in the way. Counted from the header's
   * start, because the verifier loses the bounds of a difference. */
  c->at = (void*)ip + ip->ihl * 4;
  return c->at <= c->end;
}

BH_INLINE int matches(__u32 side, __be32 address, __be16 wire_port) {
  struct bh_steer_key key = {.side = side};
  key.address[10] = 0xff;
  key.address[11] = 0xff;
  __builtin_memcpy(&key.address[12], &address, sizeof(address));

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
  return matches(BH_STEER_DESTINATION, ip->destination, udp->dest) ||
         matches(BH_STEER_SOURCE, ip->source, udp->source);
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
  if (!parse_ipv4(c, &quoted) || quoted.protocol != IPPROTO_UDP) {
    return 0;
  }
  struct udphdr* udp = take(c, sizeof(*udp));
  if (!udp) {
    return 0;
  }
  return matches(BH_STEER_DESTINATION, quoted.source, udp->source) ||
         matches(BH_STEER_SOURCE, quoted.destination, udp->dest);
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

BH_INLINE void count(__u32 what) {
  __u64* counter = bpf_map_lookup_elem(&steer_counters, &what);
  if (counter) {
    *counter += 1; /* per CPU, and XDP is not preempted by itself */
  }
}

SEC("xdp")
int bh_steer(struct xdp_md* ctx) {
  struct cursor c = {.at = (void*)(long)ctx->data, .end = (void*)(long)ctx->data_end};

  if (parse_ethernet(&c) != bpf_htons(ETH_P_IP) || !ipv4_is_ours(&c)) {
    count(BH_STEER_PASSED);
    return XDP_PASS;
  }
  count(BH_STEER_REDIRECTED);
  /* XDP_PASS: without a socket on this queue the packet is the kernel's, not lost. The relay sees
   * to it at start that every queue of the interface has one. */
  return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
}

char LICENSE[] SEC("license") = "Apache-2.0";
