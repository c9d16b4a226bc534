"""The wire between director and worker: two TAP devices and a thread that carries the bytes.

Only bytes cross, as on a real cable. A veth would hand over the sk_buff itself with its
metadata: the receiver of a segment with remote checksum offload would then see
``skb->remcsum_offload`` still set by the sender's segmenter and refuse its checksum. A TAP also
offers no offloads, so the kernel's own segmenter has to produce complete frames.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading
import time
from pathlib import Path

from .netns import inside
from .records import FRAME, VIRTIO_NET_HDR

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NAPI, _IFF_NO_PI = 0x0002, 0x0010, 0x1000
_IFF_VNET_HDR = 0x4000
_NO_OFFLOAD = bytes(VIRTIO_NET_HDR.size)  # what is on a wire is complete
_LARGEST_FRAME = 1 << 16


def open_tap(
    namespace: str, device: str, *, napi: bool = False, vnet: bool = False, pages: bool = False
) -> int:
    """Make a TAP device, or open it.

    ``napi``: what is written to it goes through GRO. ``vnet``: a virtio_net_hdr comes first.
    ``pages``: frames up to about 3 KB come in a part of a page, as from network cards, and those
    that GRO merges share it; otherwise each has memory of its own.
    """
    mode = os.O_RDWR | (os.O_NONBLOCK if pages else 0)
    flags = _IFF_TAP | _IFF_NO_PI | (_IFF_NAPI if napi else 0) | (_IFF_VNET_HDR if vnet else 0)
    with inside(namespace):
        descriptor = os.open("/dev/net/tun", mode)
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", device.encode(), flags))
    return descriptor


class Wire:
    """Carries frames both ways and keeps those that leave the ``near`` end, in order."""

    def __init__(self, near: tuple[str, str], far: tuple[str, str]) -> None:
        self._near, self._far = open_tap(*near), open_tap(*far)
        self._records: list[bytes] = []
        self._lock = threading.Lock()
        self._broken: OSError | None = None

    def plug_in(self) -> None:
        """Start to carry; both devices must be up."""
        threading.Thread(target=self._carry, daemon=True).start()

    def _carry(self) -> None:
        try:
            while True:
                ready, _, _ = select.select([self._near, self._far], [], [])
                for descriptor in ready:
                    self._pass_on(descriptor, os.read(descriptor, _LARGEST_FRAME))
        except OSError as error:
            self._broken = error

    def _pass_on(self, descriptor: int, frame: bytes) -> None:
        if descriptor == self._far:
            os.write(self._near, frame)
            return
        record = FRAME.pack(time.time_ns(), len(frame)) + _NO_OFFLOAD + frame
        with self._lock:
            self._records.append(record)
        os.write(self._far, frame)

    def forget(self) -> None:
        """Forget the frames carried so far."""
        self._taken()

    def drain(self, path: Path, _datagram: int) -> int:
        """Write the frames carried since the last call to ``path``; return their count."""
        records = self._taken()
        path.write_bytes(b"".join(records))
        return len(records)

    def _taken(self) -> list[bytes]:
        if self._broken:
            raise self._broken
        with self._lock:
            records, self._records = self._records, []
        return records
