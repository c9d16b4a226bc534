"""The kernel's answer and ours to the same packet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import gso
from gso.constants import GsoType
from gso.errors import GsoError
from gso.kernel.conformance.devices import DIRECT, PORTS, Device
from gso.kernel.conformance.outcomes import Outcome, Super

# What a frame does not say of itself.
UNSAID = GsoType.TCP_FIXEDID | GsoType.UDP

EQUAL, REFUSED, DIFFERENT, NOT_SENT = "equal", "refused", "different", "not sent"


@dataclass(frozen=True)
class Judged:
    """One packet: the verdict, and our answer where it differs."""

    device: Device
    outcome: Outcome
    verdict: str
    way: str = ""
    ours: tuple[bytes, ...] = ()
    why: str = ""


@dataclass
class Tally:
    """The verdicts on the packets of one kind of device."""

    kind: str
    verdicts: Counter[str] = field(default_factory=Counter)
    segments: int = 0


def judge(device: Device, outcome: Outcome) -> Judged:
    """Compare in every way that can be asked for; the first that differs counts."""
    direct = device.name == DIRECT
    if outcome.error and not direct:
        return Judged(device, outcome, NOT_SENT, why=outcome.problem)
    for way, ours, why in _direct(outcome) if direct else _tunnelled(outcome):
        if not _same(outcome.segments, ours):
            return Judged(device, outcome, DIFFERENT, way, tuple(ours), why)
    return Judged(device, outcome, EQUAL if outcome.segments else REFUSED)


_Way = tuple[str, list[bytes], str]


def _tunnelled(outcome: Outcome) -> Iterable[_Way]:
    for way, mask in (("gso_type", ~0), ("gso_type=None", int(UNSAID))):
        ours: list[bytes] = []
        reasons = []
        for one in outcome.supers:
            try:
                ours += answer(one, one.gso_type & mask)
            except GsoError as error:
                reasons.append(str(error))
        yield way, ours, "; ".join(reasons)


def answer(one: Super, gso_type: int) -> list[bytes]:
    """Return what `gso` makes of a packet."""
    if not one.gso_size and not one.partial:
        return [one.frame]
    made = gso.segment(one.frame, one.gso_size, gso_type=GsoType(gso_type), tunnel_ports=PORTS)
    return [bytes(segment) for segment in made]


def _direct(outcome: Outcome) -> Iterable[_Way]:
    packet = outcome.packet
    try:
        made = [bytes(segment) for segment in gso.segment_vnet(packet.vnet + packet.frame)]
    except GsoError as error:
        yield "segment_vnet", [], str(error)
        return
    yield "segment_vnet", made, ""


def _same(kernel: list[bytes], ours: list[bytes]) -> bool:
    """Say whether they are equal but for the ID of an IPv6 fragment header, which is random."""
    if kernel == ours:
        return True
    if [len(frame) for frame in kernel] != [len(frame) for frame in ours]:
        return False
    try:
        ident = gso.parse(ours[0], tunnel_ports=PORTS).payload + 4
    except GsoError:
        return False
    before = ours[0][ident - 4 : ident]
    if before[:2] not in (b"\x11\0", b"\x3c\0"):
        return False
    return [f[:ident] + f[ident + 4 :] for f in kernel] == [
        f[:ident] + f[ident + 4 :] for f in ours
    ]


def tally(judged: Iterable[Judged]) -> list[Tally]:
    """Count by kind of device."""
    found: dict[str, Tally] = {}
    for one in judged:
        row = found.setdefault(one.device.kind, Tally(one.device.kind))
        row.verdicts[one.verdict] += 1
        row.segments += len(one.outcome.segments)
    return list(found.values())
