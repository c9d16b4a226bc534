"""The super-packets that everybody segments: five tunnels, two IP versions, three sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

MSS = 1448
KINDS = ("plain", "GUE", "VXLAN", "GRE", "IPIP")
VERSIONS = (4, 6)
SIZES = {"1448 + 12": MSS + 12, "16 x 1448": 16 * MSS, "44 x 1448": 44 * MSS}
INCIDENT, BIG = "1448 + 12", "44 x 1448"

_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
_IP_IN_IP = {4: 4, 6: 41}
_TCP = bytes.fromhex("9c40145110000000200000008018 01f5 0000 0000 0101080a1122334455667788")


@dataclass(frozen=True)
class Case:
    """A super-packet and where its headers are; `ips`: of the outer and the inner IP header."""

    kind: str
    version: int
    size: str
    frame: bytes
    ips: tuple[int, ...]
    udp: int | None
    tcp: int
    headers: int
    mss: int = MSS

    @property
    def name(self) -> str:
        """How results call it."""
        return f"{self.kind} IPv{self.version}, {self.size}"

    @property
    def payload(self) -> bytes:
        """The bytes that are divided."""
        return self.frame[self.headers :]

    @property
    def segments(self) -> int:
        """How many there will be."""
        return -(-len(self.payload) // self.mss)

    def without_ethernet(self) -> Case:
        """The same for those who know IP packets only."""
        return Case(
            self.kind, self.version, self.size, self.frame[14:], tuple(ip - 14 for ip in self.ips),
            None if self.udp is None else self.udp - 14, self.tcp - 14, self.headers - 14,
        )  # fmt: skip


def ethernet(version: int) -> bytes:
    return bytes.fromhex("02000000000c02000000000a") + _ETHERTYPE[version].to_bytes(2, "big")


def ip(version: int, protocol: int, length: int, host: int) -> bytes:
    """An IP header before `length` bytes; the checksum is for the segmenter to fill in."""
    if version == 4:
        start = b"\x45\0" + min(20 + length, 0xFFFF).to_bytes(2, "big") + b"\x12\x34\x40\0"
        addresses = bytes([10, host, 0, 5, 10, host, 0, 9])
        return start + bytes([64, protocol, 0, 0]) + addresses
    addresses = b"".join(b"\xfd\0" + bytes([host]) + bytes(12) + bytes([n]) for n in (5, 9))
    return (
        b"\x60\0\0\0" + min(length, 0xFFFF).to_bytes(2, "big") + bytes([protocol, 64]) + addresses
    )


def udp(port: int, length: int) -> bytes:
    """With a checksum that is not zero, so that it has to be computed."""
    ports = (52645).to_bytes(2, "big") + port.to_bytes(2, "big")
    return ports + (8 + length).to_bytes(2, "big") + b"\x12\x34"


def tunnel_header(kind: str, version: int) -> bytes:
    """Bytes between the outer IP (or UDP) header and the inner IP header."""
    return {
        "GUE": bytes([0, _IP_IN_IP[version], 0, 0]),
        "VXLAN": bytes.fromhex("0800000000002a00") + ethernet(version),
        "GRE": b"\0\0" + _ETHERTYPE[version].to_bytes(2, "big"),
        "IPIP": b"",
    }[kind]


@cache
def case(kind: str, version: int, size: str) -> Case:
    """The super-packet of a kind; its payload is random and always the same."""
    payload = np.random.default_rng(1).bytes(SIZES[size])
    ip_length = 20 if version == 4 else 40
    inner = ip(version, 6, len(_TCP) + len(payload), 10) + _TCP + payload
    if kind == "plain":
        tcp = 14 + ip_length
        return Case(
            kind, version, size, ethernet(version) + inner, (14,), None, tcp, tcp + len(_TCP)
        )
    body = tunnel_header(kind, version) + inner
    port = {"GUE": 6080, "VXLAN": 4789}.get(kind)
    if port is not None:
        body = udp(port, len(body)) + body
    protocol = 17 if port else {"GRE": 47, "IPIP": _IP_IN_IP[version]}[kind]
    frame = ethernet(version) + ip(version, protocol, len(body), 20) + body
    inner_ip = len(frame) - len(inner)
    tcp = inner_ip + ip_length
    return Case(
        kind, version, size, frame, (14, inner_ip), 14 + ip_length if port else None, tcp,
        tcp + len(_TCP),
    )  # fmt: skip
