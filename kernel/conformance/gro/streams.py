"""Random streams of segments for GRO: flows of TCP and UDP in tunnels, and what happens to them.

Most segments go on from the one before. Now and then a field of some header changes, for one
segment or for good, segments get lost, come twice or out of order, or are damaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from gso.kernel.conformance.gro.flows import COMPLETING, OUTER, Flow
from gso.kernel.guest.records import HANDED

from gso import L4, GsoError, Tunnel, parse

# A poll of NAPI takes 64 packets, and GRO completes everything after it.
MOST_FRAMES = 60
# GRO holds so many packets of one hash bucket (MAX_GRO_SKBS), and without a hash all are in one.
MOST_HELD = 8

PORTS: dict[int, Tunnel | tuple[Tunnel, int]] = {
    5555: Tunnel.FOU,
    5556: Tunnel.FOU,
    5557: (Tunnel.FOU, 47),
    5558: (Tunnel.FOU, 132),
    5501: Tunnel.GUE,
    4792: Tunnel.VXLAN,
}


class Device(NamedTuple):
    """A device with GRO. ``words``: further settings of the device, for ``ip link set``.

    ``fraglist``: it makes lists of frames (rx-gro-list), of those in no tunnel here. ``pages``: its
    frames come in parts of pages, which super-packets share. ``driver``: they come from a driver
    of our own, each as a :class:`Handed` says. ``before_tunnels``: they come before there is a UDP
    port of a tunnel.
    """

    name: str
    udp: bool = True
    gro_max_size: int = 65536
    words: str = ""
    fraglist: bool = False
    pages: bool = False
    driver: bool = False
    gro_ipv4_max_size: int = 65536
    before_tunnels: bool = False


class Handed(NamedTuple):
    """How a driver hands a frame to GRO: the fields of struct frame in receiver/receiver.c."""

    front: int = 0
    first: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    place: int = 0
    summed: int = 0
    level: int = 0
    noted: int = 0

    def pack(self, length: int) -> bytes:
        """Return it as the module takes it, before a frame of this length."""
        return HANDED.pack(length, *self)


DEVICES = (
    Device("gro0"),
    Device("gro1", udp=False),
    Device("gro2", gro_max_size=120000, words="gro_max_size 120000"),
    Device("gro3", udp=False, fraglist=True),
    Device("gro4", pages=True),
    Device("driver0", driver=True),
    Device("driver1", driver=True, udp=False, fraglist=True),
    Device("driver2", driver=True, gro_max_size=120000, gro_ipv4_max_size=120000),
    Device("driver3", driver=True, before_tunnels=True),
)
_NO_UDP, _BIG, _LISTS, _PAGES = 1, 2, 3, 4
_DRIVER, _DRIVER_LISTS, _DRIVER_BIG, _DRIVER_ALONE = 5, 6, 7, 8

COMPLETED = COMPLETING["vxlan1"].to_bytes(2, "big")
# The headers in front of the inner ones have no more bytes.
MOST_HEADERS = 120
# The commands of ``ip`` that open the UDP ports of tunnels.
LISTENERS = (
    "link add vxlan0 type vxlan external dstport 4789 remcsumrx",
    "link add gpe0 type vxlan external gpe dstport 4790",
    "link add geneve0 type geneve external dstport 6081",
    *(f"link set {name} up" for name in ("vxlan0", "vxlan1", "gpe0", "geneve0")),
)
FOU_LISTENERS = (
    *(f"fou add port {port} ipproto {proto}" for port, proto in ((5555, 4), (5556, 41))),
    "fou add port 5557 ipproto 47",
    "fou add port 5558 ipproto 132",
    "fou add port 5501 gue",
    "fou add port 6080 gue",
)

_PLAIN = ("ip4 tcp", "ip6 tcp", "ip4 udp", "ip6 udp")
_TAGGED = tuple(f"{tags} {packet}" for tags in ("vlan", "vlan vlan") for packet in _PLAIN)
_LISTED = (*_PLAIN, *_TAGGED)
_OFTEN = 0.4
_INNER = ("ip4 tcp", "ip6 tcp", "ip4 udp", "ip6 udp")
_FRAMES = ("eth ip4 tcp", "eth ip6 tcp", "eth vlan ip4 tcp", "eth ip6 udp")


def _shapes() -> list[str]:
    found = [*_PLAIN, *_TAGGED]
    for outer in OUTER:
        found += [f"{outer} {inner}" for inner in _INNER]
        found += [f"{outer} {gre} {inner}" for gre in ("gre", "gre-key") for inner in _INNER]
        found += [f"{outer} gre-csum {inner}" for inner in (*_INNER, *_FRAMES)]
        found += [
            f"{outer} gre-seq ip4 tcp",
            f"{outer} gre eth ip4 tcp",
            f"vlan {outer} gre ip4 tcp",
        ]
        for tunnel, inside in (("vxlan", _FRAMES), ("geneve", _FRAMES), ("geneve", _INNER)):
            found += [f"{outer} {port} {tunnel} {inner}" for port in ("port", "port-0")
                      for inner in inside]  # fmt: skip
        found += [f"{outer} port gpe {inner}" for inner in _INNER]
        for tunnel in ("fou", "gue", "gue-1"):
            found += [f"{outer} port {tunnel} {inner}" for inner in _INNER]
        found += [f"{outer} port {tunnel} {gre} {inner}" for tunnel in ("fou", "gue")
                  for gre in ("gre", "gre-key", "gre-csum", "gre-seq")
                  for inner in ("ip4 tcp", "eth ip4 tcp")]  # fmt: skip
        found += [f"{outer} port gue-remcsum {inner}" for inner in _INNER]
        found += [f"{outer} port vxlan-remcsum {inner}" for inner in _FRAMES]
        found.append(f"{outer} port-0 vxlan-remcsum eth ip4 tcp")
        found += [f"{outer} port-0 {tunnel} ip4 tcp" for tunnel in ("fou", "gue")]
        found.append(f"{outer} port fou-other ip4 tcp")
        found.append(f"{outer} gre ip4 port vxlan eth ip4 tcp")  # two tunnels
    found += ["ip4 ip4 ip4 tcp", "ip6 ip6 ip6 tcp", "ip4 ip6 ip6 udp", "ip6 ip4 ip4 udp"]
    found.append("ip4 ip6 ip4 tcp")
    return found


SHAPES = _shapes()


@dataclass(frozen=True)
class Stream:
    """Frames that reach a device in a row. ``shape``: the headers of its first flow."""

    device: int
    shape: str
    frames: tuple[bytes, ...]
    handed: tuple[Handed, ...] = ()


def make(r: Random, shapes: Sequence[str]) -> Stream:
    """Return a random stream, the first flow of it in one of the shapes."""
    shape = r.choice(shapes)
    # GRO holds each of its frames alone, and others have to make room.
    alone = "fou-other" in shape
    shapes = [shape] if alone else [one for one in shapes if "fou-other" not in one]
    plain = [one for one in shapes if one in _GROWING]
    if plain and r.random() < _OFTEN_BIG:
        return _grown(r, r.choice(plain))
    if r.random() < _BY_DRIVER:
        return _from_driver(r, shape, shapes)
    kind = r.random()
    device = _NO_UDP if kind < 0.1 else _PAGES if kind < 0.5 else 0
    if shape in _LISTED and r.random() < _OFTEN:
        listed = [one for one in shapes if one in _LISTED]
        return Stream(_LISTS, shape, tuple(_flows(r, shape, listed)))
    if shape.endswith("tcp") and r.random() < (0.5 if shape == "ip6 tcp" else 0.1):
        return Stream(_BIG, shape, tuple(_big(r, shape)))
    return Stream(device, shape, tuple(_flows(r, shape, shapes)))


_BY_DRIVER, _OFTEN_BIG = 0.4, 0.03
_GROWING = ("ip4 tcp", "ip6 tcp")
_IN_HEAD, _IN_PAGE, _IN_PAGES, _IN_FRAGS = range(4)
_NONE, _UNNECESSARY, _COMPLETE, _PARTIAL = range(4)
_LARGEST_HEAD = 2048  # of a frame in a part of a page
_ETH_HLEN = 14


def _from_driver(r: Random, shape: str, shapes: Sequence[str]) -> Stream:
    """Return a stream that a driver of our own hands to GRO.

    Where a network card has looked at the checksums GRO does not, so that they have to be right.
    """
    summed = r.choice((_NONE, _NONE, _COMPLETE, _UNNECESSARY, _PARTIAL))
    device = _DRIVER
    if shape in _LISTED and r.random() < _OFTEN:
        device, shapes = _DRIVER_LISTS, [one for one in shapes if one in _LISTED]
    elif shape in _GROWING and r.random() < _OFTEN:
        device = _DRIVER_BIG
    elif shape in _LISTED and r.random() < _OFTEN:
        device, shapes = _DRIVER_ALONE, [one for one in shapes if one in _LISTED]
    if summed == _PARTIAL and ("remcsum" in shape or device == _DRIVER_LISTS):
        summed = _UNNECESSARY
    if summed == _COMPLETE and "remcsum" in shape:
        # By such a sum 6.12 merges what has no checksum around it, too; the library does not.
        summed = _NONE
    elif summed == _COMPLETE:
        shapes = [one for one in shapes if "remcsum" not in one]
    calm = summed in (_UNNECESSARY, _PARTIAL)
    if calm:
        # Another tunnel's checksums could be more than the card has looked at
        shapes = [shape]
    big = device == _DRIVER_BIG
    frames = _big(r, shape, calm=calm) if big else _flows(r, shape, shapes, calm=calm)
    places = r.choice(_PLACES)
    level = r.randrange(4) if "remcsum" not in shape else 0
    # GRO merges no frames of which more is noted of one than of the other.
    noted = 0 if _IN_FRAGS in places else r.choice((0, 1, 2, 3))
    handed = []
    for frame in frames:
        one = _handed(r, frame, r.choice(places))._replace(noted=noted)
        if summed == _PARTIAL:
            one = _left_partial(frame, one)
        handed.append(one._replace(summed=summed, level=level if summed == _UNNECESSARY else 0))
    return Stream(device, shape, tuple(frames), tuple(handed))


_PLACES = (
    *((_IN_HEAD,), (_IN_PAGE,), (_IN_PAGES,), (_IN_PAGES,), (_IN_FRAGS,), (_IN_FRAGS,)),
    (_IN_HEAD, _IN_PAGE, _IN_PAGES, _IN_FRAGS),
)


def _grown(r: Random, shape: str) -> Stream:
    """Return a stream of TCP without a tunnel that becomes longer than 64 KB."""
    frames = _big(r, shape)
    if shape == "ip6 tcp" and r.random() < _OFTEN:
        return Stream(_BIG, shape, tuple(frames))
    places = r.choice(_PLACES)
    handed = tuple(_handed(r, frame, r.choice(places)) for frame in frames)
    return Stream(_DRIVER_BIG, shape, tuple(frames), handed)


def _headers(frame: bytes) -> int:
    """Return where the payload begins, or what may be a header."""
    try:
        return parse(frame, tunnel_ports=PORTS).payload
    except GsoError:
        return 54


def _handed(r: Random, frame: bytes, place: int) -> Handed:
    """Say where a frame is: in pages its headers too, a part of them, or what comes after them."""
    size, headers = len(frame), _headers(frame)
    if COMPLETED in frame[:headers] and place in (_IN_PAGES, _IN_FRAGS):
        # All headers in one place: else 6.12 changes data (docs/conformance.md)
        in_front = place == _IN_PAGES and _ETH_HLEN <= headers < size
        return Handed(front=headers, place=place) if in_front else Handed(place=_IN_HEAD)
    if place == _IN_PAGE and size > _LARGEST_HEAD:
        place = _IN_HEAD
    if place in (_IN_HEAD, _IN_PAGE) or size <= _ETH_HLEN:
        return Handed(place=place if size > _ETH_HLEN else _IN_HEAD)
    if place == _IN_FRAGS:
        first = r.choice((0, 0, _ETH_HLEN, headers, r.randrange(_ETH_HLEN, size)))
        return Handed(first=first, place=place)
    any_part = r.randrange(_ETH_HLEN, size)
    front = r.choice((headers, headers, headers, _ETH_HLEN, 34, 64, any_part))
    if not _ETH_HLEN <= front < size:
        return Handed(place=_IN_HEAD)
    return Handed(front=front, first=r.choice((0, 0, 0, 1, 100)), place=place)


def _left_partial(frame: bytes, one: Handed) -> Handed:
    """Have the innermost checksum left to whom the frame goes to, though it is right."""
    layout = parse(frame, tunnel_ports=PORTS)
    start = layout.inner_transport_header or layout.transport_header or 0
    return one._replace(csum_start=start, csum_offset=16 if layout.l4 is L4.TCP else 6)


def _flows(r: Random, shape: str, shapes: Sequence[str], *, calm: bool = False) -> list[bytes]:
    """Return frames of some flows, the first of them in one shape; ``calm``: nothing changes."""
    unrest = 0.0 if calm else r.choice((0, 0.03, 0.1, 0.3))
    n_flows = r.choice((1, 1, 1, 1, 2, 2, 3, 10))
    if n_flows > MOST_HELD:
        unrest = 0  # that more are held than GRO can hold is unrest enough
    most = max(3, MOST_FRAMES // n_flows)
    flows: list[list[bytes]] = []
    first: Flow | None = None
    for number in range(n_flows):
        own = shape if not number or r.random() < 0.6 else r.choice(shapes)
        flow = Flow(r, own)
        # Where GRO is full it would show what we complete early, so that nothing overtakes.
        if first and own == shape and n_flows <= MOST_HELD and r.random() < 0.5:
            flow.fields = deepcopy(first.fields)  # the same tunnel, or all but one field the same
            if not calm:
                flow.change(r, flow.fields)
        first = first or flow
        flows.append(_segments(r, flow, r.randrange(2, most), unrest))
    return _shuffled(r, flows, unrest)[:MOST_FRAMES]


def _big(r: Random, shape: str, *, calm: bool = False) -> list[bytes]:
    """Segments for BIG TCP."""
    flow = Flow(r, shape)
    unrest = 0.0 if calm else r.choice((0, 0, 0.1))
    return _segments(r, flow, 20, unrest, sizes=(8900, 1428, 16000))


def _segments(
    r: Random,
    flow: Flow,
    count: int,
    unrest: float,
    sizes: tuple[int, ...] = (1400, 536, 100, 100, 100, 9, 33, 60, 200, 8900),
) -> list[bytes]:
    size = r.choice(sizes)
    frames = []
    for _ in range(count):
        length = size
        if r.random() < unrest / 2:
            length = r.choice((size - 1, size + 1, size // 2, 1, 0))
        fields = deepcopy(flow.fields)
        if r.random() < unrest:
            stays = flow.change(r, fields)
            if stays and r.random() < 0.5:
                flow.fields = deepcopy(fields)
        frames.append(flow.frame(fields, r.randbytes(length)))
        if r.random() < unrest / 10:
            frames[-1] = _harmed(r, frames[-1])
        flow.advance(length)
    return frames


def _harmed(r: Random, frame: bytes) -> bytes:
    """Change a bit, or the length of the frame."""
    kind = r.random()
    if kind < 0.3:
        return frame + bytes(r.randrange(1, 8))
    if kind < 0.5:
        return frame[: r.randrange(40, len(frame))] if len(frame) > 60 else frame + b"\0"
    damaged = bytearray(frame)
    damaged[r.randrange(14, len(frame))] ^= 1 << r.randrange(8)
    return bytes(damaged)


def _shuffled(r: Random, flows: list[list[bytes]], unrest: float) -> list[bytes]:
    """Return the frames of all flows; within each, some out of order, twice or lost."""
    for frames in flows:
        for place in range(len(frames) - 1, 0, -1):
            if r.random() < unrest / 4:
                kind = r.choice(("swap", "repeat", "drop"))
                if kind == "swap":
                    frames[place], frames[place - 1] = frames[place - 1], frames[place]
                elif kind == "repeat":
                    frames.insert(place, frames[place - 1])
                else:
                    del frames[place]
    mixed: list[bytes] = []
    while any(flows):
        source = r.choice([frames for frames in flows if frames])
        count = r.randrange(1, r.choice((2, 4, 20)))
        mixed += source[:count]
        del source[:count]
    return mixed
