"""Segment the super-packets of a capture, and leave everything else as it is.

A capture taken on a host shows the packets that its network stack handled, not those on the wire:
packets of 64 kB or more, before segmentation offload or after GRO, with lengths and checksums that
the device was to fill in. `segment_capture` writes the capture that the wire would have given.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from gso.buffers._checksum import checksum
from gso.buffers._frames import Frames
from gso.buffers.rows import take_rows
from gso.capture.format import Int64s, Source, is_path
from gso.capture.packets import Packets
from gso.constants import GsoType
from gso.errors import GsoError
from gso.headers._layout import parse_batch
from gso.headers.links import BareLinkType
from gso.headers.tunnels import TunnelPorts
from gso.rewriting._packet_info import BLANK_INNER, BLANK_OUTER, packet_info, unremarkable
from gso.rewriting._reasons import DATAGRAM, OPAQUE
from gso.rewriting.copy import NOTHING, Packer, Replacements, copy_capture
from gso.rewriting.datagrams import datagram_size
from gso.rewriting.doubts import LONGEST_HEADERS, Doubts, Reasons, doubtful, misdescribed
from gso.rewriting.handshakes import TCP, UDP, USUAL_MTU, Flow, Handshakes, Sizes, count_flows
from gso.rewriting.links import Link, is_restored, lies_ready, link_frames, restore_link, runs
from gso.rewriting.notes import Notes
from gso.rewriting.snaplen import add_missing, missing_bytes
from gso.segmentation._batch import segment_batch, segment_headers_batch
from gso.segmentation._segment import segment
from gso.versions import Fact, KernelVersion, facts_of

if TYPE_CHECKING:
    from gso.rewriting.fix import Values

UdpWay: TypeAlias = Literal["uso", "ufo", "keep"]

_FRAGMENT_HEADER = 8  # of IPv6, with UFO
_UNKNOWN = -1  # the size of datagrams
# In an IPv4 header
_FLAGS_AT = 6
_CHECKSUM_AT = 10
_DF = 0x40
_SAID = re.compile(r"\bgso_size=(\d{1,9})\b")


@dataclass
class Summary:
    """Counts of what happened to a capture's packets.

    Attributes:
        packets: packets read.
        segmented: super-packets that became several segments.
        segments: the segments that they became.
        completed: packets whose checksum was left to an offload and has been filled in.
        udp_sizes: UDP super-packets whose size was found in the capture, by size and what told it.
        fixed: packets whose lengths or checksums were wrong and have been set right.
        notes: super-packets left unchanged, by reason.
        not_looked_into: packets that cannot be looked into, by what they are.
        flows: TCP connections, where segment sizes came from their handshakes.
        truncated: what the end of the file lacks, or None.
        damage: where the file is damaged, which ends it, or None.
    """

    packets: int = 0
    segmented: int = 0
    segments: int = 0
    completed: int = 0
    fixed: int = 0
    udp_sizes: Counter[str] = field(default_factory=Counter)
    notes: Notes = field(default_factory=Notes)
    not_looked_into: Counter[str] = field(default_factory=Counter)
    flows: list[Flow] = field(default_factory=list)
    truncated: str | None = None
    damage: str | None = None

    @property
    def unchanged(self) -> int:
        """Packets written as they were."""
        return self.packets - self.segmented - self.completed - self.fixed

    @property
    def written(self) -> int:
        """Packets written."""
        return self.unchanged + self.completed + self.fixed + self.segments

    @property
    def looked_into(self) -> int:
        """Packets that can be looked into."""
        return self.packets - self.not_looked_into.total()

    @property
    def fine(self) -> bool:
        """Whether every super-packet was segmented, and the file was whole."""
        whole = self.truncated is None and self.damage is None
        return whole and not self.notes and not any(f.skipped for f in self.flows)


class _Segmenter:
    """Decides on each packet, and replaces those that need it."""

    def __init__(
        self,
        gso_size: int | None,
        tunnel_ports: TunnelPorts | None,
        *,
        udp_size: int | None,
        mtu: int | None,
        udp: UdpWay,
        fixed_ids: bool,
        kernel: KernelVersion,
        checksum: Literal["complete", "partial"],
        fix: dict[int, Values] | None,
    ) -> None:
        self.summary = Summary()
        self._fix = fix
        self._fixed_ids = fixed_ids
        self._fixed_bits = GsoType.TCP_FIXEDID
        if facts_of(kernel) & Fact.TWO_FIXED_IDS:
            self._fixed_bits = GsoType.TCP_FIXEDID_OUTER | GsoType.TCP_FIXEDID_INNER
        self._kernel: KernelVersion = kernel
        self._checksum = checksum
        self._gso_size = gso_size
        self._udp_size = udp_size
        self._mtu = mtu or USUAL_MTU
        self._tunnel_ports = tunnel_ports
        self._udp = udp
        self._handshakes = Handshakes(mtu, gso_size)
        self._doubts = Doubts(self._mtu, gso_size, tunnel_ports)
        self._packer = Packer()
        self._room = np.empty(0, np.uint8)
        # The numbers in the file of the packets that are looked at.
        self._numbers = np.empty(0, np.int64)

    def finish(self, truncated: str | None) -> Summary:
        self.summary.truncated = truncated
        self.summary.flows = [f for f in self._handshakes if f.packets or f.skipped]
        return self.summary

    def rewrite(self, packets: Packets) -> Iterator[memoryview]:
        """Yield the bytes to write for these packets; each piece lasts until the next but one."""
        for part, link in runs(packets):
            yield self._run(part, link)
            self.summary.packets += len(part.records)

    def _run(self, packets: Packets, link: Link) -> memoryview:
        """The bytes to write for packets that are read in one way."""
        made = NOTHING
        self._numbers = np.arange(len(packets.records)) + self.summary.packets + 1
        if link.kind is None:
            self._note_opaque(packets, link, np.arange(len(packets.records)))
        else:
            made = self._replace_some(packets, link, link.kind)
            if is_restored(link):
                frames = restore_link(packets, link, made.frames, made.parents)
                made = made._replace(frames=frames)
        if self._fix is not None:
            made = self._fixed(packets, link, made.frames, made.parents)
        if not len(made.parents) and not packets.between:
            return packets.as_written()
        return self._packer.pack(packets, made, link.skip)

    def _fixed(self, packets: Packets, link: Link, frames: Frames, parents: Int64s) -> Replacements:
        """The frames that are given, and those that are set right."""
        from gso.headers._fine import fine_frames  # noqa: PLC0415  (few ask for it)
        from gso.rewriting.fix import fixed  # noqa: PLC0415  (as few)

        values = self._fix or {}
        number = self.summary.packets + 1
        pieces = np.bincount(parents, minlength=len(packets.records))
        whole = self._whole(packets, link, frames, parents, pieces)
        missing = missing_bytes(packets.records) > 0
        told = np.isin(np.arange(number, number + len(whole)), list(values))
        fine = fine_frames(whole, link.name, tunnel_ports=self._tunnel_ports)
        made: dict[int, bytes] = {}
        for i in np.flatnonzero((pieces < 2) & (~fine | missing | told)).tolist():
            old = bytes(whole[i])
            new = fixed(
                old,
                link_type=link.name,
                tunnel_ports=self._tunnel_ports,
                complete=not missing[i],
                values=values.get(number + i),
            )
            if new is None:
                self._note(i, "its headers have faults that --fix cannot set right")
            elif new != old:
                made[i] = new[link.skip :]
                self.summary.fixed += not pieces[i]
        return _with_others(frames, parents, made)

    @staticmethod
    def _whole(
        packets: Packets, link: Link, frames: Frames, parents: Int64s, pieces: Int64s
    ) -> Frames:
        """Each packet from its first byte on, with the frame in its place if that is one."""
        old = packets.frames()
        single = np.flatnonzero(pieces[parents] == 1)
        if not len(single):
            return old
        made: list[bytes | memoryview] = list(old)
        for k in single.tolist():
            i = int(parents[k])
            made[i] = b"".join([made[i][: link.skip], frames[k]])
        return Frames.from_list(made)

    def _replace_some(self, packets: Packets, link: Link, kind: BareLinkType) -> Replacements:
        """New frames; only some packets are looked at closely."""
        which = self._remarkable(packets, link, kind)
        if not len(which):
            return NOTHING
        if len(which) == len(packets.records):
            return self._replace(packets, packets, link, kind)
        numbers = self._numbers
        self._numbers = numbers[which]
        made = self._replace(packets.take(which), packets, link, kind)
        self._numbers = numbers
        return made._replace(parents=which[made.parents])

    def _remarkable(self, packets: Packets, link: Link, kind: BareLinkType) -> Int64s:
        """The packets that may not stay as they are, or of which something is to be learnt."""
        if not lies_ready(link):
            return np.arange(len(packets.records))
        plain = unremarkable(
            packets.buffer,
            packets.records,
            link.skip,
            link_type=kind,
            tunnel_ports=self._tunnel_ports,
            mtu=self._mtu,
            longest=self._mtu + LONGEST_HEADERS,
        )
        if (said := self._said(packets)) is not None:
            plain &= said < 0
        return (~plain).nonzero()[0]

    def _replace(
        self, packets: Packets, around: Packets, link: Link, kind: BareLinkType
    ) -> Replacements:
        """New frames; these packets are among those `around`."""
        frames = link_frames(packets, link)
        missing = missing_bytes(packets.records)
        layouts, info = self._described(frames, missing, kind)
        cut = missing > 0
        sizes, left, flow, flows = self._sizes(info, self._said(packets))
        told = {}
        if (sizes == _UNKNOWN).any():
            told = self._datagram_sizes(
                frames, info, sizes, left, packets=packets, around=around, link=link
            )
        self._leave(left, misdescribed(frames, link, sizes))
        found = self._doubts.find(frames, info, sizes * ~left, cut)
        if found.any():
            self._leave(left, doubtful(frames, info, found))
            datagrams = (found & DATAGRAM != 0) & ~left
            self._leave(left, self._doubts.in_tunnels(frames, datagrams, kind))
            self._note_all(self._doubts.not_segmented(packets, link, info, found))
            self._note_opaque(packets, link, (found & OPAQUE).nonzero()[0])
        self.summary.udp_sizes.update(how for i, how in told.items() if not left[i])
        sizes[left] = 0
        waiting, blank = self._waiting(info, ~left, (sizes == 0) & ~cut & ~left)
        if blank.any():
            frames = _with_header_checksums(frames, layouts, blank)
        (chosen,) = (((sizes > 0) | waiting) & ~cut).nonzero()
        if not len(chosen):
            return NOTHING
        if len(chosen) < len(frames):
            frames, info = frames[chosen], take_rows(info, chosen)
            sizes, flow = sizes[chosen], flow[chosen]
        apart = self._fix is None and not is_restored(link)
        made = self._segment(frames, sizes, info, chosen, kind, apart=apart)
        pieces = np.bincount(made.parents, minlength=len(chosen))
        self._count(pieces)
        if self._gso_size is None:
            count_flows(Sizes(sizes, left, flow, flows), pieces)
        return made._replace(parents=chosen[made.parents])

    def _waiting(
        self,
        info: npt.NDArray[np.void],
        fine: npt.NDArray[np.bool_],
        whole: npt.NDArray[np.bool_],
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint8]]:
        """The packets whose checksums wait for a device, and bits of the IPv4 headers that do.

        Of the latter those of the packets that stay `whole`.
        """
        if self._checksum == "partial":
            return np.zeros(len(info), np.bool_), np.zeros(len(info), np.uint8)
        blank = info["blank"] * whole
        return (info["partial"] != 0) & (info["sure"] != 0) & fine | (blank != 0), blank

    def _described(
        self, frames: Frames, missing: Int64s, kind: BareLinkType
    ) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
        """The layouts of frames, and what PACKET_INFO_DTYPE has of the packets."""
        layouts = parse_batch(
            frames, link_type=kind, tunnel_ports=self._tunnel_ports, errors="mark"
        )
        info = packet_info(frames, layouts)
        add_missing(frames, info, missing)
        return layouts, info

    def _sizes(self, info: npt.NDArray[np.void], said: Int64s | None) -> Sizes:
        """Payload bytes per segment of each packet; those of UDP may be _UNKNOWN.

        `said` has the sizes that comments in the capture say, -1 without one.
        """
        udp = info["protocol"] == UDP
        told = None
        if said is not None:
            if self._gso_size is not None:
                said[info["protocol"] == TCP] = -1
            if self._udp_size is not None or self._udp != "uso":
                said[udp] = -1
            told = said >= 0
            udp &= ~told
        found = self._handshakes.sizes(info, told)
        sizes = found.sizes
        if self._udp != "keep" and udp.any():
            self._set_udp_sizes(info, udp & (info["length"] > self._mtu), sizes)
        if said is not None:
            cut = (said > 0) & (info["protocol"] != 0) & (info["payload"] > said)
            sizes[cut] = said[cut]
        return found

    def _set_udp_sizes(
        self, info: npt.NDArray[np.void], udp: npt.NDArray[np.bool_], sizes: Int64s
    ) -> None:
        """Set the sizes of the packets `udp`, which are longer than the MTU."""
        self._handshakes.fit_path(info, udp)
        if self._udp_size is None:
            sizes[udp] = _UNKNOWN
        elif self._udp == "ufo":
            # UFO cuts the whole datagram, its header included, at multiples of 8.
            sizes[udp & (info["payload"] + 8 > self._udp_size)] = self._udp_size & ~7
        else:
            sizes[udp & (info["payload"] > self._udp_size)] = self._udp_size

    def _datagram_sizes(
        self,
        frames: Frames,
        info: npt.NDArray[np.void],
        sizes: Int64s,
        left: npt.NDArray[np.bool_],
        *,
        packets: Packets,
        around: Packets,
        link: Link,
    ) -> dict[int, str]:
        """Replace the sizes of UDP that are unknown, with 0 where they stay so; what told them."""
        assert link.kind is not None
        unknown = sizes == _UNKNOWN
        hidden = self._doubts.in_tunnels(frames, unknown, link.kind)
        self._leave(left, hidden)
        sizes[list(hidden)] = 0
        others = info
        if len(around.records) > len(info) and len(hidden) < unknown.sum():
            missing = missing_bytes(around.records)
            _, others = self._described(link_frames(around, link), missing, link.kind)
        found = {}
        for i in (sizes == _UNKNOWN).nonzero()[0].tolist():
            payload = bytes(frames[i][info["hlen"][i] :][: info["payload"][i]])
            whole = packets.records["captured"][i] >= packets.records["original"][i]
            known = self._udp == "uso" and whole
            size = datagram_size(payload, info[i], others, self._mtu) if known else None
            sizes[i] = size[0] if size else 0
            if size is None:
                reason = "UDP has no handshake that tells the size, say --udp-size N"
                self._leave(left, {i: reason})
            else:
                found[i] = f"{size[0]} bytes by {size[1]}"
        return found

    def _said(self, packets: Packets) -> Int64s | None:
        """The gso_size in each packet's comment, as the test bed writes it, -1 without one.

        None where none can be told that the caller has not given.
        """
        given = self._gso_size is not None and self._udp_size is not None
        if given or not packets.records["options_length"].any():
            return None
        found = (_SAID.search(text or "") for text in packets.comments())
        return np.array([int(one[1]) if one else -1 for one in found], np.int64)

    def _types(self, frames: Frames, info: npt.NDArray[np.void]) -> Int64s:
        """The gso_type of each packet, where the frame itself does not tell it."""
        types = np.zeros(len(info), np.int64)
        if self._udp == "ufo":
            types[info["protocol"] == UDP] = int(GsoType.UDP)
        if self._fixed_ids:
            flags = frames.data[frames.offsets[:-1] + info["network"] + _FLAGS_AT]
            may = (info["protocol"] == TCP) & (info["version"] == 4) & (flags & _DF != 0)
            types[may] = int(self._fixed_bits)
        return types

    def _segment(
        self,
        frames: Frames,
        sizes: Int64s,
        info: npt.NDArray[np.void],
        numbers: Int64s,
        kind: BareLinkType,
        *,
        apart: bool,
    ) -> Replacements:
        """The segments, but for those of packets that are refused, which is noted.

        Only headers are made, and the payload stays where it is, if `apart`.
        """
        options: Any = {
            "link_type": kind,
            "tunnel_ports": self._tunnel_ports,
            "checksum": self._checksum,
            "kernel": self._kernel,
        }
        types = self._types(frames, info)
        if apart:
            batch = segment_headers_batch(frames, sizes, gso_type=types, errors="pass", **options)
            if not len(_refused(batch.parent, sizes)):
                return Replacements(batch.headers, batch.parent, frames.data, batch.payload)
        segments = segment_batch(
            frames,
            sizes,
            gso_type=types,
            out=self._room_for(frames, info, sizes),
            errors="pass",
            **options,
        )
        refused = _refused(segments.parent, sizes)
        if not len(refused):
            return Replacements(segments, segments.parent)
        for i in refused.tolist():
            self._refused(int(numbers[i]), frames[i], int(sizes[i]), int(types[i]), options)
        kept = ~np.isin(segments.parent, refused)
        return Replacements(segments[kept], segments.parent[kept])

    def _room_for(self, frames: Frames, info: npt.NDArray[np.void], sizes: Int64s) -> memoryview:
        """Memory for segments, kept from batch to batch: fresh memory is slow to get."""
        pieces = info["payload"] // np.where(sizes > 0, sizes, info["payload"] + 1) + 2
        more = pieces * (info["hlen"] + _FRAGMENT_HEADER)
        need = frames.nbytes + int(more.sum())
        if need > len(self._room):
            self._room = np.empty(need + need // 8, np.uint8)
        return self._room.data

    def _refused(
        self, number: int, frame: memoryview, size: int, gso_type: int, options: Any
    ) -> None:
        try:
            segment(frame, size, gso_type=gso_type, **options)
        except GsoError as error:
            reason = f"the kernel would refuse it: {error.reason} {error.field}"
            if error.field == "dest":  # by the port alone
                port = error.limit
                reason = f"UDP port {port} is not plain UDP (if it is: --tunnel-port {port}=none)"
            self._note(number, reason)

    def _note_opaque(self, packets: Packets, link: Link, which: Int64s) -> None:
        """Count the packets in which no IP packet was found, and note those too long for a wire."""
        counts = self.summary.not_looked_into
        self._note_all(self._doubts.opaque(packets, link, which, counts))

    def _leave(self, left: npt.NDArray[np.bool_], reasons: Reasons) -> None:
        """Note why packets are left unchanged, and mark them as such."""
        self._note_all(reasons)
        if reasons:
            left[list(reasons)] = True

    def _note_all(self, reasons: Reasons) -> None:
        for i, reason in reasons.items():
            self._note(i, reason)

    def _note(self, index: int, reason: str) -> None:
        self.summary.notes.add(reason, int(self._numbers[index]))

    def _count(self, pieces: Int64s) -> None:
        """Count what became of the packets that were replaced, by so many frames each."""
        several = pieces[pieces > 1]
        self.summary.segmented += len(several)
        self.summary.segments += int(several.sum())
        self.summary.completed += int((pieces == 1).sum())


def _with_header_checksums(
    frames: Frames, layouts: npt.NDArray[np.void], blank: npt.NDArray[np.uint8]
) -> Frames:
    """The frames with the IPv4 header checksums that were left to a device, as on Windows."""
    data = frames.data.copy()
    for i in np.flatnonzero(blank).tolist():
        for bit, name in ((BLANK_OUTER, "network_header"), (BLANK_INNER, "inner_network_header")):
            if blank[i] & bit:
                head = int(layouts[name][i])
                header = frames[i][head : head + (frames[i][head] & 15) * 4]
                at = int(frames.offsets[i]) + head + _CHECKSUM_AT
                data[at : at + 2] = np.frombuffer(checksum(header).to_bytes(2, "big"), np.uint8)
    return Frames(data, frames.offsets)


def _refused(parents: Int64s, sizes: Int64s) -> Int64s:
    """The packets that should have become several, and were passed on as they are."""
    alone = np.bincount(parents, minlength=len(sizes)) == 1
    return np.asarray((alone & (sizes > 0)).nonzero()[0])


def _with_others(frames: Frames, parents: Int64s, made: dict[int, bytes]) -> Replacements:
    """The frames and their packets, with those `made` in place of any of the same packets."""
    if not made:
        return Replacements(frames, parents)
    kept = np.flatnonzero(~np.isin(parents, list(made)))
    both = [*(frames[k] for k in kept.tolist()), *made.values()]
    numbers = np.concatenate([parents[kept], np.array(list(made), np.int64)])
    order = np.argsort(numbers, kind="stable")
    return Replacements(Frames.from_list([both[k] for k in order.tolist()]), numbers[order])


def _to_fix(source: Source, tunnel_ports: TunnelPorts | None) -> dict[int, Values]:
    """The checksums of packets in fragments, where the capture can be read in advance."""
    from gso.rewriting.fix import sums_of_fragments  # noqa: PLC0415  (few ask for it)

    again = is_path(source) or isinstance(source, (bytes, bytearray, memoryview))
    return sums_of_fragments(source, tunnel_ports) if again else {}


def segment_capture(
    source: Source,
    target: Any,
    gso_size: int | None = None,
    *,
    udp_size: int | None = None,
    mtu: int | None = None,
    tunnel_ports: TunnelPorts | None = None,
    udp: UdpWay = "uso",
    fixed_ids: bool = False,
    kernel: KernelVersion = "6.12",
    checksum: Literal["complete", "partial"] = "complete",
    fix: bool = False,
    damage: Literal["raise", "report"] = "raise",
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Copy a capture, with super-packets segmented; memory does not depend on its size.

    A packet whose innermost IP packet fits the MTU, or with no more payload than a segment has,
    stays as it is, byte for byte, unless a checksum was left to an offload, that of an IPv4 header
    included: then it is completed. A packet that is noted stays as it is, too: what it is, or what
    the size of its segments was, is not sure. Segments have the timestamp, interface and link-layer
    header of their packet, the first one also its comment. All other blocks of a pcapng file are
    kept, and so is the format.

    Args:
        source: path, binary file, or the bytes of one.
        target: path, or binary file, to write to.
        gso_size: payload bytes per segment of TCP. None: what a comment ``gso_size=N`` of the
            packet says; without one, what the peer announced in the connection's handshake, bounded
            by the MTU; connections without a handshake stay as they are.
        udp_size: payload bytes per segment of UDP. None: what a comment ``gso_size=N`` of the
            packet says; without one, what the headers of WireGuard or QUIC in it say, or the flow's
            other datagrams. UDP that tells nothing stays as it is, and is noted.
        mtu: the largest IP packet in bytes that is no super-packet; 1500 by default, or what the
            handshake of a TCP connection between the same hosts says if it is more.
        tunnel_ports: UDP destination ports of tunnels, as for `gso.parse`.
        udp: how `udp_size` applies: "uso" makes datagrams, "ufo" IP fragments of that many
            bytes (in multiples of 8), "keep" leaves UDP as it is.
        fixed_ids: all segments of a TCP packet with DF keep its IPv4 ID (TCP_FIXEDID).
        kernel: as for `gso.segment`.
        checksum: "partial" leaves the innermost checksum to a device, as `gso.segment` does, and
            packets that need no segmentation alone.
        fix: also set wrong lengths and checksums right of packets that are not segmented, as
            `gso.validate` finds them. A path or bytes are read twice for the checksums of packets
            in fragments, which take all fragments; those from an open file stay as they are.
        damage: "report" tells of damage that follows packets in the summary.
        progress: called now and then with the number of bytes read.

    Raises GsoError for a damaged capture; what precedes the damage has been written by then.
    Raises ValueError for a path of the very file that is read.
    """
    if udp == "ufo" and (udp_size or 8) < 8:
        raise ValueError(f"fragments have 8 bytes or more, udp_size is {udp_size}")
    if fix and checksum == "partial":
        raise ValueError("fix completes the checksums that 'partial' leaves: choose one of them")
    segmenter = _Segmenter(
        gso_size,
        tunnel_ports,
        udp_size=udp_size,
        mtu=mtu,
        udp=udp,
        fixed_ids=fixed_ids,
        kernel=kernel,
        checksum=checksum,
        fix=_to_fix(source, tunnel_ports) if fix else None,
    )
    truncated = None
    try:
        truncated = copy_capture(source, target, segmenter.rewrite, progress=progress)
    except GsoError as error:
        if damage == "raise" or not segmenter.summary.packets:
            raise
        segmenter.summary.damage = str(error)
    return segmenter.finish(truncated)
