"""The frames of each link type as `gso.parse` reads them, and made what they were again.

`runs` divides packets into stretches that begin alike, each with its `Link`. What cannot be looked
into is named by `unlooked`.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.buffers._spans import Spans
from gso.capture._records import without_words
from gso.capture.format import Int64s
from gso.capture.packets import Packets
from gso.headers.links import AF_INET, AF_INET6, ETH_HLEN, ETH_TYPE, LINKS, PPP, BareLinkType
from gso.headers.tunnels import TunnelPorts
from gso.rewriting.snaplen import missing_bytes

if TYPE_CHECKING:
    from gso.headers.header import Header

Bytes = npt.NDArray[np.uint8]

_SLL2 = "linux_sll2"
_FAMILIES = ("null", "loop")
SLL2_HLEN = LINKS[_SLL2].length
SLL2_TYPE = SLL2_HLEN - 2
"""Where a cooked header of version 2 would have its type if it ended with it, in bytes."""
_TELLING = (0, 1, *range(12, 24))
"""Bytes by which frames without an IP packet are told apart: versions, types, tags, labels."""
_SHORT = 64
"""Lengths up to this one are told apart, too: headers may be cut."""
_PPP = [name for name, link in LINKS.items() if link.type_at == PPP]
_ALL_STATIONS = 0xFF03
_CISCO_HDLC = (0x0F00, 0x8F00)
_PPP_VERSIONS = {0x21: 4, 0x57: 6}
_ETHER_VERSIONS = {0x0800: 4, 0x86DD: 6}
_NO_SKIP = 255
_TAG_HLEN = 4
_TAGS = (0x8100, 0x88A8)
_MOST_TAGS = 4
_USUAL_TYPES = (0x0800, 0x0806, 0x86DD)
_LEAST_TYPE = 0x600
_SNAP = np.frombuffer(b"\xaa\xaa\3\0\0\0", np.uint8)
_SNAP_LENGTH = 4
"""Where the IEEE 802.3 length is in the last 14 bytes of a SNAP frame's headers."""
_BEFORE_LENGTH = 6
"""Bytes of these up to the length's end, which it does not count."""


class Link(NamedTuple):
    """How a stretch of packets is read.

    Attributes:
        name: the link type, as `gso.link_types.link_name` has it.
        kind: what a frame begins with after `skip` bytes; None if it cannot be looked into.
        snap: whether the frames are IEEE 802.3 with a SNAP header, which has a length.
    """

    name: str
    kind: BareLinkType | None
    skip: int = 0
    snap: bool = False


def runs(packets: Packets) -> Iterator[tuple[Packets, Link]]:
    """Yield the packets in pieces that are read in one way each."""
    records, section = packets.records, packets.section
    used, which = _interfaces(packets)
    names = [section.interfaces[i].link_type for i in used.tolist()]
    kinds = list(dict.fromkeys(names))
    if len(kinds) == 1:
        same = _skips(packets, kinds[0], np.arange(len(records)))
        if isinstance(same, int):
            yield packets, _link(kinds[0], same)
            return
    number = np.array([kinds.index(name) for name in names])[which]
    skips = np.zeros(len(records), np.int64)
    for i, name in enumerate(kinds):
        rows = np.flatnonzero(number == i)
        skips[rows] = _skips(packets, name, rows)
    edges = np.flatnonzero(np.diff(number) | np.diff(skips)) + 1
    blocks = deque(packets.between)
    for start, stop in pairwise([0, *edges.tolist(), len(records)]):
        between = []
        while blocks and (blocks[0][0] < stop or stop == len(records)):
            at, block = blocks.popleft()
            between.append((at - start, block))
        yield (
            replace(packets, records=records[start:stop], between=tuple(between)),
            _link(kinds[number[start]], int(skips[start])),
        )


def _interfaces(packets: Packets) -> tuple[Any, Any]:
    """The interfaces that occur, and of each packet the number among these: nearly always one."""
    values = packets.records["interface"]
    if len(packets.section.interfaces) == 1 or (values == values[:1]).all():
        return values[:1], np.zeros(len(values), np.int64)
    return np.unique(values, return_inverse=True)


def _link(name: str, skip: int) -> Link:
    if skip == _NO_SKIP:
        return Link(name, None)
    if name in _PPP:
        return Link(name, "raw", skip)
    return Link(name, LINKS[name].rest, skip, snap=name == "ethernet" and skip > 0)


def _skips(packets: Packets, name: str, rows: Int64s) -> Int64s | int:
    """Bytes of each packet that `gso.parse` must not see, or of all; _NO_SKIP: it can read none."""
    if name in _PPP:
        return _ppp_hlen(_heads(packets, rows, 6), directed=name == "ppp_with_dir")
    if name == "ethernet":
        return _before_snap(packets, rows)
    return LINKS[name].skip if name in LINKS else _NO_SKIP


