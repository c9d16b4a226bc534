"""Put GUE's four bytes in front of a packet by hand, and cut the whole as the kernel does."""

from __future__ import annotations

import struct

import gso

ETHERNET = bytes.fromhex("020000000002 020000000001 0800")


def ipv4(protocol: int, payload: bytes) -> bytes:
    """Put a packet in IPv4; the segmenter computes lengths and checksums."""
    addresses = bytes([192, 0, 2, 1, 192, 0, 2, 2])
    return struct.pack(">BBHHHBBH", 0x45, 0, 0, 1, 0, 64, protocol, 0) + addresses + payload


def main() -> None:
    """Show the header offsets that the kernel needs, and the sizes of the segments."""
    tcp = struct.pack(">HHIIBBHHH", 40000, 80, 1, 1, 0x50, 0x10, 502, 0, 0)
    gue = struct.pack(">BBH", 0, 4, 0)  # version 0, no options; IPv4 inside
    udp = struct.pack(">HHHH", 50000, 6080, 0, 0)
    frame = ETHERNET + ipv4(17, udp + gue + ipv4(6, tcp + bytes(4000)))
    print("tnl_hlen", gso.parse(frame).tnl_hlen)
    print("segments of", gso.segment(frame, 1400).lengths.tolist(), "bytes")


if __name__ == "__main__":
    main()
