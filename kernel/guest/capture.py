"""Frames with their offload state, from packet sockets that keep the virtio_net_hdr.

The ring (TPACKET_V2) copies each frame the moment it arrives. A plain packet socket would only
keep a reference, and the receiver changes headers in place while it decapsulates
(``fou_recv_pull`` subtracts from the outer total length), so the copy read later would be wrong.
"""

from __future__ import annotations

import mmap
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from .netns import inside
from .records import FRAME, GSO_UDP_L4, VIRTIO_NET_HDR

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 5, 6, 10
_PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 15, 23
_TPACKET_V2 = 1
_TP_STATUS_KERNEL = 0
_TP_STATUS_VLAN_VALID = 1 << 4
_ADDRESSES = 12  # bytes of the two MAC addresses; a VLAN tag follows them
# A slot holds the largest super-packet.
_SLOT_SIZE, _SLOTS = 1 << 17, 256

# struct tpacket2_hdr: status, len, snaplen, mac, net, sec, nsec, vlan_tci, vlan_tpid.
_SLOT_HEADER = struct.Struct("=IIIHHIIHH")


class Tap:
    """A ring of frames from the receive side of one device.

    ``bare``: without a virtio_net_hdr, which has no word for super-packets of SCTP, nor, before
    6.2, for those of UDP (e9dc9ee56bf5 "linux/virtio_net.h: Support USO offload in vnet header"):
    the kernel drops such a packet on its way to a socket that wants the header. So the header
    is written here.
    """

    def __init__(self, namespace: str, device: str, *, bare: bool = False) -> None:
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._next = 0
        self._header = 0 if bare else VIRTIO_NET_HDR.size
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, int(not bare))
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        ring = struct.pack("=IIII", _SLOT_SIZE, _SLOTS, _SLOT_SIZE, _SLOTS)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, ring)
        self._ring = mmap.mmap(self._socket.fileno(), _SLOT_SIZE * _SLOTS)
        with inside(namespace):
            self._socket.bind((device, _ETH_P_ALL))

    def close(self) -> None:
        """Give the ring's memory back."""
        self._ring.close()
        self._socket.close()

    def forget(self) -> None:
        """Pass over all that has arrived, or was lost, so far."""
        for _ in self.arrived():
            pass
        self._lost()

    def drain(self, path: Path, datagram: int) -> int:
        """Write all that has arrived to ``path``; return the count.

        ``datagram``: payload of the UDP datagrams that were sent many at a time, or 0.
        """
        records = []
        for time_ns, header, frame in self.arrived():
            known = header or self._described(frame, datagram)
            records.append(FRAME.pack(time_ns, len(frame)) + known + frame)
        lost = self._lost()
        if lost:
            # A capture with holes would accuse the kernel of drops.
            raise OverflowError(f"the capture ring of {_SLOTS} frames lost {lost}")
        path.write_bytes(b"".join(records))
        return len(records)

    def arrived(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield time, virtio_net_hdr and frame, and free the slots."""
        while True:
            at = self._next * _SLOT_SIZE
            status, length, kept, mac, _, sec, nsec, tci, tpid = _SLOT_HEADER.unpack_from(
                self._ring, at
            )
            if status == _TP_STATUS_KERNEL:
                return
            if kept < length:
                raise OverflowError(f"a frame of {length} bytes, but slots keep {kept}")
            start = at + mac
            header = self._ring[start - self._header : start]
            frame = self._ring[start : start + kept]
            if status & _TP_STATUS_VLAN_VALID:
                tag = struct.pack("!HH", tpid, tci)
                frame = frame[:_ADDRESSES] + tag + frame[_ADDRESSES:]
            struct.pack_into("=I", self._ring, at, _TP_STATUS_KERNEL)
            self._next = (self._next + 1) % _SLOTS
            yield sec * 10**9 + nsec, header, frame

    @staticmethod
    def _described(frame: bytes, datagram: int) -> bytes:
        # No headers here are as long as a datagram's payload is.
        super_packet = 0 < 2 * datagram < len(frame)
        kind, size = (GSO_UDP_L4, datagram) if super_packet else (0, 0)
        return VIRTIO_NET_HDR.pack(0, kind, 0, size, 0, 0)

    def _lost(self) -> int:
        """Return how many frames found the ring full since the last call."""
        counters = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        dropped: int = struct.unpack("=II", counters)[1]
        return dropped
