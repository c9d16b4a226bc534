"""Make a TAP device whose frames go to and from another device, super-packets as they are.

So do QEMU and its like with what a machine sends. A TUN device has packets without Ethernet, as
those of VPNs; they get a header that no machine but the other relay looks at. It needs nothing but
Python, so that a script can carry it: ``relay.py DEVICE UNDER [tun]``. The device lives as long as
the program.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_KINDS = {"tun": 0x0001, "tap": 0x0002}
_NO_PI, _VNET_HDR = 0x1000, 0x4000
# Checksums, TCP of both versions, UDP of both: a kernel before 6.2 knows no UDP.
_OFFLOADS = (0x01 | 0x02 | 0x04 | 0x20 | 0x40, 0x01 | 0x02 | 0x04)
_ALL = 3  # ETH_P_ALL
_SOL_PACKET, _ADD_MEMBERSHIP, _VNET, _IGNORE_OUTGOING = 263, 1, 15, 23
_PROMISCUOUS = 1
_LARGEST = 1 << 18
_RECEIVE_FORCE, _HELD = 33, 1 << 24  # SO_RCVBUFFORCE; bytes that wait until they are read
# struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
_HEADER = struct.Struct("=BBHHHH")
_NEEDS_CSUM = 1
# To and from MAC addresses that no machine has.
_ETHERNET = bytes.fromhex("0200000000fe0200000000ff")
_TYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}


def start(device: str, under: str, kind: str = "tap") -> None:
    """Make the device, in this thread's namespace, and relay from now on. Raises ``OSError``."""
    tap = os.open("/dev/net/tun", os.O_RDWR)
    flags = _KINDS[kind] | _NO_PI | _VNET_HDR
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", device.encode(), flags))
    for offloads in _OFFLOADS:
        with suppress(OSError):
            fcntl.ioctl(tap, _TUNSETOFFLOAD, offloads)
            break
    wire = _wire(under)
    changes = (_framed, _bare) if kind == "tun" else (bytes, bytes)
    for way, change in zip((_out, _in), changes, strict=True):
        threading.Thread(target=way, args=(tap, wire, change), daemon=True).start()


def _wire(under: str) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.setsockopt(_SOL_PACKET, _VNET, 1)
    wire.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    # A window of BIG TCP comes at once, and what has no room is dropped.
    wire.setsockopt(socket.SOL_SOCKET, _RECEIVE_FORCE, _HELD)
    wire.bind((under, _ALL))
    promiscuous = struct.pack("=iHH8s", socket.if_nametoindex(under), _PROMISCUOUS, 0, b"")
    wire.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, promiscuous)
    return wire


def _out(tap: int, wire: socket.socket, change: Callable[[bytes], bytes]) -> None:
    while True:
        frame = change(os.read(tap, _LARGEST))
        # A device refuses what it cannot take; so does a wire.
        with suppress(OSError):
            wire.send(frame)


def _in(tap: int, wire: socket.socket, change: Callable[[bytes], bytes]) -> None:
    while True:
        frame = change(wire.recv(_LARGEST))
        with suppress(OSError):
            os.write(tap, frame)


def _framed(packet: bytes) -> bytes:
    """Return a packet of a TUN device with an Ethernet header."""
    ether = _ETHERNET + _TYPES.get(packet[_HEADER.size] >> 4, _TYPES[4])
    return _moved(packet, len(ether)) + ether + packet[_HEADER.size :]


def _bare(frame: bytes) -> bytes:
    """Return a frame without its Ethernet header; nothing where it is not the other relay's."""
    length = len(_ETHERNET) + 2
    if frame[_HEADER.size :][: len(_ETHERNET)] != _ETHERNET:
        return b""
    return _moved(frame, -length) + frame[_HEADER.size + length :]


def _moved(packet: bytes, by: int) -> bytes:
    """Return the packet's virtio_net_hdr for one whose headers begin so many bytes later."""
    flags, kind, length, size, start, offset = _HEADER.unpack_from(packet)
    start += by * (flags & _NEEDS_CSUM)
    return _HEADER.pack(flags, kind, max(length + by, 0) if length else 0, size, start, offset)


if __name__ == "__main__":
    start(*sys.argv[1:])
    signal.pause()
