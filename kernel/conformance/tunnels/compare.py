"""The kernel's answer and ours to the same packet."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from gso.kernel.conformance.tunnels.devices import PORTS, STRAIGHT, TAP, Device
from gso.kernel.conformance.tunnels.outcomes import Outcome, Super
from gso.kernel.conformance.tunnels.packets import SKB_GSO_TYPES, Packet
from gso.kernel.guest.records import GSO_ECN, GSO_UDP, GSO_UDP_L4

import gso
from gso import GsoError, GsoType
from gso.versions import REFERENCE, Fact, KernelVersion, facts_of

# Facts that a frame does not say of itself.
UNSAID = GsoType.TCP_FIXEDID | GsoType.UDP
_TCP_MIN_GSO_SIZE = 8

# By virtio_net_hdr_to_skb, and by segmentation in a device before its tunnel
_REFUSALS = (errno.EINVAL, errno.ENOMEM)

# Devices that would not segment what others of that kernel, and these of 6.12, segment. Why is not
# known: it is no matter of the packet alone.
_UNABLE: dict[str, tuple[str, ...]] = {"6.1": ("qinq", "ip6gretap")}

EQUAL, REFUSED, DIFFERENT, NOT_SENT = "equal", "refused", "different", "not sent"


@dataclass(frozen=True)
class Judged:
    """One packet: the verdict, and our answer where it differs.

    ``host``: the worker whose kernel it was, if it was one's.
    """

    device: Device
    outcome: Outcome
    kernel: KernelVersion
    verdict: str
    way: str = ""
    ours: tuple[bytes, ...] = ()
    why: str = ""
    host: str = ""


@dataclass
class Tally:
    """The verdicts on the packets of one family of devices."""

    family: str
    verdicts: Counter[str] = field(default_factory=Counter)
    segments: int = 0

    def add(self, verdict: str, segments: int) -> None:
        """Count one more."""
        self.verdicts[verdict] += 1
        self.segments += segments

    def summary(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {"family": self.family, **self.verdicts, "segments": self.segments}


def judge(device: Device, outcome: Outcome, kernel: KernelVersion = REFERENCE) -> Judged:
    """Compare in every way that can be asked for; the first that differs counts."""
    if outcome.error not in (0, *_REFUSALS):
        return Judged(device, outcome, kernel, NOT_SENT, why=outcome.problem)
    if device.name in STRAIGHT:
        ways = _direct(device, outcome, kernel)
    elif outcome.error > 0:
        ways = _not_taken(device, outcome, kernel)
    else:
        ways = _tunnelled(outcome, kernel)
    for way, ours, why in ways:
        if not same(outcome.segments, ours):
            if outcome.error > 0 and device.family in _UNABLE.get(kernel, ()):
                return Judged(device, outcome, kernel, NOT_SENT, why="the device would not segment")
            return Judged(device, outcome, kernel, DIFFERENT, way, tuple(ours), why)
    return Judged(device, outcome, kernel, EQUAL if outcome.segments else REFUSED)


_Way = tuple[str, list[bytes], str]


def _tunnelled(outcome: Outcome, kernel: KernelVersion) -> Iterable[_Way]:
    for way, mask in (("gso_type", ~0), ("gso_type=None", int(UNSAID))):
        ours: list[bytes] = []
        reasons = []
        for one in outcome.supers:
            try:
                ours += answer(one, one.gso_type & mask, kernel)
            except GsoError as error:
                reasons.append(str(error))
        yield way, ours, "; ".join(reasons)


def answer(one: Super, gso_type: int, kernel: KernelVersion = REFERENCE) -> list[bytes]:
    """Return what `gso` makes of a packet."""
    if not one.gso_size and not one.partial:
        return [one.frame]
    made = gso.segment(
        one.frame, one.gso_size, gso_type=GsoType(gso_type), tunnel_ports=PORTS, kernel=kernel
    )
    return [bytes(segment) for segment in made]


def _direct(device: Device, outcome: Outcome, kernel: KernelVersion) -> Iterable[_Way]:
    packet = outcome.packet
    source: Literal["tap", "packet"] = "tap" if device.name == TAP else "packet"
    yield (
        "segment_vnet",
        *_tried(lambda: gso.segment_vnet(packet.vnet + packet.frame, source=source, kernel=kernel)),
    )
    if packet.sound and not outcome.error:
        size, gso_type = as_kept(packet, kernel)
        if not size and packet.gso_type:
            return  # too small for GSO: perhaps a fragment, of which a frame does not say enough
        for way, bits in (("gso_type", gso_type), ("gso_type=None", gso_type & UNSAID)):
            segment = partial(gso.segment, packet.frame, size, gso_type=bits, kernel=kernel)
            yield way, *_tried(segment)


def _not_taken(device: Device, outcome: Outcome, kernel: KernelVersion) -> Iterable[_Way]:
    """The device itself had to segment, before its tunnel, and would not."""
    packet = outcome.packet
    yield (
        "segment_vnet",
        *_tried(
            lambda: gso.segment_vnet(
                packet.vnet + packet.frame, link_type=device.link, source="packet", kernel=kernel
            )
        ),
    )


def _tried(segment: Callable[[], gso.Frames]) -> tuple[list[bytes], str]:
    try:
        return [bytes(frame) for frame in segment()], ""
    except GsoError as error:
        return [], str(error)


def as_kept(packet: Packet, kernel: KernelVersion = REFERENCE) -> tuple[int, GsoType]:
    """Return gso_size and gso_type as the kernel keeps them (virtio_net_hdr_to_skb)."""
    least = 1 if facts_of(kernel) & Fact.VNET_BEFORE_USO else _TCP_MIN_GSO_SIZE
    kind = packet.gso_type & ~GSO_ECN
    if kind not in SKB_GSO_TYPES:
        return 0, GsoType(0)
    headers = {GSO_UDP: 0, GSO_UDP_L4: 8}.get(kind, 20)
    size = packet.gso_size if headers < 20 else max(packet.gso_size, least)
    if len(packet.frame) - packet.csum_start - headers <= size:
        return 0, GsoType(0)
    return size, SKB_GSO_TYPES[kind] | GsoType.DODGY


def same(kernel: list[bytes], ours: list[bytes]) -> bool:
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
