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
from gso.segmentation.virtio import Source, VirtioNetHeader, completed_sum, segment_described
from gso.versions import Fact, KernelVersion, facts_of

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer

    from gso.headers.links import DeviceLinkType

_LEAST_IP_HLEN = 20
# As integers: an attribute of an enumeration takes as long as an operation on a small array
_NEEDS_CSUM, _NO_TUNNEL = int(VirtioNetFlags.NEEDS_CSUM), int(Tunnel.NONE)
_UDP_L4 = int(GsoType.UDP_L4)
_FIELDS = tuple(name for name in VNET_DTYPE.names or () if name != "padding")

Checksum = Literal["complete", "partial"]


def _kinds() -> npt.NDArray[np.void]:
    """By the gso_type of a virtio header: what the usual super-packets have, zeros for others."""
    fields = [("gso_type", "u4"), ("l4", "u1"), ("thlen", "i8"), ("check", "u2"), ("most", "i8")]
    table = np.zeros(256, fields)
    for word in (VirtioNetGso.TCPV4, VirtioNetGso.TCPV6, VirtioNetGso.UDP_L4):
        kind, l4, thlen, check = KINDS[word]
        most = UDP_MAX_SEGMENTS if l4 is L4.UDP else 1 << 16
        table[int(word)] = (kind, l4, thlen, check, most)
        if l4 is L4.TCP:
            table[int(word | VirtioNetGso.ECN)] = table[int(word)]
    return table


_KINDS = _kinds()


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
        usual &= gso_type != _UDP_L4
    plain = _plain(batch.lengths, rows)
    if plain.all():
        done = _completed(batch, rows, plain, checksum)
        return Segments(done.data.data, done.offsets, np.arange(len(batch)))
    numbers = np.flatnonzero(usual)
    try:
        cut = segment_batch_vouched(
            batch if len(numbers) == len(batch) else batch.take(numbers),
            rows["gso_size"][usual],
            gso_type=gso_type[usual],
            link_type=link_type,
            checksum=checksum,
            kernel=kernel,
        )
    except GsoError:  # which packet, and what is wrong with it, is said below
        usual[:] = False
        cut, numbers = Segments(), np.empty(0, np.int64)
    if len(numbers) == len(batch):
        return cut
    pieces: list[Frames] = [cut, _completed(batch, rows, plain, checksum)]
    parents = [numbers[cut.parent], np.flatnonzero(plain)]
    for i in np.flatnonzero(~(usual | plain)).tolist():
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
    word, start = rows["gso_type"], rows["csum_start"]
    size, lengths = rows["gso_size"].astype(np.int64), batch.lengths
    layouts = parse_batch(batch, link_type=link_type, errors="mark")
    kinds = _KINDS[word]
    payload = lengths - start - kinds["thlen"]
    usual = (layouts["l4"] == kinds["l4"]) & (rows["csum_offset"] == kinds["check"])
    usual &= (size >= TCP_MIN_GSO_SIZE) & (size != GSO_BY_FRAGS)
    usual &= (payload > size) & (payload <= size * kinds["most"])
    usual &= (rows["flags"] & _NEEDS_CSUM != 0) & (rows["hdr_len"] <= lengths)
    usual &= (layouts["tunnel"] == _NO_TUNNEL) & (layouts["transport_header"] == start)
    return usual, np.where(usual, kinds["gso_type"], np.uint32(0))


def _plain(lengths: npt.NDArray[np.int64], rows: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Tell which packets are to leave as they are, but for a checksum, and contradict nothing."""
    plain = (rows["gso_type"] == 0) & (rows["hdr_len"] <= lengths)
    start = rows["csum_start"].astype(np.int64)
    summed = (start >= _LEAST_IP_HLEN) & (start + rows["csum_offset"] + 2 <= lengths)
    return np.asarray(plain & ((rows["flags"] & _NEEDS_CSUM == 0) | summed))


def _completed(
    batch: Frames, rows: npt.NDArray[np.void], chosen: npt.NDArray[np.bool_], checksum: Checksum
) -> Frames:
    """Some packets, with the checksums that they lack (skb_checksum_help)."""
    some, rows = batch.take(np.flatnonzero(chosen)), rows[chosen]
    lacking = np.flatnonzero(rows["flags"] & _NEEDS_CSUM)
    if checksum == "partial" or not len(lacking):
        return some
    data = bytearray(some.data)
    view = memoryview(data)
    starts = some.offsets[lacking] + rows["csum_start"][lacking]
    places = starts + rows["csum_offset"][lacking]
    for start, at, end in zip(
        starts.tolist(), places.tolist(), some.offsets[lacking + 1].tolist(), strict=True
    ):
        value = completed_sum(view[start:end])
        data[at : at + 2] = value.to_bytes(2, "big")
    return Frames(data, some.offsets)


def _numbered(error: GsoError, number: int) -> GsoError:
    return GsoError(f"frame {number}: {error}", **vars(error))
