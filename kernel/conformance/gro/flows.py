"""The frames of one flow: its headers, and the changes that senders, routers and accidents make."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random
from typing import Any

from gso import checksum, pseudo_header

OUTER = ("ip4", "ip6")
# Devices of VXLAN that complete remote checksums at once, with their ports.
COMPLETING = {"vxlan1": 4792}

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, AE = (1 << bit for bit in range(9))
_PROTOCOLS = {"ip4": 4, "ip6": 41, "gre": 47, "port": 17, "udp": 17, "tcp": 6}
_TYPES = {"ip4": 0x0800, "ip6": 0x86DD, "eth": 0x6558, "vlan": 0x8100}
_GPE = {"ip4": 1, "ip6": 2, "eth": 3}
_GPE_BITS = (0x01, 0x04, 0x08, 0x10, 0x20)  # O, P, I and the version, in the first byte
_PORTS = {"vxlan": 4789, "gpe": 4790, "geneve": 6081}
_Fields = dict[str, Any]


def _kind(word: str) -> str:
    return word.split("-", maxsplit=1)[0]


def _new(r: Random, word: str, following: str) -> _Fields:  # noqa: PLR0911 - one for each kind
    """Return the fields of one header of a new flow."""
    kind, _, option = word.partition("-")
    if kind == "eth":
        return {"addresses": b"\x02" + r.randbytes(5) + b"\x02" + r.randbytes(5)}
    if kind == "vlan":
        return {"tci": r.randrange(1, 4095)}
    if kind == "ip4":
        return {
            "source": b"\x0a\x02" + r.randbytes(2), "target": b"\x0a\x03" + r.randbytes(2),
            "tos": r.choice((0, 2, 0x2C)), "ttl": r.choice((64, 63, 255)),
            "df": r.random() < 0.7, "id": r.choice((r.getrandbits(16), 0xFFFD, 0)),
            "ids": 1, "pad": 0, "bad": False, "fragment": 0, "options": b"",
        }  # fmt: skip
    if kind == "ip6":
        return {
            "source": b"\xfd\x01" + r.randbytes(14), "target": b"\xfd\x02" + r.randbytes(14),
            "tc": r.choice((0, 2, 0xB8)), "label": r.getrandbits(20), "hop": 64, "pad": 0,
            "extensions": r.choice((0, 0, 0, 0, 60)),
        }  # fmt: skip
    if kind == "port":
        return {
            "source": r.randrange(49152, 65536), "target": _port(r, following), "pad": 0,
            "csum": option != "0", "bad": False,
        }  # fmt: skip
    if kind == "gre":
        return {
            "csum": option == "csum", "key": r.getrandbits(32) if option == "key" else None,
            "seq": 5 if option == "seq" else None, "bad": False,
        }  # fmt: skip
    if kind in ("vxlan", "gpe"):
        odd = 0 if kind == "vxlan" else r.choice((0, 0, 0, 0, 0, 0, *_GPE_BITS))
        remcsum = option == "remcsum"
        return {"vni": r.getrandbits(24), "group": 0, "bits": odd, "remcsum": remcsum}
    if kind == "geneve":
        options = r.choice((b"", b"", b"\x01\x02\x80\x01\x11\x22\x33\x44"))
        return {"vni": r.getrandbits(24), "options": options, "bits": 0}
    if kind == "gue":
        return {"version": int(option == "1"), "remcsum": option == "remcsum", "flags": 0}
    if kind == "tcp":
        return {
            "source": r.randrange(1024, 65536), "target": r.randrange(10000, 65536),
            "seq": r.choice((r.getrandbits(32), 0xFFFFFE00)), "ack": r.getrandbits(32),
            "flags": ACK | r.choice((0, 0, 0, 0, ECE, CWR, AE)), "window": r.getrandbits(16),
            "options": r.choice((b"", b"\x01\x01\x08\x0a" + r.randbytes(8))),
            "urgent": 0, "bad": False, "doff": 0,
        }  # fmt: skip
    if kind == "udp":
        return {
            "source": r.randrange(1024, 65536), "target": r.randrange(10000, 65536),
            "csum": True, "bad": False, "pad": 0,
        }  # fmt: skip
    return {}


def _port(r: Random, following: str) -> int:
    tunnel, inner = (*following.split(), "")[:2]
    if tunnel == "fou-other":
        return 5558  # for SCTP, of which GRO knows nothing
    tunnel, inner = _kind(tunnel), _kind(inner)
    if tunnel == "fou":
        return {"ip4": 5555, "ip6": 5556}.get(inner, 5557)
    if tunnel == "vxlan" and r.random() < 0.25:
        return COMPLETING["vxlan1"]
    return _PORTS.get(tunnel) or r.choice((5501, 6080))


# Changes of one field that senders, routers and accidents make.
_CHANGES: dict[str, tuple[tuple[str, Callable[[Random, Any], Any]], ...]] = {
    "eth": (("addresses", lambda r, _: b"\x02" + r.randbytes(11)),),
    "vlan": (("tci", lambda r, old: old ^ r.choice((1, 0x1000, 0x2000))),),
    "ip4": (
        ("tos", lambda r, old: old ^ r.choice((1, 3, 0x20))),
        ("ttl", lambda _, old: old - 1),
        ("df", lambda _, old: not old),
        ("id", lambda r, old: old + r.choice((1, -1, 7, r.getrandbits(16)))),
        ("ids", lambda _, old: 1 - old),
        ("pad", lambda r, _: r.choice((1, -1, 6))),
        ("bad", lambda _r, _old: True),
        ("fragment", lambda r, _: r.choice((0x2000, 0x0001, 0x8000))),
        ("options", lambda _r, _old: b"\x01\x01\x01\x01"),
        ("source", lambda r, _: b"\x0a\x02" + r.randbytes(2)),
    ),
    "ip6": (
        ("tc", lambda r, old: old ^ r.choice((1, 3, 0x20))),
        ("label", lambda r, old: old ^ 1 << r.randrange(20)),
        ("hop", lambda _, old: old - 1),
        ("pad", lambda r, _: r.choice((1, -1, 6))),
        ("extensions", lambda r, _: r.choice((0, 60))),
        ("target", lambda r, _: b"\xfd\x02" + r.randbytes(14)),
    ),
    "port": (
        ("source", lambda r, old: old ^ 1 << r.randrange(14)),
        ("csum", lambda _, old: not old),
        ("bad", lambda _r, _old: True),
        ("pad", lambda r, _: r.choice((1, -1))),
    ),
    "gre": (
        ("csum", lambda _, old: not old),
        ("key", lambda r, old: None if old else r.getrandbits(32)),
        ("bad", lambda _r, _old: True),
    ),
    "vxlan": (
        ("vni", lambda r, old: old ^ 1 << r.randrange(24)),
        ("group", lambda _, old: old ^ 7),
    ),
    "gpe": (
        ("vni", lambda r, old: old ^ 1 << r.randrange(24)),
        ("bits", lambda r, old: old ^ r.choice(_GPE_BITS)),
    ),
    "geneve": (
        ("vni", lambda r, old: old ^ 1 << r.randrange(24)),
        ("options", lambda _, old: b"" if old else b"\x01\x02\x00\x01\x11\x22\x33\x44"),
        ("bits", lambda r, _: r.choice((0x80, 0x40))),
    ),
    "gue": (("flags", lambda r, _: r.choice((1, 2, 0x8000))),),
    "tcp": (
        ("source", lambda r, old: old ^ 1 << r.randrange(10)),
        ("seq", lambda r, old: old + r.choice((1, -1, 1000))),
        ("ack", lambda r, old: old + r.choice((1, 1448, -1))),
        ("flags", lambda r, old: old ^ r.choice((PSH, PSH, PSH, FIN, CWR, ECE, AE, SYN, RST, URG))),
        ("flags", lambda r, old: old ^ r.choice((PSH, PSH | FIN, 1 << 9, ACK))),
        ("window", lambda r, old: old ^ 1 << r.randrange(16)),
        ("options", lambda r, _: b"\x01\x01\x08\x0a" + r.randbytes(8)),
        ("options", lambda r, _: r.choice((b"", b"\x01\x01\x05\x0a" + bytes(range(8))))),
        ("urgent", lambda r, _: r.getrandbits(16)),
        ("bad", lambda _r, _old: True),
        ("doff", lambda r, _: r.choice((-5, 1, -1))),
    ),
    "udp": (
        ("source", lambda r, old: old ^ 1 << r.randrange(10)),
        ("csum", lambda _, old: not old),
        ("bad", lambda _r, _old: True),
        ("pad", lambda r, _: r.choice((1, -1))),
    ),
}
# These undo what the rest of a stream shows if they stay.
_FOR_ONE = {"bad", "pad", "fragment", "bits", "doff"}


class Flow:
    """Writes the segments of one flow."""

    def __init__(self, r: Random, shape: str) -> None:
        words = ["eth", *shape.split()]
        self.words = words
        self.kinds = [_kind(word) for word in words]
        rest = [" ".join(words[n + 1 :]) for n in range(len(words))]
        self.fields = [_new(r, word, rest[n]) for n, word in enumerate(words)]
        last = max(n for n, kind in enumerate(self.kinds) if kind in ("ip4", "ip6"))
        # Of UDP, segmentation does not know that IDs stay the same.
        if self.kinds[last] == "ip4" and r.random() < (0.3 if words[-1] == "tcp" else 0.03):
            self.fields[last] |= {"ids": 0, "df": True}

    @property
    def remcsum(self) -> bool:
        """Say whether a header of it asks for remote checksum offload."""
        return any(fields.get("remcsum") for fields in self.fields)

    def change(self, r: Random, fields: list[_Fields]) -> bool:
        """Change a field somewhere; say whether it may stay so."""
        n = r.choice([n for n, kind in enumerate(self.kinds) if kind in _CHANGES])
        if r.random() < 0.4:
            n = len(self.kinds) - 1
        name, how = r.choice(_CHANGES[self.kinds[n]])
        if self._lost(n, name) and r.random() < 0.8:
            return True
        fields[n][name] = how(r, fields[n][name])
        return name not in _FOR_ONE

    def _lost(self, n: int, name: str) -> bool:
        """Say whether GRO merges across a change that segmentation does not bring back."""
        kind, outer = self.kinds[n], any(word in OUTER for word in self.kinds[n + 1 :])
        if kind == "ip4" and name in ("id", "ids"):
            return outer or self.kinds[-1] == "udp"
        return (kind, name) in (("port", "pad"), ("tcp", "urgent"))

    def advance(self, length: int) -> None:
        """Count up what counts up."""
        for fields in self.fields:
            if "ids" in fields:
                fields["id"] += fields["ids"]
        if "seq" in self.fields[-1]:
            self.fields[-1]["seq"] += length

    def frame(self, fields: list[_Fields], payload: bytes) -> bytes:
        """Return a frame with right lengths and checksums, but for what the fields say."""
        whole = payload
        for n in range(len(self.kinds) - 1, -1, -1):
            whole = self._header(n, fields, whole)
        return whole

    def _header(  # noqa: PLR0911 - one for each kind
        self, n: int, fields: list[_Fields], inner: bytes
    ) -> bytes:
        kind, f = self.kinds[n], fields[n]
        inside = self.kinds[n + 1] if n + 1 < len(self.kinds) else ""
        if kind == "eth":
            return bytes(f["addresses"]) + _number(_TYPES[inside], 2) + inner
        if kind == "vlan":
            return struct.pack(">HH", f["tci"], _TYPES[inside]) + inner
        if kind in ("ip4", "ip6"):
            return (_ip4 if kind == "ip4" else _ip6)(f, _PROTOCOLS[inside], inner)
        if kind == "gre":
            return _gre(f, _TYPES[inside], inner)
        if kind in ("vxlan", "gpe"):
            flags = 0x08000000 | (0x80000000 | f["group"] if f["group"] else 0)
            if kind == "gpe":
                flags = 0x0C000000 ^ f["bits"] << 24 | _GPE[inside]
            remcsum = 0
            if f["remcsum"]:
                flags |= 0x00200000
                start = len(inner) - len(self._at_checksum)
                remcsum = start // 2 & 0x7F | (0x80 if self.kinds[-1] == "udp" else 0)
            return struct.pack(">II", flags, f["vni"] << 8 | remcsum) + inner
        if kind == "geneve":
            first, second = len(f["options"]) // 4 | f["bits"] & 0x40, f["bits"] & 0x80
            head = struct.pack(">BBHI", first, second, _TYPES[inside], f["vni"] << 8)
            return head + bytes(f["options"]) + inner
        if kind == "gue":
            return self._gue(n, f, inner)
        if kind in ("tcp", "udp", "port"):
            return self._transport(n, fields, inner)
        return inner  # FOU has no header

    def _gue(self, n: int, f: _Fields, inner: bytes) -> bytes:
        if f["version"]:
            return inner  # the version of IP tells what it is
        options, flags = b"", f["flags"]
        if f["remcsum"]:
            start = len(inner) - len(self._at_checksum)
            offset = start + (16 if self.kinds[-1] == "tcp" else 6)
            options, flags = struct.pack(">IHH", 1 << 31, start, offset), 1
        elif flags == 1:
            options = bytes(4)
        words, protocol = len(options) // 4, _PROTOCOLS[self.kinds[n + 1]]
        return struct.pack(">BBH", words, protocol, flags) + options + inner

    def _transport(self, n: int, fields: list[_Fields], inner: bytes) -> bytes:
        f, network = fields[n], fields[n - 1]
        if self.kinds[n] == "tcp":
            doff = 5 + len(f["options"]) // 4 + f["doff"]
            head = struct.pack(
                ">HHIIHHHH", f["source"], f["target"], f["seq"] & 0xFFFFFFFF,
                f["ack"] & 0xFFFFFFFF, doff << 12 | f["flags"], f["window"], 0, f["urgent"],
            ) + bytes(f["options"])  # fmt: skip
            protocol, at = 6, 16
        else:
            length = 8 + len(inner) + f["pad"]
            head = struct.pack(">HHHH", f["source"], f["target"], length & 0xFFFF, 0)
            protocol, at = 17, 6
        addresses = network["source"], network["target"]
        start = pseudo_header(*addresses, protocol, len(head + inner))
        if n == len(self.kinds) - 1 and self.remcsum:
            right = start
        else:
            right = checksum(head + inner, start)
            right = right or (0xFFFF if protocol == 17 else 0)
        right ^= 0x0101 if f["bad"] else 0
        if not f.get("csum", True):
            right = 0
        whole = head[:at] + _number(right, 2) + head[at + 2 :] + inner
        if n == len(self.kinds) - 1:
            self._at_checksum = whole
        return whole


def _number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def _ip4(f: _Fields, protocol: int, inner: bytes) -> bytes:
    length = 20 + len(f["options"]) + len(inner) + f["pad"]
    fragment = f["fragment"] | (0x4000 if f["df"] else 0)
    head = struct.pack(
        ">BBHHHBBH", 0x45 + len(f["options"]) // 4, f["tos"], length & 0xFFFF, f["id"] & 0xFFFF,
        fragment, f["ttl"] & 255, protocol, 0,
    ) + bytes(f["source"] + f["target"] + f["options"])  # fmt: skip
    right = checksum(head) ^ (0x0101 if f["bad"] else 0)
    return head[:10] + _number(right, 2) + head[12:] + inner


def _ip6(f: _Fields, protocol: int, inner: bytes) -> bytes:
    if f["extensions"]:
        inner = bytes([protocol, 0, 1, 4, 0, 0, 0, 0]) + inner
        protocol = f["extensions"]
    first = 6 << 28 | f["tc"] << 20 | f["label"]
    length = len(inner) + f["pad"]
    head = struct.pack(">IHBB", first, length & 0xFFFF, protocol, f["hop"] & 255)
    addresses: bytes = f["source"] + f["target"]
    return head + addresses + inner


def _gre(f: _Fields, type_: int, inner: bytes) -> bytes:
    parts = (f["csum"], 0x8000), (f["key"] is not None, 0x2000), (f["seq"] is not None, 0x1000)
    head = struct.pack(">HH", sum(bit for present, bit in parts if present), type_)
    rest = b"".join(_number(f[name], 4) for name in ("key", "seq") if f[name] is not None)
    if not f["csum"]:
        return head + rest + inner
    right = checksum(head + bytes(4) + rest + inner) ^ (0x0101 if f["bad"] else 0)
    return head + _number(right, 2) + bytes(2) + rest + inner
