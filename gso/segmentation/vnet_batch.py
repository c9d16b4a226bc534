"""Segmentation of many packets with virtio headers: the usual ones at once, others one by one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, SupportsBytes

import numpy as np

from gso.buffers._frames import Frames, Segments, take_frames
from gso.constants import L4, GsoType, Tunnel
from gso.errors import GsoError
from gso.headers._layout import parse_batch
from gso.headers.links import check_device_link
from gso.headers.vnet import (
    GSO_BY_FRAGS,
    KINDS,
    TCP_MIN_GSO_SIZE,
    UDP_MAX_SEGMENTS,
    VNET_DTYPE,
    VirtioNetFlags,
    VirtioNetGso,
)
from gso.segmentation._batch import segment_batch_vouched
from gso.segmentation.virtio import Source, VirtioNetHeader, segment_described
from gso.versions import Fact, KernelVersion, facts_of

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer

    from gso.headers.links import DeviceLinkType

_USUAL = (VirtioNetGso.TCPV4, VirtioNetGso.TCPV6, VirtioNetGso.UDP_L4)
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
    rows = checked_headers(headers, len(batch))
    if errors not in ("raise", "pass"):
        raise ValueError(f'errors is "raise" or "pass", not {errors!r}')
    check_device_link(link_type)
    usual, gso_type = _usual(batch, rows, link_type)
    if facts_of(kernel) & Fact.VNET_BEFORE_USO:
        usual &= gso_type != GsoType.UDP_L4
    numbers = np.flatnonzero(usual)
    try:
        cut = segment_batch_vouched(
            batch if usual.all() else batch.take(numbers),
            rows["gso_size"][usual],
            gso_type=gso_type[usual],
            link_type=link_type,
            checksum=checksum,
            kernel=kernel,
        )
    except GsoError:  # which packet, and what is wrong with it, is said below
        usual[:] = False
        cut, numbers = Segments(), np.empty(0, np.int64)
    if usual.all():
        return cut
    pieces: list[Frames] = [cut]
    parents = [numbers[cut.parent]]
    for i in np.flatnonzero(~usual).tolist():
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


def _usual(
    batch: Frames, rows: npt.NDArray[np.void], link_type: DeviceLinkType
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint32]]:
    """Tell which packets are super-packets outside of tunnels that contradict nothing.

    Whether the segmenter takes them it says itself.
    """
    usual = np.zeros(len(batch), bool)
    gso_type = np.zeros(len(batch), np.uint32)
    layouts = parse_batch(batch, link_type=link_type, errors="mark")
    start, size = rows["csum_start"].astype(np.int64), rows["gso_size"].astype(np.int64)
    lengths = batch.lengths
    for word in _USUAL:
        kind, l4, thlen, field = KINDS[word]
        with_ecn = word | VirtioNetGso.ECN if l4 is L4.TCP else word
        payload = lengths - start - thlen
        this = (rows["gso_type"] == word) | (rows["gso_type"] == with_ecn)
        this &= (layouts["l4"] == l4) & (rows["csum_offset"] == field)
        this &= (size >= TCP_MIN_GSO_SIZE) & (payload > size)
        if l4 is L4.UDP:
            this &= payload <= size * UDP_MAX_SEGMENTS
        gso_type[this] = kind
        usual |= this
    usual &= (rows["flags"] & VirtioNetFlags.NEEDS_CSUM) != 0
    usual &= (layouts["tunnel"] == Tunnel.NONE) & (layouts["transport_header"] == start)
    usual &= (rows["hdr_len"] <= lengths) & (size != GSO_BY_FRAGS)
    return usual, gso_type


def _numbered(error: GsoError, number: int) -> GsoError:
    return GsoError(f"frame {number}: {error}", **vars(error))