def _heads(packets: Packets, rows: Int64s, count: int, start: int = 0) -> Bytes:
    """`count` bytes of each packet from `start` on, 0 where it has none."""
    reach = np.arange(start, start + count)
    heads = np.take(packets.buffer, packets.records["data"][rows, None] + reach, mode="clip")
    heads[reach >= packets.records["captured"][rows, None]] = 0
    return np.asarray(heads, np.uint8)


def _word(heads: Bytes, at: Int64s | int) -> Int64s:
    """The 16 bits at `at` of each row."""
    rows = np.arange(len(heads))
    high, low = heads[rows, at].astype(np.int64), heads[rows, at + 1].astype(np.int64)
    return np.asarray(high << 8 | low)


def _ppp_hlen(heads: Bytes, *, directed: bool) -> Int64s:
    """Bytes before the IP packet in PPP (RFC 1661) or in Cisco's HDLC, with a direction or not.

    Address and control field, and the first byte of the protocol, may be left out.
    """
    at = np.full(len(heads), int(directed), np.int64)
    pair = _word(heads, at)
    cisco = np.isin(pair, _CISCO_HDLC) & (not directed)
    at[(pair == _ALL_STATIONS) | cisco] += 2
    protocol = _word(heads, at)
    short = np.isin(protocol >> 8, list(_PPP_VERSIONS)) & ~cisco
    protocol[short] >>= 8
    found = at + np.where(short, 1, 2)
    version = heads[np.arange(len(heads)), found] >> 4
    right = np.zeros(len(heads), np.bool_)
    for versions, which in ((_PPP_VERSIONS, ~cisco), (_ETHER_VERSIONS, cisco)):
        for number, one in versions.items():
            right |= which & (protocol == number) & (version == one)
    return np.where(right, found, _NO_SKIP)


def _before_snap(packets: Packets, rows: Int64s) -> Int64s | int:
    """Bytes before the last 14 of the headers in front of an IP packet in SNAP; 0: none is in it.

    These end with the type, as an Ethernet header does. The length that IEEE 802.3 has in place of
    a type tells little where it is as large as one: then it must be that of the frame.
    """
    odd = without_words(packets.buffer, packets.records, ETH_TYPE, _USUAL_TYPES)
    if len(odd) and len(rows) < len(packets.records):
        odd = odd[np.isin(odd, rows)]
    if not len(odd):
        return 0
    found = np.zeros(len(rows), np.int64)
    heads = _heads(packets, odd, ETH_HLEN + _TAG_HLEN * _MOST_TAGS + len(_SNAP) + 2)
    end = np.full(len(odd), ETH_HLEN)
    for _ in range(_MOST_TAGS):
        end[np.isin(_word(heads, end - 2), _TAGS)] += _TAG_HLEN
    length = _word(heads, end - 2)
    room = packets.records["captured"][odd].astype(np.int64) - end
    snap = (heads[np.arange(len(odd))[:, None], end[:, None] + np.arange(len(_SNAP))] == _SNAP).all(
        1
    )
    snap &= np.isin(_word(heads, end + len(_SNAP)), list(_ETHER_VERSIONS))
    snap &= (length < _LEAST_TYPE) | (length == room)
    found[np.searchsorted(rows, odd[snap])] = end[snap] + len(_SNAP) + 2 - ETH_HLEN
    return found


def lies_ready(link: Link) -> bool:
    """Whether the frames that `link_frames` gives lie in the capture as they are."""
    return link.kind is not None and link.name not in (*_FAMILIES, _SLL2)


def link_frames(packets: Packets, link: Link) -> Frames:
    """The packets' frames as `gso.parse` reads them: without the bytes that `link` skips.

    A cooked header of version 2 begins with the type of what follows. The type is put where an
    Ethernet header has it, over bytes of the sender's address that `restore_link` puts back. What
    a loopback header announces as anything but the IP version that follows is not read as IP.
    """
    frames = packets.frames(link.skip)
    if link.name in _FAMILIES:
        return _without_other_families(packets, frames)
    if link.name != _SLL2:
        return frames
    whole = np.flatnonzero(frames.lengths >= SLL2_HLEN - link.skip)
    return _with_types(packets, whole, 0, frames, frames.offsets[whole] + SLL2_TYPE - link.skip)


def link_spans(packets: Packets, link: Link) -> Spans:
    """The frames that `link_frames` gives, where the packets lie if they are there as they are."""
    if lies_ready(link):
        return packets.spans(link.skip)
    frames = link_frames(packets, link)
    return Spans(frames.data.data, frames.offsets[:-1], frames.offsets[1:])


def _without_other_families(packets: Packets, frames: Frames) -> Frames:
    """The frames, with no version in those whose address family is not that of their version."""
    whole = np.flatnonzero(frames.lengths > 0)
    raw = np.ascontiguousarray(_heads(packets, whole, 4))
    family = raw.view(">u4").ravel()
    # The number is in the byte order of the system that captured.
    family = np.where(family > 0xFFFF, raw.view("<u4").ravel(), family)
    places = frames.offsets[whole]
    version = frames.data[places] >> 4
    right = (version == 4) & (family == AF_INET) | (version == 6) & np.isin(family, AF_INET6)
    if right.all():
        return frames
    data = frames.data.copy()
    data[places[~right]] &= 0x0F
    return Frames(data.data, frames.offsets)


