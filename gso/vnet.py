"""Batches of packets with virtio headers, read from and written to a file descriptor.

What :class:`gso.tun.Tun` and :class:`gso.packet.PacketSocket` have in common.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, SupportsBytes

import numpy as np

from gso.buffers._frames import Frames, take_frames
from gso.coalescing._coalesce import coalesce
from gso.errors import GsoError
from gso.headers.vnet import VNET_DTYPE
from gso.segmentation.vnet_batch import checked_headers, segment_vnet_batch

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer, Self

    from gso.buffers._frames import Segments
    from gso.headers.links import DeviceLinkType
    from gso.headers.tunnels import TunnelPorts

# GSO_MAX_SIZE (include/linux/netdevice.h) and the link's header; a byte more shows what is longer.
_LONGEST = 8 * 65536 + 64 + 1
_ARENA = 4 << 20
_LONG_HEADER = 24


class VnetDevice(ABC):
    """Packets with virtio headers through a file descriptor.

    It is a context manager, and ``async for frames, headers in device`` reads for ever.

    Attributes:
        link_type: what packets start with, for :func:`gso.parse` and its like.
        header_size: bytes of the virtio header in front of each packet.
    """

    link_type: DeviceLinkType
    header_size: int
    _uso: bool
    """The kernel takes datagrams in super-packets."""

    def __init__(self) -> None:
        self._arena = memoryview(bytearray(_ARENA + _LONGEST))
        self._poll = select.poll()
        self._failed: OSError | None = None

    @abstractmethod
    def fileno(self) -> int:
        """Return the file descriptor, for ``select`` and its like; -1 once it is closed."""

    @abstractmethod
    def close(self) -> None:
        """Close the file descriptor. A second time does nothing."""

    @abstractmethod
    def _receive(self, header: memoryview, room: memoryview) -> int:
        """Read one packet and its header; returns the packet's bytes, BlockingIOError if none."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def read_batch(
        self, limit: int = 64, *, timeout: float | None = None
    ) -> tuple[Frames, npt.NDArray[np.void]]:
        """Wait for a packet, then read what there is.

        Args:
            limit: packets to read at most.
            timeout: seconds to wait for the first; None waits for ever, 0 not at all.

        Returns the packets, super-packets among them, and their virtio headers: :class:`Frames` and
        an array of :data:`gso.VNET_DTYPE` and shape (n,). None of both after `timeout`.
        :meth:`segment` makes of them what goes on a wire.

        Raises OSError as the kernel does, and ValueError for a limit below 1.
        """
        if limit < 1:
            raise ValueError(f"limit is 1 or more, not {limit}")
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            frames, headers = self._read_now(limit)
            if len(frames):
                return frames, headers
            if not self._failed and not self._wait(select.POLLIN, until):
                return frames, headers

    def _read_now(self, limit: int) -> tuple[Frames, npt.NDArray[np.void]]:
        if self._failed:
            error, self._failed = self._failed, None
            raise error
        headers = np.zeros(limit, VNET_DTYPE)
        rows = headers.view(np.uint8).data
        ends, size = [0], self.header_size
        try:
            while len(ends) <= limit and ends[-1] <= _ARENA:
                at = VNET_DTYPE.itemsize * (len(ends) - 1)
                room = self._arena[ends[-1] : ends[-1] + _LONGEST]
                ends.append(ends[-1] + self._fitting(self._receive(rows[at : at + size], room)))
        except BlockingIOError:
            pass
        except OSError as error:
            self._failed = error  # what was read before is handed out first
        return Frames(bytes(self._arena[: ends[-1]]), ends), headers[: len(ends) - 1]

    @staticmethod
    def _fitting(size: int) -> int:
        if size >= _LONGEST:
            raise OSError(errno.EMSGSIZE, f"a packet of {size} bytes or more was cut")
        return size

    def _wait(self, event: int, until: float | None) -> bool:
        """Wait until the descriptor is ready, or the time is over; tells which."""
        left = None if until is None else max(0.0, until - time.monotonic()) * 1000
        self._poll.register(self.fileno(), event)
        return bool(self._poll.poll(left))

    def segment(self, frames: Frames, headers: npt.NDArray[np.void]) -> Segments:
        """Make of what was read the packets that go on a wire: all segmented, all checksums set.

        A packet that the kernel's segmenter would refuse is passed on as it is.

        Raises ValueError for headers of another shape.
        """
        return segment_vnet_batch(
            frames, headers, link_type=self.link_type, errors="pass", source="read"
        )

    def write_batch(
        self,
        frames: Frames | Iterable[Buffer | SupportsBytes],
        headers: npt.NDArray[np.void] | None = None,
        *,
        merge: bool = True,
        tunnel_ports: TunnelPorts | None = None,
    ) -> int:
        """Write packets, merged into super-packets where they belong together.

        Args:
            frames: the packets, n of them, with all checksums set.
            headers: their virtio headers, for packets that are super-packets already, or lack a
                checksum: array of :data:`gso.VNET_DTYPE` and shape (n,). They are written as
                they are.
            merge: coalesce packets as :func:`gso.coalesce` does, as far as the kernel's reader
                understands them.
            tunnel_ports: as for :func:`gso.parse`.

        Returns how many packets, after merging, were written: all of them.

        Raises OSError as the kernel does, with the number of the packet in its message, and
        ValueError for headers of another shape.
        """
        batch = take_frames(frames)
        if headers is not None:
            rows = checked_headers(headers, len(batch))
        elif merge:
            batch, rows = self._merged(batch, tunnel_ports)
        else:
            rows = np.zeros(len(batch), VNET_DTYPE)
        view = np.ascontiguousarray(rows).view(np.uint8).data
        step = VNET_DTYPE.itemsize
        for i, frame in enumerate(batch):
            self._write([view[i * step : i * step + self.header_size], frame], i)
        return len(batch)

    def _write(self, parts: list[memoryview], number: int) -> None:
        while True:
            try:
                os.writev(self.fileno(), parts)
                return
            except BlockingIOError:
                self._wait(select.POLLOUT, None)
            except OSError as error:
                said = f"packet {number} ({len(parts[1])} bytes): {error.strerror}"
                raise OSError(error.errno, said) from None

    def _merged(
        self, frames: Frames, tunnel_ports: TunnelPorts | None
    ) -> tuple[Frames, npt.NDArray[np.void]]:
        """Coalesce; of super-packets that a virtio header cannot describe, the frames stay."""
        merged = coalesce(
            frames, link_type=self.link_type, tunnel_ports=tunnel_ports, udp_gro=self._uso
        )
        # virtio_net_hdr_tnl_to_skb refuses tunnels without an Ethernet header, from TUN devices too
        tunnels = self.header_size >= _LONG_HEADER and self.link_type == "ethernet"
        try:
            return merged, merged.vnet_headers(tunnels=tunnels)
        except GsoError:
            good = merged.describable(tunnels=tunnels)
        whole, apart = np.flatnonzero(good), np.flatnonzero(~good[merged.into])
        order = np.argsort(np.concatenate([merged.first[whole], apart]), kind="stable")
        some = merged[whole]
        rows = np.concatenate([some.vnet_headers(), np.zeros(len(apart), VNET_DTYPE)])
        return Frames.concat([some, frames.take(apart)]).take(order), rows[order]

    async def read_batch_async(self, limit: int = 64) -> tuple[Frames, npt.NDArray[np.void]]:
        """:meth:`read_batch` that lets the event loop run while it waits."""
        while True:
            frames, headers = self.read_batch(limit, timeout=0)
            if len(frames):
                return frames, headers
            await self._readable()

    async def _readable(self) -> None:
        loop, file = asyncio.get_running_loop(), self.fileno()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(file, _set, ready)
        try:
            await ready
        finally:
            loop.remove_reader(file)

    async def __aiter__(self) -> AsyncIterator[tuple[Frames, npt.NDArray[np.void]]]:
        """Yield batches as they come."""
        while True:
            yield await self.read_batch_async()


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
