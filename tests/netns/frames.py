"""Ethernet frames built from their parts, so that each part can be made wrong, and read back."""

import socket
import struct
from dataclasses import dataclass, field


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_checksum(source, destination, datagram):
    pseudo = (socket.inet_aton(source) + socket.inet_aton(destination)
              + struct.pack("!BBH", 0, 17, len(datagram)))
    return checksum(pseudo + datagram) or 0xFFFF


@dataclass
class Frame:
    """A UDP frame. A field left None is computed so that it is right."""
    to_mac: bytes = b""
    from_mac: bytes = b""
    source: str = ""
    destination: str = ""
    source_port: int = 40000
    destination_port: int = 10000
    payload: bytes = b""
    ttl: int = 64
    protocol: int = 17
    version: int = 4
    header_words: int | None = None
    options: bytes = b""
    total_length: int | None = None
    fragment: int = 0x4000  # flags and offset; don't fragment
    ip_checksum: int | None = None
    udp_length: int | None = None
    udp_sum: int | None = None
    ethertype: int = 0x0800
    vlans: list = field(default_factory=list)
    body: bytes | None = None  # instead of UDP
    cut: int | None = None  # bytes to keep of the whole frame

    def build(self):
        udp = self.body
        if udp is None:
            length = 8 + len(self.payload) if self.udp_length is None else self.udp_length
            head = struct.pack("!HHH", self.source_port, self.destination_port, length)
            right = udp_checksum(self.source, self.destination, head + b"\0\0" + self.payload)
            value = right if self.udp_sum is None else self.udp_sum
            udp = head + struct.pack("!H", value) + self.payload
        words = 5 + len(self.options) // 4 if self.header_words is None else self.header_words
        total = 20 + len(self.options) + len(udp) if self.total_length is None else self.total_length
        ip = bytearray(struct.pack(
            "!BBHHHBBH4s4s", self.version << 4 | words, 0, total, 0, self.fragment, self.ttl,
            self.protocol, 0, socket.inet_aton(self.source), socket.inet_aton(self.destination)))
        ip += self.options
        right = checksum(bytes(ip))
        struct.pack_into("!H", ip, 10, right if self.ip_checksum is None else self.ip_checksum)
        tags = b"".join(struct.pack("!HH", 0x8100, vlan) for vlan in self.vlans)
        frame = (self.to_mac + self.from_mac + tags + struct.pack("!H", self.ethertype)
                 + bytes(ip) + udp)
        return frame if self.cut is None else frame[:self.cut]


@dataclass
class Seen:
    """A UDP frame as captured."""
    from_mac: bytes
    to_mac: bytes
    vlan: int | None
    ttl: int
    source: tuple
    destination: tuple
    payload: bytes
    ip_checksum_right: bool
    udp_checksum_right: bool


def read(frame):
    """The UDP frame in these bytes, or None when it is something else."""
    at, vlan = 14, None
    ethertype = struct.unpack_from("!H", frame, 12)[0]
    if ethertype == 0x8100:
        vlan = struct.unpack_from("!H", frame, 14)[0] & 0xFFF
        ethertype, at = struct.unpack_from("!H", frame, 16)[0], 18
    if ethertype != 0x0800 or len(frame) < at + 28 or frame[at + 9] != 17:
        return None
    size = (frame[at] & 15) * 4
    ip, total = frame[at:at + size], struct.unpack_from("!H", frame, at + 2)[0]
    udp = frame[at + size:at + total]
    source, destination = (socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20]))
    source_port, destination_port, _, value = struct.unpack_from("!HHHH", udp)
    zeroed = udp[:6] + b"\0\0" + udp[8:]
    return Seen(from_mac=frame[6:12], to_mac=frame[:6], vlan=vlan, ttl=ip[8],
                source=(source, source_port), destination=(destination, destination_port),
                payload=udp[8:], ip_checksum_right=checksum(ip) == 0,
                udp_checksum_right=value in (0, udp_checksum(source, destination, zeroed)))
