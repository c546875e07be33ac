/* Makes an interface's wire a tagged one, for kernels without VLAN interfaces (tests/netns).
 *
 * On clsact: what the host sends gets the tag VLAN, and of what comes in only packets with that tag
 * pass, without it. The host itself knows nothing of a VLAN.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
/* The headers of bpf/ need those of linux/ before them. */
#include "bpf/bpf_endian.h"
#include "bpf/bpf_helpers.h"

SEC("classifier/egress")
int tag(struct __sk_buff* skb) {
  if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), VLAN) != 0) return TC_ACT_SHOT;
  return TC_ACT_OK;
}

SEC("classifier/ingress")
int untag(struct __sk_buff* skb) {
  if (!skb->vlan_present || (skb->vlan_tci & 0xfff) != VLAN) return TC_ACT_SHOT;
  if (bpf_skb_vlan_pop(skb) != 0) return TC_ACT_SHOT;
  return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
