"""Read what the guest recorded: frames, header offsets, drops with their stacks."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gso.kernel import guest_files
from gso.kernel.guest.records import GSO_ECN, NEEDS_CSUM, VIRTIO_NET_HDR, frames

import gso


@dataclass(frozen=True)
class Frame:
    """One captured frame with its ``virtio_net_hdr``; ``gso_size`` 0: not a super-packet."""

    time_ns: int
    gso_size: int
    needs_csum: bool
    data: bytes


def read_frames(path: Path) -> list[Frame]:
    """Read a ``.frames`` file of the guest."""
    with guest_files.understood(path.name):
        return [_frame(*one) for one in frames(guest_files.read(path))]


def _frame(time_ns: int, header: bytes, data: bytes) -> Frame:
    flags, gso_type, _, gso_size, _, _ = VIRTIO_NET_HDR.unpack(header)
    size = gso_size if gso_type & ~GSO_ECN else 0
    return Frame(time_ns, size, bool(flags & NEEDS_CSUM), data)


@dataclass(frozen=True)
class Event:
    """One probe hit: the function and the fields of the sk_buff."""

    time: float
    function: str
    fields: dict[str, int]
    device: str
    head: bytes  # the first bytes at skb->data

    @property
    def tnl_hlen(self) -> int:
        """The tunnel header length as the tunnels' segmenters compute it."""
        return self.fields["inner_mac_header"] - self.fields["transport_header"]


@dataclass(frozen=True)
class Drop:
    """Equal drops: where, why, and the call stack (innermost first)."""

    location: str
    reason: str
    stack: tuple[str, ...]
    count: int

    @property
    def in_segmentation(self) -> bool:
        """Whether the transmit path dropped the packet because it could not be segmented.

        Only what validate_xmit_skb() frees itself: after a success it also releases, deeper in
        its calls, what GRO had chained to the packet. The copy made by the mirror meets the same
        fate on its own device and does not count.
        """
        # Compilers add suffixes to functions that they specialise, such as ".isra.0".
        place = self.location.split(".")[0]
        return place == "validate_xmit_skb" and "tcf_mirred_to_dev" not in self.stack


@dataclass(frozen=True)
class Trace:
    """The probe hits and drops of one cell."""

    events: tuple[Event, ...]
    drops: tuple[Drop, ...]
    segmenter_errors: tuple[int, ...]  # errno values that the segmenter returned

    def at(self, function: str) -> list[Event]:
        """Return the hits of one function, in order."""
        return [event for event in self.events if event.function == function]


_JUDGED = {"transport_header", "inner_mac_header", "inner_network_header"}
"""Fields that every probe records, and that verdicts are made of."""
_MOST_EVENTS = 100_000
"""Of an exchange, many times what it causes; a file of short ones would have millions."""
_LARGEST_ERRNO = -4095  # a pointer is more negative than that: include/linux/err.h


def read_trace(path: Path) -> Trace:
    """Read one cell's ftrace text."""
    with guest_files.understood(path.name):
        return _trace(guest_files.read(path))


def hits(text: bytes) -> Iterator[tuple[gso.Trace, int, str]]:
    """Yield each event of an ftrace text: the rows it is in, its place there, and its line.

    Raises :class:`ValueError` for a text in which lines are divided as ftrace divides none.
    """
    lines = enumerate(io.BytesIO(text), 1)
    number, line = 0, b""
    with gso.TraceReader(io.BytesIO(text), "ftrace") as reader:
        for rows in reader:
            for index, wanted in enumerate(rows.line.tolist()):
                while number < wanted:
                    number, line = next(lines, (0, b""))
                    if not number:
                        raise ValueError("it has fewer lines than it tells of events in")
                yield rows, index, line.decode(errors="replace")


