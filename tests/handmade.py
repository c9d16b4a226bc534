"""Small TCP and UDP packets, built by hand."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import gso
from reference import crc32c

ETHERNET = bytes.fromhex("020000000b01 020000000a01")
TIMESTAMPS = bytes.fromhex("0101080a0000000500000006")
CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 5201)
OTHER = ("10.0.0.9", 40001)


def transport(addresses, protocol: int, header: bytes, payload: bytes, at: int) -> bytes:
    """The header with the right checksum at `at`, and the payload."""
    whole = header + payload
    one, two = (ip_address(address).packed for address, _ in addresses)
    seed = gso.pseudo_header(one, two, protocol, len(whole))
    total = gso.checksum(whole, seed)
    return header[:at] + total.to_bytes(2, "big") + header[at + 2 :] + payload


def network(source, destination, protocol: int, payload: bytes) -> bytes:
    one, two = ip_address(source[0]), ip_address(destination[0])
    if one.version == 6:
        return (
            struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64)
            + one.packed
            + two.packed
            + payload
        )
    size = (20 + len(payload)) & 0xFFFF
    header = (
        struct.pack(">BBHHHBBH", 0x45, 0, size, 7, 0x4000, 64, protocol, 0)
        + one.packed
        + two.packed
    )
    return header[:10] + gso.checksum(header).to_bytes(2, "big") + header[12:] + payload


def tcp(
    source=CLIENT, destination=SERVER, payload=b"", *, flags=0x18, options=TIMESTAMPS, sequence=1000
):
    size = 20 + len(options)
    header = struct.pack(
        ">HHIIBBHHH", source[1], destination[1], sequence, 1, size << 2, flags, 501, 0, 0
    )
    whole = transport((source, destination), 6, header + options, payload, 16)
    return network(source, destination, 6, whole)


def syn(source, destination, mss: int | None, *, flags=0x02):
    options = b"" if mss is None else struct.pack(">BBH", 2, 4, mss)
    return tcp(source, destination, flags=flags, options=options)


def udp(source=CLIENT, destination=SERVER, payload=b""):
    header = struct.pack(">HHHH", source[1], destination[1], (8 + len(payload)) & 0xFFFF, 0)
    return network(
        source, destination, 17, transport((source, destination), 17, header, payload, 6)
    )


def sctp(source=CLIENT, destination=SERVER, payload=b""):
    """One chunk of data around the payload."""
    chunk = struct.pack(">BBHIHHI", 0, 3, 16 + len(payload), 1, 0, 0, 0) + payload
    whole = struct.pack(">HHII", source[1], destination[1], 0x01020304, 0)
    whole += chunk + bytes(-len(chunk) % 4)
    crc = crc32c(whole).to_bytes(4, "little")
    return network(source, destination, 132, whole[:8] + crc + whole[12:])


def partial(packet: bytes) -> bytes:
    """The IPv4 packet with its checksum left to an offload: the sum of the pseudo header."""
    at = 36 if packet[9] == 6 else 26
    seed = gso.pseudo_header(packet[12:16], packet[16:20], packet[9], len(packet) - 20)
    return packet[:at] + seed.to_bytes(2, "big") + packet[at + 2 :]


def ethernet(packet: bytes) -> bytes:
    return ETHERNET + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0") + packet


def with_id(packet, number, *, fragment=0x4000, ttl=64, tos=0):
    header = bytearray(packet[:20])
    header[1], header[8] = tos, ttl
    header[4:8] = number.to_bytes(2, "big") + fragment.to_bytes(2, "big")
    header[10:12] = b"\0\0"
    header[10:12] = gso.checksum(header).to_bytes(2, "big")
    return bytes(header) + packet[20:]


def segment(number, payload=b"x" * 100, *, start=1000, flags=0x10, size=100, source=None, **ip):
    """Segment `number` of a stream in segments of 100 bytes."""
    packet = tcp(source or CLIENT, SERVER, payload, flags=flags, sequence=start + number * size)
    return ethernet(with_id(packet, (ip.pop("ident", number)) % 65536, **ip))


def stream(count, **options):
    return [segment(i, **options) for i in range(count)]
