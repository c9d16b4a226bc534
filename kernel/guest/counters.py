"""Counters of the kernel that tell what was lost, refused or came in pieces, by namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .complaints import COUNTED
from .netns import device_counters, inside

RESENT_CHUNKS = ("SctpT3Retransmits", "SctpFastRetransmits", "SctpPmtudRetransmits")
_FILES = ("snmp", "snmp6", "sctp/snmp")


def counted(sender: str, egress: str, receiver: str) -> dict[str, int]:
    """Return what the sender could not send, and what the receiver refused or had to piece."""
    devices = device_counters(receiver).values()
    found = {
        "tx_dropped": device_counters(sender)[egress]["tx_dropped"],
        "rx_errors": sum(device["rx_errors"] for device in devices),
    }
    with inside(receiver):
        for path in (Path("/proc/thread-self/net", name) for name in _FILES):
            # Without IPv6 there is no snmp6, without SCTP no sctp.
            found |= dict(_named(path.read_text())) if path.exists() else {}
    return {name: found.get(name, 0) for name in COUNTED}


def resent_chunks(machine: str) -> int:
    """Return how many chunks of SCTP a machine has sent again; its sockets forget it."""
    with inside(machine):
        path = Path("/proc/thread-self/net/sctp/snmp")
        found = dict(_named(path.read_text())) if path.exists() else {}
    return sum(found.get(name, 0) for name in RESENT_CHUNKS)


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return by how much each counter has grown."""
    return {name: after[name] - before[name] for name in after}


def _named(text: str) -> Iterator[tuple[str, int]]:
    """Read /proc/net/snmp, with a line of names before each of numbers, or snmp6."""
    names: list[str] = []
    for line in text.splitlines():
        word, *rest = line.split()
        if not word.endswith(":"):
            yield word, int(rest[0])
        elif names:
            yield from zip((f"{word[:-1]}.{name}" for name in names), map(int, rest), strict=True)
            names = []
        else:
            names = rest
