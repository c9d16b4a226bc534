"""Build capture files byte by byte, independently of gso.capture."""

from __future__ import annotations

import struct

ORDERS = ("<", ">")
RESOLUTIONS = {10**6: 0xA1B2C3D4, 10**9: 0xA1B23C4D}


def pcap(packets, *, order="<", ticks=10**6, link=1, snaplen=262144, version=(2, 4)):
    """`packets`: (nanoseconds, bytes) pairs, or (nanoseconds, bytes, original length)."""
    parts = [struct.pack(order + "IHHiIII", RESOLUTIONS[ticks], *version, 0, 0, snaplen, link)]
    for when, data, *original in packets:
        seconds, rest = divmod(when, 10**9)
        fraction = rest * ticks // 10**9
        length = original[0] if original else len(data)
        parts += [struct.pack(order + "IIII", seconds, fraction, len(data), length), data]
    return b"".join(parts)


def pad(data):
    return data + bytes(-len(data) % 4)


def options(items, order="<"):
    packed = [struct.pack(order + "HH", code, len(value)) + pad(value) for code, value in items]
    return b"".join(packed) + bytes(4) if packed else b""


def block(kind, body, order="<"):
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order="<", items=(), *, version=(1, 0), length=-1):
    head = struct.pack(order + "IHHq", 0x1A2B3C4D, *version, length)
    return block(0x0A0D0D0A, head + options(items, order), order)


def interface(order="<", link=1, snaplen=0, items=()):
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options(items, order), order)


def enhanced(data, *, order="<", which=0, ticks=0, original=None, items=()):
    head = struct.pack(
        order + "IIIII",
        which,
        ticks >> 32,
        ticks & 0xFFFFFFFF,
        len(data),
        len(data) if original is None else original,
    )
    return block(6, head + pad(data) + options(items, order), order)


def simple(data, *, order="<", original=None):
    length = len(data) if original is None else original
    return block(3, struct.pack(order + "I", length) + pad(data), order)


def obsolete(data, *, order="<", which=0, ticks=0, items=()):
    head = struct.pack(
        order + "HHIIII", which, 7, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data)
    )
    return block(2, head + pad(data) + options(items, order), order)
