"""Segmentation of many packets with virtio headers: the usual ones at once, others one by one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Literal, SupportsBytes

import numpy as np

from gso.buffers._frames import Frames, Segments, take_frames
from gso.errors import GsoError
from gso.headers.links import check_device_link
from gso.headers.vnet import VNET_DTYPE
from gso.segmentation._batch import segment_batch_vouched
from gso.segmentation._vnet_batch import (
    CHECKSUM,
    OTHER,
    SEGMENT,
    complete_batch,
    tell_work,
)
from gso.segmentation.virtio import Source, VirtioNetHeader, segment_described

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer

    from gso.headers.links import DeviceLinkType
    from gso.versions import KernelVersion

_FIELDS = tuple(name for name in VNET_DTYPE.names or () if name != "padding")

Checksum = Literal["complete", "partial"]


def segment_vnet_batch(
    frames: Frames | Iterable[Buffer | SupportsBytes],
    headers: npt.NDArray[np.void],
    *,
    link_type: DeviceLinkType = "ethernet",
    checksum: Checksum = "complete",
    errors: Literal["raise", "pass"] = "raise",
    source: Source = "tap",
    kernel: KernelVersion = "6.12",
) -> Segments:
    """:func:`segment_vnet` of each packet, with its virtio header beside it.

    Args:
        frames: the packets, n of them: :class:`Frames`, or a list of buffers.
        headers: their virtio headers, array of :data:`VNET_DTYPE` and shape (n,), as
            :meth:`gso.tun.Tun.read_batch` gives them.
        link_type: "ethernet" (TAP, packet sockets, virtio-net) or "raw" (TUN).
        checksum: "partial" completes none.
        errors: "raise" GsoError for the first packet that is refused, or "pass" such packets on
            unchanged.
        source, kernel: as for :func:`segment_vnet`.

    Returns :class:`Segments`: the segments of all packets, in order, with their ``parent``.

    Raises GsoError with the number of the packet in its message, ValueError for another shape or
    dtype of headers.
    """
    batch = take_frames(frames)
    raw = checked_headers(headers, len(batch)).tobytes()  # the caller's may change meanwhile
    if errors not in ("raise", "pass"):
        raise ValueError(f'errors is "raise" or "pass", not {errors!r}')
    check_device_link(link_type)
    works, asked, supers, plains = tell_work(batch, raw, link_type, kernel)
    if plains == len(batch):
        return _completed(batch, raw, checksum)
    vouched = partial(segment_batch_vouched, link_type=link_type, checksum=checksum, kernel=kernel)
    try:
        if supers == len(batch):
            return vouched(batch, *asked)
        numbers = np.flatnonzero(works == SEGMENT)
        cut = vouched(batch.take(numbers), *asked.take(numbers, axis=1))
    except GsoError:  # which packet, and what is wrong with it, is said below
        works[works == SEGMENT] = OTHER
        cut, numbers = Segments(), np.empty(0, np.int64)
    rows, whole = np.frombuffer(raw, VNET_DTYPE), np.flatnonzero(works == CHECKSUM)
    pieces: list[Frames] = [cut, _completed(batch.take(whole), rows[whole].tobytes(), checksum)]
    parents = [numbers[cut.parent], whole]
    for i in np.flatnonzero(works == OTHER).tolist():
        one = batch[i : i + 1]
        try:
            header = VirtioNetHeader(*(int(rows[i][name]) for name in _FIELDS))
            one = segment_described(
                one[0],
                header,
                link_type=link_type,
                checksum=checksum,
                source=source,
                kernel=kernel,
            )
        except GsoError as error:
            if errors == "raise":
                raise _numbered(error, i) from None
        pieces.append(one)
        parents.append(np.full(len(one), i))
    return in_order(Frames.concat(pieces), np.concatenate(parents))


def checked_headers(headers: npt.NDArray[np.void], n: int) -> npt.NDArray[np.void]:
    """Return the headers if they are of VNET_DTYPE and one for each of `n` packets.

    Raises ValueError if they are not.
    """
    rows = np.asarray(headers)
    if rows.dtype != VNET_DTYPE or rows.shape != (n,):
        raise ValueError(
            f"headers are an array of VNET_DTYPE and shape ({n},), "
            f"not of {rows.dtype} and shape {rows.shape}"
        )
    return rows


def in_order(frames: Frames, parents: npt.NDArray[np.int64]) -> Segments:
    """Sort frames by the packets that they are of, those of one packet as they come."""
    order = np.argsort(parents, kind="stable")
    sorted_frames = frames.take(order)
    return Segments(sorted_frames.data.data, sorted_frames.offsets, parents[order])


def _completed(batch: Frames, raw: bytes, checksum: Checksum) -> Segments:
    if checksum == "partial":
        return Segments(batch.data.data, batch.offsets, np.arange(len(batch)))
    return complete_batch(batch, raw)


def _numbered(error: GsoError, number: int) -> GsoError:
    return GsoError(f"frame {number}: {error}", **vars(error))
