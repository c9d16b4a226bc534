"""Write capture files, whole or in batches. Use it through `gso.capture`."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from itertools import pairwise, zip_longest
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames, take_frames
from gso.capture import format as form
from gso.capture._records import (
    ENHANCED_PACKET_BLOCK,
    MAX_BLOCK,
    PCAP_RECORD,
    RECORD_DTYPE,
    pack,
    packed_size,
)
from gso.capture.format import (
    CHUNK,
    MOST_RECORDS,
    Format,
    Int64s,
    Interface,
    Records,
    Source,
    is_path,
)
from gso.capture.options import OPT_COMMENT, Options, pack_options
from gso.capture.whole import Capture
from gso.link_types import link_name, link_number

if TYPE_CHECKING:
    from typing_extensions import Buffer

_LONGEST_SNAPLEN = 262144  # what libpcap and Wireshark accept for most link types


class Writer:
    """Writes a capture file, batch by batch.

    `target` is a path or a binary file. `format` is ``"pcap"`` (nanosecond timestamps) or
    ``"pcapng"``; by default pcap for a path that ends in ``.pcap`` or ``.cap``, else pcapng.
    `interfaces` are the file's interfaces; by default there is one of `link_type`, a name such as
    ``"ethernet"`` or a ``LINKTYPE_`` number. `snaplen` is the pcap header's.
    """

    def __init__(
        self,
        target: Source,
        *,
        format: Format | None = None,
        link_type: str | int = "ethernet",
        interfaces: Sequence[Interface] | None = None,
        snaplen: int = _LONGEST_SNAPLEN,
    ) -> None:
        if interfaces is None:
            interfaces = (Interface(link_name(link_number(link_type))),)
        if format is None:
            format = "pcap" if _suffix(target) in (".pcap", ".cap") else "pcapng"
        if format not in ("pcap", "pcapng"):
            raise ValueError(f"format {format!r}: use 'pcap' or 'pcapng'")
        if format == "pcap" and len(interfaces) != 1:
            raise ValueError(f"a pcap file has one interface, not {len(interfaces)}: use pcapng")
        self.format: Format = format
        self.interfaces = tuple(interfaces)
        self._pending = self._header(snaplen)
        self._target = target
        self._file: Any = None
        self._buffer = np.empty(0, np.uint8)

    def _header(self, snaplen: int) -> bytes:
        if self.format == "pcap":
            return form.PcapHeader.pack(self.interfaces[0], snaplen)
        return b"".join([form.pack_section(), *map(form.pack_interface, self.interfaces)])

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._start()
        self._end()

    def close(self) -> None:
        """Complete the file, and close it if the writer was given its path."""
        self._start()
        self._end()

    def write(
        self,
        frames: Frames | Iterable[Buffer],
        timestamps: npt.ArrayLike | None = None,
        *,
        interface_ids: npt.ArrayLike | None = None,
        comments: Sequence[str | None] | None = None,
        original_lengths: npt.ArrayLike | None = None,
        options: Sequence[Options] | None = None,
    ) -> None:
        """Append frames; the other arguments are as `write_capture` has them."""
        frames = take_frames(frames)
        records = np.zeros(len(frames), RECORD_DTYPE)
        records["kind"] = PCAP_RECORD if self.format == "pcap" else ENHANCED_PACKET_BLOCK
        records["ticks"] = self._ticks(_integers("timestamps", timestamps, len(frames), 0))
        ids = _integers("interface_ids", interface_ids, len(frames), 0)
        _within("interface_ids", ids, 0, len(self.interfaces) - 1)
        records["interface"] = ids
        original = frames.lengths
        if original_lengths is not None:
            original = _integers("original_lengths", original_lengths, len(frames), 0)
        _within("frame lengths", frames.lengths, 0, MAX_BLOCK - 64)
        _within("original_lengths", original, 0, 2**32 - 1)
        records["original"] = original
        packed = self._options(comments or (), options or (), records)
        self._start()
        self._write(frames, records, packed)

    def _start(self) -> None:
        """Open the file, so late that wrong arguments leave an old file alone."""
        if self._file is None:
            target = self._target
            self._file = io.FileIO(target, "w") if is_path(target) else target
        write_all(self._file, self._pending)
        self._pending = b""

    def _end(self) -> None:
        if self._file is not None and self._file is not self._target:
            self._file.close()

    def _ticks(self, timestamps: Int64s) -> npt.NDArray[np.uint64]:
        longest = 2**63 - 1 if self.format == "pcapng" else 2**32 * 10**9 - 1
        _within("timestamps", timestamps, 0, longest)
        if self.format == "pcapng":
            return timestamps.astype(np.uint64)
        seconds, fraction = np.divmod(timestamps, 10**9)
        ticks: Int64s = seconds << 32 | fraction
        return ticks.view(np.uint64)

    def _options(
        self, comments: Sequence[str | None], others: Sequence[Options], records: Records
    ) -> npt.NDArray[np.uint8]:
        """All packets' options as one run of bytes; their places go into `records`."""
        for name, values in (("comments", comments), ("options", others)):
            if len(values) not in (0, len(records)):
                raise ValueError(f"{len(values)} {name} for {len(records)} frames")
            if self.format == "pcap" and any(one not in (None, ()) for one in values):
                raise ValueError(f"a pcap file has no {name}: use pcapng")
        run = bytearray()
        for i, (text, more) in enumerate(zip_longest(comments, others)):
            if text is None and not more:
                continue
            packed = pack_options([*_comment(text), *(more or ())])
            records["options"][i], records["options_length"][i] = len(run), len(packed)
            run += packed
        return np.frombuffer(bytes(run), np.uint8)

    def _write(self, frames: Frames, records: Records, options: npt.NDArray[np.uint8]) -> None:
        data, offsets = frames.data, frames.offsets
        skips = np.zeros(len(self.interfaces), np.uint32)
        # In pieces, so that the memory needed does not grow with the batch.
        cuts = np.searchsorted(offsets, np.arange(0, offsets[-1], CHUNK), "right")
        steps = np.arange(0, len(records), MOST_RECORDS)
        for start, stop in pairwise(np.unique([0, *cuts, *steps, len(records)]).tolist()):
            piece, own = records[start:stop], offsets[start : stop + 1]
            first = np.arange(stop - start + 1)
            need = packed_size(piece, own, first, skips)
            if need > len(self._buffer):
                self._buffer = np.empty(need, np.uint8)
            size = pack(options, piece, data, own, first, skips, not np.little_endian, self._buffer)
            write_all(self._file, self._buffer.data[:size])


