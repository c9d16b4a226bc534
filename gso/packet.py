"""Packet sockets that take and give super-packets.

    from gso.packet import PacketSocket

    with PacketSocket("eth0") as link:
        frames, headers = link.read_batch()      # as GRO left them, up to 64 KiB
        wire = link.segment(frames, headers)     # what was on the wire
        link.write_batch(frames)                 # merged, for the device to segment

It needs CAP_NET_RAW. Kernel: net/packet/af_packet.c (packet_rcv_vnet, packet_snd).
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
from typing import TYPE_CHECKING

import numpy as np

from gso.buffers._frames import Frames
from gso.constants import Tunnel
from gso.headers._layout import parse_batch
from gso.headers.vnet import VNET_DTYPE, VirtioNetFlags
from gso.segmentation._batch import segment_batch
from gso.segmentation.vnet_batch import checked_headers, in_order
from gso.vnet import VnetDevice

if TYPE_CHECKING:
    import numpy.typing as npt

    from gso.buffers._frames import Segments

__all__ = ["PacketSocket"]

_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_AUXDATA, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 8, 15, 23
_AUXDATA = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata (linux/if_packet.h)
_TP_STATUS_VLAN_VALID, _TP_STATUS_VLAN_TPID_VALID = 0x10, 0x40
_ETH_P_8021Q = 0x8100
_MAC_ADDRESSES, _VLAN_HLEN = 12, 4
_HEADER_SIZE = 10
_LOST = (
    "a super-packet is lost, for which this kernel's virtio headers have no word: UDP came with "
    "Linux 6.2 (ethtool -K SENDER tx-udp-segmentation off)"
)
_WITH_USO = (6, 2)  # 860b7f27b8f7 ("linux/virtio_net.h: Support USO offload in vnet header.")


class PacketSocket(VnetDevice):
    """All frames of an Ethernet device, with virtio headers.

    A VLAN tag that the device took off is put back where it was.

    Args:
        device: the name of an interface.
        outgoing: see also what this host sends through the device.
        protocol: an Ethernet type; the default is all.

    Raises OSError that says what is missing: the capability, the device, or the kernel's option.

    Attributes:
        device: as asked for.
    """

    def __init__(self, device: str, *, outgoing: bool = False, protocol: int = _ETH_P_ALL) -> None:
        super().__init__()
        self.link_type = "ethernet"
        self.header_size = _HEADER_SIZE
        self._uso = _kernel() >= _WITH_USO
        self.device = device
        self._socket = _open(device)
        try:
            self._set(_PACKET_VNET_HDR, 1, "packet sockets without virtio headers")
            self._set(_PACKET_AUXDATA, 1, "packet sockets without auxiliary data")
            if not outgoing:
                self._set(_PACKET_IGNORE_OUTGOING, 1, "no PACKET_IGNORE_OUTGOING (Linux 4.20)")
            self._bind(protocol)
        except BaseException:
            self.close()
            raise

    def _set(self, option: int, value: int, lacking: str) -> None:
        try:
            self._socket.setsockopt(_SOL_PACKET, option, value)
        except OSError as error:
            raise OSError(error.errno, f"this kernel has {lacking}: {error.strerror}") from None

    def _bind(self, protocol: int) -> None:
        try:
            self._socket.bind((self.device, protocol))
        except OSError as error:
            raise OSError(error.errno, f"{self.device}: {error.strerror}") from None

    def segment(self, frames: Frames, headers: npt.NDArray[np.void]) -> Segments:
        """Make of what was read the packets that go on a wire: all segmented, all checksums set.

        A header of 10 bytes has no word for tunnels: that of a super-packet in a tunnel names the
        inner kind only (virtio_net_hdr_from_skb). The packet itself tells the rest.

        Raises ValueError for headers of another shape.
        """
        rows, layouts = checked_headers(headers, len(frames)), parse_batch(frames, errors="mark")
        sizes = rows["gso_size"]
        inside = (sizes != 0) & (layouts["tunnel"] != Tunnel.NONE)
        # Else it is the outer UDP packet that is segmented, whatever its payload looks like
        inside &= rows["csum_start"] > layouts["transport_header"]
        if not inside.any():
            return super().segment(frames, headers)
        within, beside = np.flatnonzero(inside), np.flatnonzero(~inside)
        cut = segment_batch(frames.take(within), sizes[within], errors="pass")
        rest = super().segment(frames.take(beside), headers[beside])
        parents = np.concatenate([within[cut.parent], beside[rest.parent]])
        return in_order(Frames.concat([cut, rest]), parents)

    def fileno(self) -> int:
        """Return the file descriptor, -1 once it is closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __repr__(self) -> str:
        return f"<gso.packet.PacketSocket: {self.device}>"

    def _receive(self, header: memoryview, room: memoryview) -> int:
        flags = socket.MSG_DONTWAIT | socket.MSG_TRUNC
        space = socket.CMSG_SPACE(_AUXDATA.size)
        try:
            size, extra, _, _ = self._socket.recvmsg_into([header, room], space, flags)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise OSError(error.errno, f"{self.device}: {_LOST}") from None
            raise
        size -= len(header)
        if size < 0:
            raise OSError(errno.EIO, f"{size + len(header)} bytes without a virtio header")
        tag = _vlan_tag(extra)
        if tag and _MAC_ADDRESSES <= size < len(room) - _VLAN_HLEN:
            room[_MAC_ADDRESSES + _VLAN_HLEN : size + _VLAN_HLEN] = bytes(room[_MAC_ADDRESSES:size])
            room[_MAC_ADDRESSES : _MAC_ADDRESSES + _VLAN_HLEN] = tag
            _shift(header)
            size += _VLAN_HLEN
        return size


def _open(device: str) -> socket.socket:
    try:
        # Without a protocol nothing arrives before it is bound to the device
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            said = "CAP_NET_RAW in this network namespace is missing"
        elif error.errno == errno.EAFNOSUPPORT:
            said = "this kernel has no packet sockets: modprobe af_packet (CONFIG_PACKET)"
        else:
            said = str(error.strerror)
        raise OSError(error.errno, f"{device}: {said}") from None


def _kernel() -> tuple[int, int]:
    major, minor = re.findall(r"\d+", os.uname().release)[:2]
    return int(major), int(minor)


def _vlan_tag(extra: list[tuple[int, int, bytes]]) -> bytes:
    """Return the four bytes of the VLAN tag that is beside the frame, none if there is none."""
    for level, kind, data in extra:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA) and len(data) >= _AUXDATA.size:
            status, *_, tci, tpid = _AUXDATA.unpack_from(data)
            if status & _TP_STATUS_VLAN_VALID:
                tpid = tpid if status & _TP_STATUS_VLAN_TPID_VALID else _ETH_P_8021Q
                return struct.pack(">HH", tpid, tci)
    return b""


def _shift(header: memoryview) -> None:
    """Move what the header says of offsets after a tag of four bytes."""
    whole = np.zeros(1, VNET_DTYPE)
    raw = whole.view(np.uint8).data
    raw[: len(header)] = header
    if whole["hdr_len"][0]:
        whole["hdr_len"] += np.uint16(_VLAN_HLEN)
    if whole["flags"][0] & VirtioNetFlags.NEEDS_CSUM:
        whole["csum_start"] += np.uint16(_VLAN_HLEN)
    header[:] = raw[: len(header)]
