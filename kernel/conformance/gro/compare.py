"""Compare the kernel's GRO and `gso.coalesce` on the same stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gso.kernel.conformance.gro.streams import (
    COMPLETED,
    DEVICES,
    MOST_HEADERS,
    MOST_HELD,
    PORTS,
    Stream,
)

import gso
from gso import GsoError, GsoType, Tunnel
from gso.versions import REFERENCE, Fact, KernelVersion, facts_of

_SHOWN_BITS = 0xFFFF  # of gso_type, by the tracepoint
_LONGEST = 0xFFFF

_NOTING_INNER = ("6.1", "6.12")
_LEAVING_STALE = ("6.1",)
_IN_UDP = (Tunnel.FOU, Tunnel.GUE, Tunnel.VXLAN, Tunnel.VXLAN_GPE, Tunnel.GENEVE)
# Their skb_gro_receive looks at the innermost IPv6 header alone before a packet grows too long.
_GROWING_IN_TUNNELS = ("6.1",)

EQUAL, APART, DIFFERENT = "equal", "kept apart", "different"
# Why we keep frames apart that the kernel merges.
LOST = "segmentation does not give these back"
OVERTAKEN = "a frame of the same flow overtakes"
GROWN = "the kernel damages BIG TCP in a tunnel"


class Made(NamedTuple):
    """A packet that came out. ``gso_size`` and ``gso_type`` are 0 if it is one frame."""

    frame: bytes
    gso_size: int = 0
    gso_type: int = 0
    partial: bool = False


@dataclass
class Judged:
    """A stream with both answers, and the verdict.

    ``why``: where they differ. ``merged``: frames that the kernel appended to others. ``host``: the
    worker whose kernel it was, if it was one's.
    """

    stream: Stream
    kernel: list[Made]
    ours: list[Made]
    verdict: str
    why: str = ""
    merged: int = 0
    host: str = ""


def coalesce(stream: Stream, kernel: KernelVersion = REFERENCE) -> gso.Coalesced:
    """Return what `gso` makes of a stream, as a device of the kernel would."""
    device = DEVICES[stream.device]
    return gso.coalesce(
        gso.Frames.from_list(list(stream.frames)),
        tunnel_ports=PORTS,
        fixed_ids=True,
        udp_gro=device.udp,
        gro_max_size=device.gro_max_size,
        gro_ipv4_max_size=device.gro_ipv4_max_size,
        max_flows=MOST_HELD,
        kernel=kernel,
        fraglist=device.fraglist,
    )


def judge(stream: Stream, kernel: Sequence[Made], version: KernelVersion = REFERENCE) -> Judged:
    """Compare the packets, whose order tells only when each was complete."""
    made = coalesce(stream, version)
    ours = [
        Made(
            bytes(frame),
            int(size),
            as_gro_says(frame, int(bits), version),
            bool(size and not bits & GsoType.FRAGLIST),
        )
        for frame, size, bits in zip(made, made.gso_size, made.gso_type, strict=True)
    ]
    one = Judged(stream, list(kernel), ours, EQUAL)
    one.merged = len(stream.frames) - len(kernel)
    theirs, own = (Counter(_comparable(made, version) for made in side) for side in (kernel, ours))
    if theirs == own:
        return one
    one.verdict, one.why = _explained(stream, kernel, ours, version)
    return one


def as_gro_says(
    frame: bytes | memoryview, gso_type: int, version: KernelVersion = REFERENCE
) -> int:
    """Return gso_type without what segmentation needs, but GRO leaves out or overwrites.

    gre_gro_complete forgets the UDP tunnel around it and its own checksum, and
    skb_gro_flush_final_remcsum the remote checksum offload. udp4_gro_receive and udp6_gro_receive
    note the IP version for FOU and GUE around them, too, which then is the inner one; those of 7.3
    do not.
    """
    if (
        version in _NOTING_INNER
        and gso_type & GsoType.UDP_L4
        and gso_type & (GsoType.IPXIP4 | GsoType.IPXIP6)
        and gso_type & (GsoType.UDP_TUNNEL | GsoType.UDP_TUNNEL_CSUM)
    ):
        inner = gso.parse(frame, tunnel_ports=PORTS).inner_version
        gso_type &= ~(GsoType.IPXIP4 | GsoType.IPXIP6)
        gso_type |= GsoType.IPXIP4 if inner == 4 else GsoType.IPXIP6
    if gso_type & (GsoType.GRE | GsoType.GRE_CSUM):
        gso_type &= ~(GsoType.GRE_CSUM | GsoType.UDP_TUNNEL | GsoType.UDP_TUNNEL_CSUM)
        gso_type |= GsoType.GRE
    return gso_type & ~GsoType.TUNNEL_REMCSUM & _SHOWN_BITS


def _comparable(one: Made, version: KernelVersion) -> Made:
    """Return it without the checksum of its tunnel where the kernel leaves a stale one.

    That is GRE's, and before 6.12 that of UDP, too, which later is the sum of the pseudo header.
    """
    if not one.gso_size:
        return one
    frame = bytearray(one.frame)
    try:
        layout = gso.parse(frame, tunnel_ports=PORTS)
    except GsoError:
        return one
    start = layout.transport_header or 0
    if layout.tunnel is Tunnel.GRE and frame[start] & 0x80:
        frame[start + 4 : start + 6] = bytes(2)
    elif version in _LEAVING_STALE and layout.tunnel in _IN_UDP:
        summed = any(frame[start + 6 : start + 8])
        frame[start + 6 : start + 8] = b"\xff\xff" if summed else bytes(2)
    return one._replace(frame=bytes(frame))


def stays_below(stream: Stream) -> bool:
    """Say whether an inner IPv4 ID stays the same below an outer one that counts, without DF."""
    seen = set()
    for frame in stream.frames:
        try:
            layout = gso.parse(frame, tunnel_ports=PORTS)
        except GsoError:
            continue
        outer, inner = layout.network_header, layout.inner_network_header
        if inner and outer and layout.outer_version == layout.inner_version == 4:
            known = (_addresses(frame), frame[inner + 4 : inner + 6])
            if known in seen and not frame[outer + 6] & 0x40:
                return True
            seen.add(known)
    return False


def completed_at_once(stream: Stream) -> bool:
    """Say whether a frame may be for the device that completes remote checksums at once."""
    return any(COMPLETED in frame[:MOST_HEADERS] for frame in stream.frames)


# --- why they differ ---------------------------------------------------------------------------


def _explained(
    stream: Stream, kernel: Sequence[Made], ours: Sequence[Made], version: KernelVersion
) -> tuple[str, str]:
    """Say whether we only keep apart what the kernel merges and segmentation would not give back.

    The first frame that is treated differently decides: after it, other packets are held.
    """
    if version in _GROWING_IN_TUNNELS and _grows_in_tunnel(stream):
        return APART, f"it cannot be told what the kernel merged: {GROWN}"
    # Going by payload for both: the same frame may have come twice.
    theirs, own_groups = groups(stream, kernel), groups(stream, ours)
    if theirs is None or own_groups is None:
        return DIFFERENT, "it cannot be told what was merged"
    if sorted(theirs) == sorted(own_groups):
        return DIFFERENT, "the same frames were merged, but the packets differ"
    before, own = _joined(theirs), _joined(own_groups)
    if len(before) != len(stream.frames):
        return DIFFERENT, f"{len(stream.frames)} frames, but {len(before)} came out of the kernel"
    number = next(i for i in own if before[i] != own[i])
    said = f"frame {number}: the kernel put it behind {before[number]}, we behind {own[number]}"
    if before[number] and not own[number]:
        loss = _loss(stream, [*before[number], number], theirs, version)
        if loss:
            return APART, f"{said}: {loss}"
    return DIFFERENT, said


def _grows_in_tunnel(stream: Stream) -> bool:
    """Say whether these may become more than 64 KB of TCP in IPv6 that a tunnel over IPv6 has."""
    if DEVICES[stream.device].gro_max_size <= _LONGEST + 1:
        return False
    words = stream.shape.split()
    inside = sum(word == "ip6" for word in words) > 1 and words[-2:] == ["ip6", "tcp"]
    return inside and sum(map(len, stream.frames)) > _LONGEST


def _joined(merged: list[list[int]]) -> dict[int, list[int]]:
    """Return for each frame those it was appended to."""
    found = {number: group[:k] for group in merged for k, number in enumerate(group)}
    return dict(sorted(found.items()))


def groups(stream: Stream, made: Sequence[Made]) -> list[list[int]] | None:
    """Return which frames went into each packet, going by their payload."""
    # Of the same frame sent twice, one may have been merged: the first, or else the last.
    for choice in (max, min):
        found = _groups(stream, made, choice)
        if found is not None:
            return found
    return None


def _groups(
    stream: Stream, made: Sequence[Made], choice: Callable[..., int]
) -> list[list[int]] | None:
    left = dict(enumerate(stream.frames))
    found = []
    for one in sorted(made, key=lambda packet: bool(packet.gso_size)):
        members: list[int] | None
        if one.gso_size:
            members = _members(one, left)
        else:
            same = [i for i, frame in left.items() if frame == one.frame]
            members = [choice(same)] if same else None
        if members is None:
            return None
        for number in members:
            del left[number]
        found.append(members)
    return found


def _members(one: Made, left: dict[int, bytes]) -> list[int] | None:
    data = _payload(one.frame) or b""
    members: list[int] = []
    for start in range(0, len(data), one.gso_size):
        piece = data[start : start + one.gso_size]
        last = members[-1] if members else -1
        follows = (i for i, frame in left.items() if i > last and _payload(frame) == piece)
        number = next(follows, None)
        if number is None:
            return None
        members.append(number)
    return members


def _payload(frame: bytes) -> bytes | None:
    try:
        return frame[gso.parse(frame, tunnel_ports=PORTS).payload :]
    except GsoError:
        return None


def _loss(
    stream: Stream, members: list[int], theirs: list[list[int]], version: KernelVersion
) -> str:
    """Say what is lost when these frames are merged, empty if nothing is."""
    frames = [stream.frames[i] for i in members]
    listed = DEVICES[stream.device].fraglist and (
        not facts_of(version) & Fact.LISTS_OF_UDP
        or gso.parse(frames[0], tunnel_ports=PORTS).l4 is gso.L4.UDP
    )
    if not (_list_given_back if listed else _given_back)(frames, version):
        return LOST
    flow = _addresses(frames[0])
    between = range(members[-2] + 1, members[-1])
    for i in between:
        if [i] in theirs and _addresses(stream.frames[i]) == flow:
            return OVERTAKEN
    return ""


_FIXED_IDS = (
    GsoType.TCP_FIXEDID_OUTER,
    GsoType.TCP_FIXEDID_INNER,
    GsoType.TCP_FIXEDID_OUTER | GsoType.TCP_FIXEDID_INNER,
)


def _list_given_back(frames: list[bytes], version: KernelVersion) -> bool:
    first = gso.parse(frames[0], tunnel_ports=PORTS)
    size = len(frames[0]) - first.payload
    try:
        made = gso.segment(
            frames, size, gso_type=GsoType.FRAGLIST, tunnel_ports=PORTS, kernel=version
        )
    except GsoError:
        return False
    return made.to_list() == frames


def _given_back(frames: list[bytes], version: KernelVersion) -> bool:
    first = gso.parse(frames[0], tunnel_ports=PORTS)
    size = len(frames[0]) - first.payload
    newer = facts_of(version)
    big = first.inner_version == 6 and sum(map(len, frames)) > _LONGEST
    big = big and not newer & Fact.NO_JUMBO
    if big and _transport(first) != _network(first) + 40:
        return False  # the jumbo header is only taken out right before TCP
    whole = bytearray(frames[0])
    for frame in frames[1:]:
        whole += _payload(frame) or b""
        if first.l4 is gso.L4.TCP:
            whole[_transport(first) + 13] |= frame[_transport(first) + 13] & 0x09
    # Of UDP, GRO does not note that IDs stay the same.
    kept = _FIXED_IDS if newer & Fact.TWO_FIXED_IDS else (GsoType.TCP_FIXEDID,)
    always = GsoType(0)
    if newer & Fact.ACCECN_GRO and first.l4 is gso.L4.TCP:
        always = GsoType.TCP_ACCECN
    for bits in (GsoType(0), *kept) if first.l4 is gso.L4.TCP else (GsoType(0),):
        try:
            made = gso.segment(
                bytes(whole), size, gso_type=bits | always, tunnel_ports=PORTS, kernel=version
            )
        except GsoError:
            continue
        if made.to_list() == frames:
            return True
    return False


def _network(layout: gso.Layout) -> int:
    """Return where the innermost IP header is, 0 if there is none."""
    return layout.inner_network_header or layout.network_header or 0


def _transport(layout: gso.Layout) -> int:
    """Return where the innermost TCP or UDP header is, 0 if there is none."""
    return layout.inner_transport_header or layout.transport_header or 0


def _addresses(frame: bytes) -> tuple[bytes, bytes] | None:
    """Return the innermost addresses and ports."""
    try:
        layout = gso.parse(frame, tunnel_ports=PORTS)
    except GsoError:
        return None
    start, at = _network(layout), _transport(layout)
    if not at:
        return None
    span = slice(start + 12, start + 20) if frame[start] >> 4 == 4 else slice(start + 8, start + 40)
    return frame[span], frame[at : at + 4]
