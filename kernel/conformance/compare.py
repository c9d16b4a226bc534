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
    if outcome.error and not (device.name == DIRECT):
        return Judged(device, outcome, NOT_SENT, why=outcome.problem)
    ways = _direct(outcome) if device.name == DIRECT else _tunnelled(outcome)
    for way, ours, why in ways:
        if [*map(_comparable, ours)] != [*map(_comparable, outcome.segments)]:
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


def _comparable(frame: bytes) -> bytes:
    """The frame, without the identification of an IPv6 fragment, which is random."""
    at = 12
    while frame[at : at + 2] in (b"\x81\0", b"\x88\xa8"):
        at += 4
    if frame[at : at + 2] != b"\x86\xdd":
        return frame
    ip = at + 2
    following, at = frame[ip + 6 : ip + 7], ip + 40
    while following in (b"\0", b"\x2b", b"\x3c"):
        following, at = frame[at : at + 1], at + 8 * (frame[at + 1] + 1)
    return frame[: at + 4] + bytes(4) + frame[at + 8 :] if following == b"\x2c" else frame


def tally(judged: Iterable[Judged]) -> list[Tally]:
    """Count by kind of device."""
    found: dict[str, Tally] = {}
    for one in judged:
        row = found.setdefault(one.device.kind, Tally(one.device.kind))
        row.verdicts[one.verdict] += 1
        row.segments += len(one.outcome.segments)
    return list(found.values())
