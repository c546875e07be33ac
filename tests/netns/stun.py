"""STUN messages (RFC 8489) as a browser and a bridge send them, and broken ones."""

import os
import struct
import zlib

COOKIE = 0x2112A442
BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
BINDING_INDICATION = 0x0011
USERNAME = 0x0006
PRIORITY = 0x0024
FINGERPRINT = 0x8028
FINGERPRINT_XOR = 0x5354554E


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def message(kind=BINDING_REQUEST, attributes=b"", transaction=None, fingerprint=True):
    transaction = transaction or os.urandom(12)
    length = len(attributes) + (8 if fingerprint else 0)
    data = struct.pack("!HHI", kind, length, COOKIE) + transaction + attributes
    if fingerprint:
        crc = (zlib.crc32(data) & 0xFFFFFFFF) ^ FINGERPRINT_XOR
        data += struct.pack("!HHI", FINGERPRINT, 4, crc)
    return data


def request(username="jvb1abcd:client1", **options):
    attributes = attribute(USERNAME, username.encode()) + attribute(PRIORITY, b"\x6e\x7f\x1e\xff")
    return message(BINDING_REQUEST, attributes, **options)


def response(to):
    """The success response to the request `to`."""
    return message(BINDING_SUCCESS, transaction=to[8:20])


def rtp(sequence, size=160, ssrc=0x1234):
    """An RTP packet of `size` bytes whose payload is a function of its sequence number."""
    header = struct.pack("!BBHII", 0x80, 111, sequence & 0xFFFF, sequence * 960 & 0xFFFFFFFF, ssrc)
    body = bytes((sequence * 7 + i) & 0xFF for i in range(max(0, size - len(header))))
    return (header + body)[:max(size, len(header))]
