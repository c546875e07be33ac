/* What a datagram to a media listener can be, by its first bytes: one rule for the XDP program and
 * the relay. Plain C for both. */
#pragma once

#include <linux/types.h>

/* RFC 7983 section 7 and RFC 9443 section 3: the first byte of what shares a port with RTP. One bit
 * for each four values, since all ranges begin and end at multiples of four: 0-3 STUN, 16-19 ZRTP,
 * 20-63 DTLS, 64-79 TURN channels, 128-191 RTP and RTCP. The rest is QUIC, which no bridge speaks,
 * or nothing. */
#define BH_MEDIA_FIRST_BYTES 0x0000ffff000ffff1ull

static inline int bh_may_be_media(__u8 first) {
  return BH_MEDIA_FIRST_BYTES >> (first >> 2) & 1;
}

/* RFC 8489 section 5: a Binding Request has type 00 01, the magic cookie at byte 4, and a header of
 * 20 bytes. */
#define BH_STUN_BINDING_REQUEST 0x0001
#define BH_STUN_MAGIC_COOKIE 0x2112a442
#define BH_STUN_HEADER_BYTES 20
