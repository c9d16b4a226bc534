"""What Wireshark's programs make of packets and of capture files."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import gso
from gso.capture import Interface

PROTOCOLS = ("ip", "tcp", "udp", "icmp", "icmpv6")
_FIELDS = [
    "frame.number",
    "frame.protocols",
    "tcp.dstport",
    "udp.dstport",
    "_ws.malformed",
    "_ws.expert.message",
    *(f"{name}.checksum.status" for name in PROTOCOLS),
]
_OPTIONS = [
    *(f"{name}.check_checksum:TRUE" for name in ("ip", "tcp", "udp")),
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.analyze_sequence_numbers:FALSE",
]
_HEADERS = (
    *("ip", "ipv6", "tcp", "udp", "icmp", "icmpv6", "sctp", "arp", "eth", "vlan", "mpls"),
    *("gre", "ppp", "pppoes", "vxlan", "geneve", "gtp", "nsh"),
)
_BAD = ("0", "Bad")
_SECONDS = 600


class Packet(NamedTuple):
    """A packet as a capture has it; equal packets are dissected once."""

    data: bytes
    link_type: str
    original: int

    @property
    def complete(self) -> bool:
        return len(self.data) >= self.original


@dataclass(frozen=True)
class Dissected:
    """One packet: its protocols and ports, which checksums are bad, and what tshark remarks."""

    protocols: str
    ports: str
    malformed: bool
    remarks: str
    bad: Counter[str]

    @property
    def kind(self) -> str:
        """The headers, as they are counted in a report: applications are left out."""
        chain = self.protocols.removeprefix("eth:ethertype:").split(":")
        last = max((i for i, name in enumerate(chain) if name in _HEADERS), default=0)
        return ":".join(chain[: last + 1])


def available() -> bool:
    """Whether tshark and capinfos are installed."""
    return shutil.which("tshark") is not None and shutil.which("capinfos") is not None


def dissect(packets: Iterable[Packet], folder: Path) -> dict[Packet, Dissected]:
    """What tshark says of each packet; one that it gave up at, and those after it, are left out.

    It starts slowly, so that many captures are judged in one run: each is an interface of a file.
    """
    chosen = list(dict.fromkeys(packets))
    links = list(dict.fromkeys(one.link_type for one in chosen))
    path = folder / "all.pcapng"
    gso.write_capture(
        path,
        [one.data for one in chosen],
        interfaces=[Interface(link) for link in links] or None,
        interface_ids=[links.index(one.link_type) for one in chosen],
        original_lengths=[one.original for one in chosen],
    )
    words = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=/t"]
    words += [word for option in _OPTIONS for word in ("-o", option)]
    words += [word for name in _FIELDS for word in ("-e", name)]
    run = subprocess.run(words, capture_output=True, check=False, timeout=_SECONDS)
    lines = run.stdout.decode("utf-8", "replace").split("\n")
    rows = [_read(line) for line in lines if line.count("\t") == len(_FIELDS) - 1]
    return {chosen[number - 1]: row for number, row in rows}


def _read(line: str) -> tuple[int, Dissected]:
    number, protocols, tcp, udp, malformed, remarks, *status = line.split("\t")
    bad = {
        name: sum(one in _BAD for one in text.split(","))
        for name, text in zip(PROTOCOLS, status, strict=True)
    }
    row = Dissected(protocols, tcp or udp, bool(malformed), remarks, +Counter(bad))
    return int(number), row


def count(path: Path) -> int | None:
    """How many packets the file has; None where Wireshark's library cannot read it to its end."""
    run = subprocess.run(
        ["capinfos", "-c", "-M", "-T", "-r", str(path)], capture_output=True, text=True, check=False
    )
    last = run.stdout.strip().rpartition("\t")[2]
    return int(last) if run.returncode == 0 and last.isdecimal() else None