def is_restored(link: Link) -> bool:
    """Whether `restore_link` has something to undo."""
    return link.snap or link.name == _SLL2


def restore_link(packets: Packets, link: Link, frames: Frames, parents: Int64s) -> Frames:
    """Undo what `link_frames` did, in frames that replace the packets `parents`.

    Where a packet has several frames, each gets a length of its own if its header has one.
    """
    if link.snap:
        return _with_lengths(frames, np.bincount(parents)[parents] > 1)
    if link.name != _SLL2:
        return frames
    places = frames.offsets[:-1] + SLL2_TYPE - link.skip
    return _with_types(packets, parents, SLL2_TYPE, frames, places)


def _with_types(packets: Packets, which: Int64s, at: int, frames: Frames, places: Int64s) -> Frames:
    """The frames with two bytes, from `at` on of the packets `which`, copied to `places`."""
    data = frames.data.copy()
    first = packets.records["data"][which] + at
    for byte in range(2):
        data[places + byte] = packets.buffer[first + byte]
    return Frames(data.data, frames.offsets)


def _with_lengths(frames: Frames, which: npt.NDArray[np.bool_]) -> Frames:
    data = frames.data.copy()
    places = frames.offsets[:-1][which] + _SNAP_LENGTH
    lengths = frames.lengths[which] - _BEFORE_LENGTH
    data[places], data[places + 1] = lengths >> 8 & 0xFF, lengths & 0xFF
    return Frames(data.data, frames.offsets)


def wrong_lengths(frames: Frames, link: Link) -> npt.NDArray[np.bool_]:
    """Which frames, as `link_frames` gives them, have an IEEE 802.3 length that is not theirs."""
    if not link.snap:
        return np.zeros(len(frames), np.bool_)
    places = frames.offsets[:-1] + _SNAP_LENGTH
    field = frames.data[places].astype(np.int64) << 8 | frames.data[places + 1]
    return np.asarray(field != frames.lengths - _BEFORE_LENGTH)


def unlooked(
    packets: Packets, link: Link, which: Int64s, tunnel_ports: TunnelPorts | None
) -> Iterator[tuple[Int64s, str | None, bool]]:
    """Divide the packets `which` by what of them cannot be looked into; None where all can.

    The last value says whether that is the whole packet.
    """
    if not len(which):
        return
    if link.name not in LINKS:
        yield which, f"link type {link.name}", True
        return
    from gso.headers.followed import not_followed  # noqa: PLC0415  (slow, as its names are)

    heads = _heads(packets, which, _TELLING[-1] + 1, link.skip)[:, _TELLING]
    start = _heads(packets, which, 4)
    lengths = np.minimum(packets.records["captured"][which], _SHORT).astype(np.uint8)
    if link.name == "ethernet":
        heads[:, :2] = start[:, :] = 0
    cut = missing_bytes(packets.records[which]) > 0
    keys = np.concatenate([heads, start, lengths[:, None], cut[:, None]], axis=1)
    _, first, into = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    for number, i in enumerate(first.tolist()):
        frame = packets.packet(int(which[i]))
        found = not_followed(
            frame, link_type=link.name, tunnel_ports=tunnel_ports, complete=not cut[i]
        )
        yield which[into == number], *(found or (None, False))


def innermost_ip(packet: bytes, link: Link, tunnel_ports: TunnelPorts | None) -> int | None:
    """The byte at which a packet's innermost IP header starts; None where it has none."""
    headers = _headers(packet, link, tunnel_ports)
    found = [one.offset for one in headers if one.protocol.name in ("ipv4", "ipv6")]
    return found[-1] if found else None


def ip_length(packet: bytes, at: int) -> int:
    """The bytes of the IP packet that starts at byte `at`, as its header says; 0 if it is cut."""
    if len(packet) < at + 6:
        return 0
    ipv6 = packet[at] >> 4 == 6
    (said,) = struct.unpack_from(">H", packet, at + (4 if ipv6 else 2))
    return int(said) + (40 if ipv6 else 0)


def header_names(packet: bytes, link: Link, tunnel_ports: TunnelPorts | None) -> str:
    """The names of a packet's headers in a row, up to its first one of IP or to the last."""
    headers = _headers(packet, link, tunnel_ports)
    names = [one.protocol.name for one in headers]
    end = next((i for i, name in enumerate(names) if name in ("ipv4", "ipv6")), len(names))
    return " / ".join(names[: end + 1])


def _headers(packet: bytes, link: Link, tunnel_ports: TunnelPorts | None) -> list[Header]:
    from gso.headers.fields import read_headers  # noqa: PLC0415  (slow, and seldom needed)

    return read_headers(packet, link_type=link.name, tunnel_ports=tunnel_ports)
