"""Merge the segments of a capture into super-packets, and leave everything else as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gso.buffers._frames import Frames
from gso.buffers._spans import Spans
from gso.buffers.rows import join_rows, take_rows
from gso.capture._records import PCAP_RECORD, SIMPLE_PACKET_BLOCK
from gso.capture.format import INTERFACE_DESCRIPTION, Int64s, Source
from gso.capture.packets import Block, Packets
from gso.coalescing._coalesce import Coalesced, coalesce, seen
from gso.errors import GsoError
from gso.headers._layout import parse_batch
from gso.headers.links import BareLinkType
from gso.rewriting.ambiguous import looks_like, tunnels_on_unknown_ports
from gso.rewriting.copy import NOTHING, Packer, Replacements, copy_capture
from gso.rewriting.links import SLL2_HLEN, Link, link_spans, restore_link, runs, unlooked
from gso.rewriting.notes import Notes

if TYPE_CHECKING:
    from gso.headers.tunnels import TunnelPorts
    from gso.versions import KernelVersion

_LONGEST_FRAME = 1 << 20
_NANOSECONDS = 1000
_MOST_KEPT = 1 << 18
_NOT_A_TIME = -(1 << 63)


@dataclass
class Merged:
    """Counts of what happened to a capture's packets.

    Attributes:
        packets: packets read.
        merged: packets that went into super-packets.
        super_packets: the super-packets that they became.
        most_segments: the most packets that went into one super-packet.
        not_looked_into: packets that cannot be looked into, by what they are.
        notes: packets that may be in a tunnel and were not merged as datagrams, by port.
        truncated: what the end of the file lacks, or None.
        damage: where the file is damaged, which ends it, or None.
    """

    packets: int = 0
    merged: int = 0
    super_packets: int = 0
    most_segments: int = 0
    not_looked_into: Counter[str] = field(default_factory=Counter)
    notes: Notes = field(default_factory=Notes)
    truncated: str | None = None
    damage: str | None = None

    @property
    def written(self) -> int:
        """Packets written."""
        return self.packets - self.merged + self.super_packets

    @property
    def unchanged(self) -> int:
        """Packets written as they were."""
        return self.packets - self.merged

    @property
    def looked_into(self) -> int:
        """Packets that can be looked into."""
        return self.packets - self.not_looked_into.total()


class _Merger:
    def __init__(self, timeout: int | None, options: dict[str, Any]) -> None:
        self.result = Merged()
        self._timeout = timeout
        self._options = options
        # Limits on captured bytes are raised, which simple packet blocks depend on.
        self._packer, self._keeper = Packer(spell_out=True), Packer()
        # The last packets of a piece of the file, if their super-packet may go on in the next one.
        self._kept: Packets | None = None
        # The numbers in the file of those packets, and of the packets that are looked at.
        self._kept_numbers = self._numbers = np.empty(0, np.int64)

    def rewrite(self, packets: Packets) -> Iterator[memoryview]:
        """Yield the bytes to write for these packets; each piece lasts until the next but one."""
        if packets.between:
            blocks = [(at, replace(block, raw=_with_room(block))) for at, block in packets.between]
            packets = replace(packets, between=tuple(blocks))
        count = len(packets.records)
        new = np.arange(count) + self.result.packets + 1
        self.result.packets += count
        kept, self._kept = self._kept, None
        numbers = np.concatenate([self._kept_numbers, new]) if kept else new
        yield from self._parts(_joined(kept, packets) if kept else packets, numbers, go_on=True)

    def finish(self) -> Iterator[memoryview]:
        """Yield the bytes to write for packets that have been kept back."""
        kept, self._kept = self._kept, None
        if kept:
            yield from self._parts(kept, self._kept_numbers, go_on=False)

    def _parts(self, packets: Packets, numbers: Int64s, *, go_on: bool) -> Iterator[memoryview]:
        """Yield the bytes to write; the last packets are kept back if the file may `go_on`."""
        at = 0
        for part, link in runs(packets):
            stop = at + len(part.records)
            self._numbers = numbers[at:stop]
            yield self._part(part, link, last=go_on and stop == len(numbers))
            at = stop

    def _part(self, packets: Packets, link: Link, *, last: bool) -> memoryview:
        """The bytes to write for packets that are read in one way.

        If they are the `last` ones so far, super-packets that may go on are kept back. The length
        of an IEEE 802.3 frame could not tell that of a super-packet.
        """
        count = len(packets.records)
        if link.kind is None or link.snap:
            self._count_unlooked(packets, np.arange(count), link)
            return self._packer.pack(packets, NOTHING)
        times = None if self._timeout is None else packets.timestamps()
        flows = self._flows(packets, SLL2_HLEN if link.name == "linux_sll2" else link.skip)
        if times is not None:
            # How far apart packets are is not known without their times.
            odd = times == _NOT_A_TIME
            if odd.any():
                flows[odd] = -1 - np.flatnonzero(odd)
        flows = _divided(flows, packets)
        frames = link_spans(packets, link)
        made = self._merge(frames, flows, times, link.kind)
        cut = self._cut(packets, made, times) if last else count
        if packets.between:  # what precedes a block does not go on after it
            cut = max(cut, packets.between[-1][0])
        done = int(np.searchsorted(made.first, cut))
        if cut < count:
            later = np.flatnonzero(made.into[cut:] >= done) + cut
            # Where keeping is dear, all that follow may belong to super-packets that are written.
            self._kept = self._alone(packets, later) if len(later) else None
            self._kept_numbers = self._numbers[later]
        unread, datagrams = seen(made)
        if datagrams:
            self._note(made.first[:done], self._doubtful(frames, link.kind))
        several = made.gso_segs[:done] > 1
        if unread:
            self._look(packets, frames, made.first[:done][~several], link)
        first = _written(packets, made.first[:done])
        if not several.any() and _lie_together(first):
            return first.as_written()
        parents = np.flatnonzero(several)
        self._count(made.gso_segs[parents])
        merged = restore_link(first, link, _merged(made, parents), parents)
        return self._packer.pack(first, Replacements(merged, parents), link.skip)

    def _look(self, packets: Packets, frames: Spans, which: Int64s, link: Link) -> None:
        """Count those of the packets `which` that cannot be looked into."""
        layouts = parse_batch(
            frames.take(which),
            link_type=link.kind or "ethernet",
            tunnel_ports=self._options["tunnel_ports"],
            errors="mark",
        )
        self._count_unlooked(packets, which[layouts["outer_version"] == 0], link)

    def _count_unlooked(self, packets: Packets, which: Int64s, link: Link) -> None:
        for some, what, whole in unlooked(packets, link, which, self._options["tunnel_ports"]):
            if what is not None and whole:
                self.result.not_looked_into[what] += len(some)

    def _merge(self, frames: Spans, flows: Any, times: Any, kind: BareLinkType) -> Coalesced:
        return coalesce(
            frames,
            link_type=kind,
            interfaces=flows,
            timestamps=times,
            timeout=(self._timeout or 0) * _NANOSECONDS,
            checksum="complete",
            **self._options,
        )

    def _doubtful(self, frames: Spans, kind: BareLinkType) -> dict[int, tuple[int, str]]:
        """The packets that are not merged as they may be in a tunnel: its port and name.

        A port's only packet is not among them: there is nothing to merge it with.
        """
        if not self._options["udp_gro"]:
            return {}
        ports: TunnelPorts | None = self._options["tunnel_ports"]
        found = tunnels_on_unknown_ports(frames, ports, kind)
        packets = Counter(port for port, _ in found.values())
        return {i: what for i, what in found.items() if packets[what[0]] > 1}

    def _note(self, written: Any, doubtful: dict[int, tuple[int, str]]) -> None:
        """Note the doubtful ones among the packets that are written now, not kept for later."""
        for i in written.tolist() if doubtful else ():
            if i in doubtful:
                self.result.notes.add(looks_like(*doubtful[i]), int(self._numbers[i]))

    def _alone(self, packets: Packets, which: Any) -> Packets:
        """A copy of the packets at the indices `which`, in a buffer of their own."""
        records = take_rows(packets.records, which)
        some = Packets(packets.buffer, records, packets.section, packets.origin)
        buffer = np.frombuffer(self._keeper.pack(some, NOTHING), np.uint8)
        lengths = records["block_length"].astype(np.int64)
        _move(records, np.cumsum(lengths) - lengths - records["block"])
        return Packets(buffer, records, packets.section, packets.origin)

    def _cut(self, packets: Packets, made: Coalesced, times: Any) -> int:
        """The packet from which on packets wait for what follows in the file.

        Every super-packet that begins before it is complete, except where waiting would keep more
        than _MOST_KEPT bytes.
        """
        count, records = len(packets.records), packets.records
        waiting = made.first[made.held]
        if times is not None and self._timeout is not None:
            least = max(int(times[-1]) - self._timeout * _NANOSECONDS, _NOT_A_TIME)
            waiting = waiting[times[waiting] >= least]
        oldest = int(waiting.min(initial=count))
        if oldest == count or _extent(records[oldest], records[-1]) <= _MOST_KEPT:
            return oldest
        kept = np.cumsum(records["block_length"][::-1], dtype=np.int64)
        affordable = count - int(np.searchsorted(kept, _MOST_KEPT, side="right"))
        return max(oldest, affordable)

    @staticmethod
    def _flows(packets: Packets, skip: int) -> Any:
        """A number for each packet, equal for those of one interface and equal skipped bytes.

        Only such packets are merged.
        """
        interfaces = packets.records["interface"].astype(np.int64)
        if not skip:
            return interfaces
        places = packets.records["data"][:, np.newaxis] + np.arange(skip)
        heads = np.take(packets.buffer, places, mode="clip").view(f"V{skip}").ravel()
        _, numbers = np.unique(heads, return_inverse=True)
        return interfaces << 32 | numbers

    def _count(self, counts: Int64s) -> None:
        """Count super-packets of so many packets each."""
        self.result.super_packets += len(counts)
        self.result.merged += int(counts.sum())
        self.result.most_segments = max(self.result.most_segments, int(counts.max(initial=0)))


def _joined(kept: Packets, packets: Packets) -> Packets:
    """Join the packets that were kept and those that follow them."""
    records = join_rows([kept.records, packets.records])
    before, after = records[: len(kept.records)], records[len(kept.records) :]
    between = tuple((at + len(before), block) for at, block in packets.between)
    place = packets.room - len(kept.buffer)
    if place >= 0:
        packets.buffer[place : packets.room] = kept.buffer
        _move(before, place)
        return replace(packets, records=records, between=between, room=0)
    first, last = packets.records[0], packets.records[-1]
    start = int(first["block"])
    stop = start + _extent(first, last)
    shift = len(kept.buffer) - start
    _move(after, shift)
    buffer = np.concatenate([kept.buffer, packets.buffer[start:stop]])
    return Packets(buffer, records, packets.section, packets.origin - shift, between)


def _merged(made: Coalesced, several: Int64s) -> Frames:
    """The super-packets alone, of frames that were merged where they lie."""
    return Frames(made.data.data, np.concatenate([[0], made.offsets[1:][several]]))


def _written(packets: Packets, which: Int64s) -> Packets:
    """The packets at the indices `which`, with the blocks between all packets in their places."""
    between = packets.between
    if between:
        places = np.searchsorted(which, [at for at, _ in between]).tolist()
        between = tuple(zip(places, (block for _, block in between), strict=True))
    if len(which) and which[-1] == len(which) - 1:
        records = packets.records[: len(which)]
    else:
        records = take_rows(packets.records, which)
    return Packets(packets.buffer, records, packets.section, packets.origin, between)


def _extent(first: Any, last: Any) -> int:
    """Bytes from the beginning of one packet's record to the end of another's."""
    return int(last["block"]) + int(last["block_length"]) - int(first["block"])


def _lie_together(packets: Packets) -> bool:
    """Whether there are packets that follow one another in the file, with nothing to spell out."""
    records = packets.records
    if not len(records) or packets.between:
        return False
    if _extent(records[0], records[-1]) != records["block_length"].sum(dtype=np.int64):
        return False
    simple = records["kind"] == SIMPLE_PACKET_BLOCK
    return not (simple.any() and (simple & (records["captured"] < records["original"])).any())


def _divided(flows: Any, packets: Packets) -> Any:
    """Numbers of flows that differ before and after each block between the packets."""
    if not packets.between:
        return flows
    places = [at for at, _ in packets.between]
    stretch = np.searchsorted(places, np.arange(len(flows)), side="right")
    _, numbers = np.unique(np.stack([flows, stretch]), axis=1, return_inverse=True)
    return numbers.ravel().astype(np.int64)


def _move(records: Any, by: Any) -> None:
    for name in ("block", "data"):
        records[name] += by
    # Where there are no options, their place means nothing but has to be within the buffer.
    options = records["options"] + by
    records["options"] = np.where(records["options_length"], options, records["block"])


def coalesce_capture(
    source: Source,
    target: Any,
    *,
    tunnel_ports: TunnelPorts | None = None,
    udp_gro: bool = True,
    fixed_ids: bool = False,
    kernel: KernelVersion = "6.12",
    gro_max_size: int = 65536,
    timeout: int | None = 1000,
    damage: Literal["raise", "report"] = "raise",
    progress: Callable[[int], None] | None = None,
) -> Merged:
    """Copy a capture with segments merged; memory does not depend on its size.

    Super-packets have the timestamp, interface, link-layer header and comment of their first
    segment, and complete checksums. The comments of the others are lost. All other blocks of a
    pcapng file are kept, and so is the format. Segments more than 256 kB apart in the file, or
    with another pcapng block than packets between them, may be left unmerged.

    Args:
        source: path, binary file, or the bytes of one.
        target: path, or binary file, to write to.
        tunnel_ports, udp_gro, fixed_ids, gro_max_size, kernel: as for `gso.coalesce`.
        timeout: most microseconds between the first and the last segment; None for no limit.
        damage: "report" tells of damage that follows packets in the result.
        progress: called now and then with the number of bytes read.

    Raises GsoError for a damaged capture; what precedes the damage has been written by then.
    Raises ValueError for a path of the very file that is read.
    """
    options = {
        "tunnel_ports": tunnel_ports,
        "udp_gro": udp_gro,
        "fixed_ids": fixed_ids,
        "kernel": kernel,
        "gro_max_size": gro_max_size,
    }
    merger = _Merger(timeout, options)
    try:
        merger.result.truncated = copy_capture(
            source,
            target,
            merger.rewrite,
            finish=merger.finish,
            keep=_with_room,
            room=_MOST_KEPT,
            progress=progress,
        )
    except GsoError as error:
        if damage == "raise" or not merger.result.packets:
            raise
        merger.result.damage = str(error)
    return merger.result


def _with_room(block: Block) -> bytes:
    """The block, with a limit on captured bytes raised: readers would cut super-packets off."""
    raw = block.raw
    place = {PCAP_RECORD: 16, INTERFACE_DESCRIPTION: 12}.get(block.kind)
    if place is None:
        return raw
    order = "little" if block.section.order == "<" else "big"
    limit = int.from_bytes(raw[place : place + 4], order)  # type: ignore[arg-type]
    if limit == 0 and block.kind == INTERFACE_DESCRIPTION:
        return raw
    limit = max(limit, _LONGEST_FRAME)
    return raw[:place] + limit.to_bytes(4, order) + raw[place + 4 :]  # type: ignore[arg-type]
