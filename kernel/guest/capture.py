"""Frames with their offload state, from packet sockets that keep the virtio_net_hdr.

The ring (TPACKET_V2) copies each frame the moment it arrives. A plain packet socket would only
keep a reference, and the receiver changes headers in place while it decapsulates
(``fou_recv_pull`` subtracts from the outer total length), so the copy read later would be wrong.
"""

from __future__ import annotations

import mmap
import socket
import struct
from pathlib import Path

from .netns import inside

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 5, 6, 10
_PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 15, 23
_TPACKET_V2 = 1
_TP_STATUS_KERNEL = 0
_VNET_HDR_LENGTH = 10
# A slot holds the largest super-packet.
_SLOT_SIZE, _SLOTS = 1 << 17, 512

# struct tpacket2_hdr: status, len, snaplen, mac, net, sec, nsec.
_SLOT_HEADER = struct.Struct("=IIIHHII")

# A record of a .frames file: time in ns, length of the frame; then virtio_net_hdr and frame.
RECORD = struct.Struct("<QI")


class Tap:
    """A ring of frames from the receive side of one device."""

    def __init__(self, namespace: str, device: str) -> None:
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._next = 0
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        ring = struct.pack("=IIII", _SLOT_SIZE, _SLOTS, _SLOT_SIZE, _SLOTS)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, ring)
        self._ring = mmap.mmap(self._socket.fileno(), _SLOT_SIZE * _SLOTS)
        with inside(namespace):
            self._socket.bind((device, _ETH_P_ALL))

    def drain(self, path: Path | None) -> int:
        """Write all that has arrived to ``path`` (``None``: forget it); return the count."""
        records: list[bytes] = []
        while True:
            at = self._next * _SLOT_SIZE
            status, length, kept, mac, _, sec, nsec = _SLOT_HEADER.unpack_from(self._ring, at)
            if status == _TP_STATUS_KERNEL:
                break
            if kept < length:
                raise OverflowError(f"a frame of {length} bytes, but slots keep {kept}")
            start = at + mac
            frame = self._ring[start - _VNET_HDR_LENGTH : start + kept]
            records.append(RECORD.pack(sec * 10**9 + nsec, kept) + frame)
            struct.pack_into("=I", self._ring, at, _TP_STATUS_KERNEL)
            self._next = (self._next + 1) % _SLOTS
        self._complain_if_lost()
        if path is not None:
            path.write_bytes(b"".join(records))
        return len(records)

    def _complain_if_lost(self) -> None:
        """Fail on overflow: a capture with holes would accuse the kernel of drops."""
        counters = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        _, dropped = struct.unpack("=II", counters)
        if dropped:
            raise OverflowError(f"the capture ring of {_SLOTS} frames lost {dropped}")