def _comment(text: str | None) -> Options:
    return () if text is None else ((OPT_COMMENT, text.encode("utf-8", "backslashreplace")),)


def write_all(file: Any, data: Buffer) -> None:
    """Write every byte: an unbuffered file may take only some at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _suffix(target: Source) -> str:
    return Path(target).suffix.lower() if is_path(target) else ""


def _integers(name: str, values: npt.ArrayLike | None, count: int, default: int) -> Int64s:
    """`values` as int64 of shape (count,)."""
    if values is None:
        return np.full(count, default, np.int64)
    array = np.asarray(values)
    if array.dtype.kind == "M":
        array = array.astype("datetime64[ns]").view(np.int64)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name} are integers, not {array.dtype}")
    if array.shape != (count,):
        raise ValueError(f"{name} of shape {array.shape} for {count} frames")
    if array.dtype == np.uint64:
        _within(name, array, 0, 2**63 - 1)
    return array.astype(np.int64)


def _within(name: str, values: npt.NDArray[Any], least: int, most: int) -> None:
    if values.size and not least <= values.min() <= values.max() <= most:
        wrong = values.min() if values.min() < least else values.max()
        raise ValueError(f"{name}: {wrong} is not within {least} to {most}")


def write_capture(
    target: Source,
    frames: Frames | Capture | Iterable[Buffer],
    timestamps: npt.ArrayLike | None = None,
    *,
    link_type: str | int = "ethernet",
    interfaces: Sequence[Interface] | None = None,
    interface_ids: npt.ArrayLike | None = None,
    comments: Sequence[str | None] | None = None,
    original_lengths: npt.ArrayLike | None = None,
    options: Sequence[Options] | None = None,
    format: Format | None = None,
) -> None:
    """Write frames to a pcap or pcapng file, replacing it.

    Args:
        target: path or binary file.
        frames: a `Frames`, or buffers; or a `Capture`, whose times, interfaces, comments,
            lengths and, for pcapng, options are then the defaults of the other arguments.
        timestamps: nanoseconds since 1970 (or datetime64), shape (n,); 0 by default.
        link_type: name or ``LINKTYPE_`` number of the one interface, if `interfaces` is not given.
        interfaces: the file's interfaces, for names, several of them, or other link types.
        interface_ids: index into `interfaces` for each frame, shape (n,); 0 by default.
        comments: text or None for each frame (pcapng only).
        original_lengths: bytes that each packet had on the wire, shape (n,); if less than the
            frame has, and by default, the frame's own length.
        options: code and value of each frame's other options, as `Capture` has them (pcapng only).
        format: ``"pcap"`` (with nanoseconds) or ``"pcapng"``; by default pcap for a name that
            ends in ``.pcap`` or ``.cap``, else pcapng.

    Raises ValueError or TypeError, before it writes anything, for arguments that do not fit.
    """
    kept: Sequence[Options] = ()
    if isinstance(frames, Capture):
        capture, frames = frames, frames.frames
        kept = capture.options
        timestamps = capture.timestamps if timestamps is None else timestamps
        interfaces = capture.interfaces if interfaces is None else interfaces
        interface_ids = capture.interface_ids if interface_ids is None else interface_ids
        comments = capture.comments if comments is None else comments
        if original_lengths is None:
            original_lengths = capture.original_lengths
    frames = take_frames(frames)
    longest = max([_LONGEST_SNAPLEN, *frames.lengths.max(initial=0, keepdims=True).tolist()])
    with Writer(
        target, format=format, link_type=link_type, interfaces=interfaces, snaplen=longest
    ) as writer:
        writer.write(
            frames,
            timestamps,
            interface_ids=interface_ids,
            comments=comments,
            original_lengths=original_lengths,
            options=kept if options is None and writer.format == "pcapng" else options,
        )
