"""Complaints of a run with segmentation that its controls do not have: numbers, by names."""

from __future__ import annotations

from typing import Any

COUNTED = {
    "tx_dropped": "packets dropped on their way out",
    "rx_errors": "packets refused by the receiver's devices",
    "Ip.ReasmReqds": "fragments of IPv4 arrived",
    "Ip6ReasmReqds": "fragments of IPv6 arrived",
    "Tcp.InErrs": "segments of TCP refused",
    "Tcp.InCsumErrors": "segments of TCP with a wrong checksum",
    "Udp.InErrors": "datagrams over IPv4 refused",
    "Udp.InCsumErrors": "datagrams over IPv4 with a wrong checksum",
    "Udp6InErrors": "datagrams over IPv6 refused",
    "Udp6InCsumErrors": "datagrams over IPv6 with a wrong checksum",
    "SctpChecksumErrors": "packets of SCTP with a wrong checksum",
}
"""The counters of a run, and what each of them counts."""
LOST, DAMAGED, RETRANSMITS = "lost", "damaged", "retransmits"

Run = dict[str, Any]


def whole(run: Run) -> bool:
    """Say whether all arrived, and nothing else."""
    return bool(run["upload_intact"] and run["download_intact"])


def complaints(controls: list[Run], run: Run) -> dict[str, int]:
    """Return what the run has more of than any control, by its name.

    A name is one of :data:`COUNTED`, the place of a drop, or :data:`LOST`, :data:`DAMAGED`. Of
    :data:`RETRANSMITS` alone a busy machine may be the cause.
    """
    numbers = [_numbers(one) for one in controls]
    more = {
        name: many - max(one.get(name, 0) for one in numbers)
        for name, many in _numbers(run).items()
    }
    return {name: many for name, many in more.items() if many > 0}


def hard(found: dict[str, int]) -> frozenset[str]:
    """Return the names of complaints that a busy machine does not explain."""
    return frozenset(found) - {RETRANSMITS}


def _numbers(run: Run) -> dict[str, int]:
    return {
        **run["counters"],
        **run.get("drops", {}),
        LOST: int(run["error"] is not None),
        DAMAGED: int(run["error"] is None and not whole(run)),
        RETRANSMITS: run["retransmits"],
    }


def words(found: dict[str, int], run: Run) -> str:
    """Return complaints as a text."""
    special = {LOST: str(run["error"]), DAMAGED: "what arrived was damaged"}
    return ", ".join(
        special.get(name, f"{many} {COUNTED.get(name, name)}") for name, many in found.items()
    )