def _trace(text: bytes) -> Trace:
    events: list[Event] = []
    errors: set[int] = set()
    drops: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
    for read, index, line in hits(text):
        if read.returns[index]:
            result = int(read.result[index])
            if _LARGEST_ERRNO <= result < 0:
                errors.add(-result)
        elif read.text("function", index) == "kfree_skb":
            drops[_drop(read, index)] += 1
        else:
            events.append(_event(read, index, line))
        if len(events) + len(drops) > _MOST_EVENTS:
            raise ValueError(f"there are more than {_MOST_EVENTS} events")
    return Trace(
        tuple(events),
        tuple(Drop(*what, count) for what, count in drops.items()),
        tuple(sorted(errors)),
    )


def _drop(read: gso.Trace, index: int) -> tuple[str, str, tuple[str, ...]]:
    stack = read.text("stack", index).split("\n")
    # The tracer's own frames come first.
    own = tuple(name for name in stack if name and not name.startswith("trace_event_raw_event"))
    return read.text("location", index), read.text("reason", index), own


def _event(read: gso.Trace, index: int, line: str) -> Event:
    known = read.skb_state(index).known
    if lacking := _JUDGED - known.keys():
        raise ValueError(f"an event lacks {', '.join(sorted(lacking))}")
    words = re.findall(r"0x[0-9a-f]+", line.partition(" data=")[2])
    return Event(
        int(read.time[index]) / 1e9,
        read.text("function", index),
        {"skb": int(read.skb[index]), **{k: v for k, v in known.items() if k != "tnl_hlen"}},
        read.text("device", index),
        b"".join(int(word, 16).to_bytes(8, "little") for word in words),
    )


# Functions of the kernel that take inner_mac_header for the end of the tunnel's header.
TUNNEL_SEGMENTERS = ("skb_udp_tunnel_segment", "gre_gso_segment")
# The door to all segmenters, and theirs.
SEGMENTERS = ("__skb_gso_segment", *TUNNEL_SEGMENTERS)


@dataclass(frozen=True)
class Cell:
    """The evidence of one traffic through one scenario on one kernel."""

    result: dict[str, Any]
    trace: Trace
    frames: dict[str, list[Frame]]

    @property
    def segmenter_ran(self) -> bool:
        """Whether the kernel's segmenter was entered for the director's egress."""
        return any(self.trace.at(function) for function in SEGMENTERS)

    @property
    def tnl_hlen(self) -> list[int]:
        """The tunnel header lengths that the tunnels' segmenters computed."""
        return sorted({e.tnl_hlen for f in TUNNEL_SEGMENTERS for e in self.trace.at(f)})

    @property
    def segmentation_drops(self) -> int:
        """Packets dropped because they could not be segmented."""
        return sum(drop.count for drop in self.trace.drops if drop.in_segmentation)

    def offsets(self) -> list[dict[str, Any]]:
        """Return the header offsets of one super-packet at each probed function, in order."""
        seen: dict[tuple[str, bool], dict[str, Any]] = {}
        for event in self.trace.events:
            encapsulated = event.fields["inner_network_header"] != 0
            key = (event.function, encapsulated)
            if key not in seen:
                seen[key] = {"function": event.function, "device": event.device, **event.fields}
                if encapsulated:
                    seen[key]["tnl_hlen"] = event.tnl_hlen
        return list(seen.values())

    def summary(self) -> dict[str, Any]:
        """Return the measurements as they go into the report."""
        return {
            **self.result,
            "segmenter_ran": self.segmenter_ran,
            "segmentation_drops": self.segmentation_drops,
            "tnl_hlen": self.tnl_hlen,
            "segmenter_errors": list(self.trace.segmenter_errors),
            "offsets": self.offsets(),
            "drops": [asdict(drop) for drop in self.trace.drops],
        }


def read_cell(
    result: dict[str, Any], folder: Path, kinds: tuple[str, ...] = ("ingress", "mirror", "wire")
) -> Cell:
    """Read the evidence of one cell from the guest's folder, with the frames of these kinds."""
    name = f"{result['scenario']}-{result['traffic']}"
    return Cell(
        result,
        read_trace(folder / f"{name}.trace"),
        {kind: read_frames(folder / f"{name}.{kind}.frames") for kind in kinds},
    )
