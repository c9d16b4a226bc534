"""A whole capture in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, SupportsBytes, overload

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames, Segments, as_numbers, take_frames
from gso.capture.format import Format, Int64s, Interface
from gso.capture.options import Options
from gso.html import MOST_ROWS, html_table
from gso.printable import plural

if TYPE_CHECKING:
    from typing_extensions import Buffer


@dataclass(frozen=True, eq=False, repr=False)
class Capture:
    """Captured packets.

    Attributes:
        frames: the packets' bytes.
        timestamps: nanoseconds since 1970-01-01 UTC, int64, shape (n,). A time that does not fit,
            past the year 2262, is ``-2**63``, NumPy's NaT.
        interfaces: every interface that the file describes (one for pcap).
        interface_ids: index into `interfaces` of each packet, int64, shape (n,).
        original_lengths: each packet's bytes on the wire, more than the frame has if the capture
            cut it (snaplen); int64, shape (n,).
        comments: each packet's comment or None; lines of text where there are several.
        format: ``"pcap"`` or ``"pcapng"``.
        truncated: what the file's end lacks, if its last record is cut off.
        options: code and value of each packet's other pcapng options, such as flags and verdicts;
            numbers are little-endian. Empty if no packet has one.
    """

    frames: Frames
    timestamps: Int64s
    interfaces: tuple[Interface, ...]
    interface_ids: Int64s
    original_lengths: Int64s
    comments: Sequence[str | None]
    format: Format = "pcapng"
    truncated: str | None = None
    options: Sequence[Options] = ()

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        packets = plural(len(self), "packet")
        return f"<gso.Capture: {packets}, {self.frames.nbytes} bytes, {self.format}>"

    def _repr_html_(self) -> str:
        """For notebooks: the first packets."""
        head = ("packet", "time", "link type", "captured", "on the wire", "comment")
        rows = (self._row(i) for i in range(min(len(self), MOST_ROWS)))
        return html_table(repr(self), head, rows, len(self))

    def _row(self, i: int) -> tuple[object, ...]:
        interface = self.interfaces[int(self.interface_ids[i])]
        time = self.timestamps[i].astype("datetime64[ns]")
        sizes = len(self.frames[i]), self.original_lengths[i]
        return i, time, interface.link_type, *sizes, self.comments[i] or ""

    @overload
    def __getitem__(self, key: int) -> memoryview: ...
    @overload
    def __getitem__(self, key: slice | npt.ArrayLike) -> Capture: ...
    def __getitem__(self, key: Any) -> memoryview | Capture:
        """The bytes of one packet; or a capture of some, by a slice, a mask or their numbers."""
        if isinstance(key, slice) or hasattr(key, "__len__"):
            return self.take(np.arange(len(self))[key])
        packet: memoryview = self.frames[key]
        return packet

    def take(self, indices: npt.ArrayLike) -> Capture:
        """A capture of the packets with these numbers, in this order, each with all it has."""
        numbers = as_numbers(indices)
        return self._with(self.frames.take(numbers), numbers)

    def _with(self, frames: Frames, numbers: Int64s) -> Capture:
        """Frames with all else that the packets with these numbers have."""
        return replace(
            self,
            frames=frames,
            timestamps=self.timestamps[numbers],
            interface_ids=self.interface_ids[numbers],
            original_lengths=self.original_lengths[numbers],
            comments=[self.comments[i] for i in numbers.tolist()],
            options=[self.options[i] for i in numbers.tolist()] if self.options else (),
        )

    def with_frames(
        self,
        frames: Frames | Iterable[Buffer | SupportsBytes],
        parent: npt.ArrayLike | None = None,
    ) -> Capture:
        """A capture of other frames, with the times and interfaces of the packets they came from.

        Args:
            frames: the new frames.
            parent: the packet that each came from, int64, shape (len(frames),); by default what
                `gso.Segments` say, else one frame for each packet.

        The first frame of a packet has its comment and options, too. What was cut off a packet when
        it was captured is still missing in a frame of the same length.

        Raises ValueError if the numbers are not as many as the frames.
        """
        frames = take_frames(frames)
        if parent is None:
            parent = frames.parent if isinstance(frames, Segments) else np.arange(len(self))
        numbers = np.asarray(parent, np.int64)
        if numbers.shape != (len(frames),):
            raise ValueError(f"{len(frames)} frames, and packets of shape {numbers.shape} for them")
        made = self._with(frames, numbers)
        first = np.diff(numbers, prepend=numbers[:1] - 1) != 0
        same = self.frames.lengths[numbers] == frames.lengths
        return replace(
            made,
            original_lengths=np.where(same, made.original_lengths, frames.lengths),
            comments=_at(first, made.comments, None),
            options=_at(first, made.options, ()) if made.options else (),
        )

    def to_arrow(self) -> Any:
        """A pyarrow Table with a row for each packet; see :mod:`gso.capture.arrow`."""
        from gso.capture.arrow import table  # noqa: PLC0415  (needs pyarrow)

        interfaces = [self.interfaces[i] for i in self.interface_ids.tolist()]
        return table(self.frames, self.timestamps, interfaces, self.original_lengths, self.comments)

    @classmethod
    def from_arrow(cls, table: Any) -> Capture:
        """A capture of a table such as :meth:`to_arrow` makes; see :mod:`gso.capture.arrow`."""
        from gso.capture.arrow import columns  # noqa: PLC0415  (needs pyarrow)

        return cls(*columns(table))

    @property
    def link_type(self) -> str:
        """The link type of all frames (``"ethernet"``, ``"raw"``...), or ``"mixed"``."""
        used = np.unique(self.interface_ids) if len(self) else range(len(self.interfaces))
        types = {self.interfaces[i].link_type for i in used}
        return types.pop() if len(types) == 1 else "mixed" if types else "ethernet"


def _at(chosen: npt.NDArray[np.bool_], values: Sequence[Any], other: Any) -> list[Any]:
    """The chosen values, and another in the place of the rest."""
    return [value if own else other for value, own in zip(values, chosen, strict=True)]
