"""Counters of the kernel that tell what was lost, refused or came in pieces, by namespace."""

from __future__ import annotations

from collections.abc import Iterator

from .complaints import COUNTED
from .netns import Kept, devices

RESENT_CHUNKS = ("SctpT3Retransmits", "SctpFastRetransmits", "SctpPmtudRetransmits")
_FILES = ("snmp", "snmp6", "sctp/snmp")


class Counters:
    """What a sender could not send, and what a receiver refused or had to piece, at any time."""

    def __init__(self, sender: str, egress: str, receiver: str) -> None:
        self._egress = egress
        self._sent, self._received = Kept(sender, "dev"), Kept(receiver, "dev")
        # Without IPv6 there is no snmp6, without SCTP no sctp.
        self._protocols = [Kept(receiver, name) for name in _FILES]

    def read(self) -> dict[str, int]:
        """Return each counter's value, by its name."""
        found = {
            "tx_dropped": devices(self._sent.read())[self._egress]["tx_dropped"],
            "rx_errors": sum(one["rx_errors"] for one in devices(self._received.read()).values()),
        }
        for file in self._protocols:
            found |= dict(_named(file.read()))
        return {name: found.get(name, 0) for name in COUNTED}


def resent_chunks(machine: str) -> int:
    """Return how many chunks of SCTP a machine has sent again; its sockets forget it."""
    found = dict(_named(Kept(machine, "sctp/snmp").read()))
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
