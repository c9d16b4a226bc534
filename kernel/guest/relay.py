"""Make a TAP device whose frames go to and from another device, super-packets as they are.

So do QEMU and its like with what a machine sends. It needs nothing but Python, so that a script can
carry it: ``relay.py DEVICE UNDER``. The device lives as long as the program.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress

_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_TAP, _NO_PI, _VNET_HDR = 0x0002, 0x1000, 0x4000
# Checksums, TCP of both versions, UDP of both: a kernel before 6.2 knows no UDP.
_OFFLOADS = (0x01 | 0x02 | 0x04 | 0x20 | 0x40, 0x01 | 0x02 | 0x04)
_ALL = 3  # ETH_P_ALL
_SOL_PACKET, _ADD_MEMBERSHIP, _VNET, _IGNORE_OUTGOING = 263, 1, 15, 23
_PROMISCUOUS = 1
_LARGEST = 1 << 18


def start(device: str, under: str) -> None:
    """Make the device, in this thread's namespace, and relay from now on. Raises ``OSError``."""
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _TAP | _NO_PI | _VNET_HDR))
    for offloads in _OFFLOADS:
        with suppress(OSError):
            fcntl.ioctl(tap, _TUNSETOFFLOAD, offloads)
            break
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.setsockopt(_SOL_PACKET, _VNET, 1)
    wire.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    wire.bind((under, _ALL))
    promiscuous = struct.pack("=iHH8s", socket.if_nametoindex(under), _PROMISCUOUS, 0, b"")
    wire.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, promiscuous)
    for way in (_out, _in):
        threading.Thread(target=way, args=(tap, wire), daemon=True).start()


def _out(tap: int, wire: socket.socket) -> None:
    while True:
        frame = os.read(tap, _LARGEST)
        # A device refuses what it cannot take; so does a wire.
        with suppress(OSError):
            wire.send(frame)


def _in(tap: int, wire: socket.socket) -> None:
    while True:
        frame = wire.recv(_LARGEST)
        with suppress(OSError):
            os.write(tap, frame)


if __name__ == "__main__":
    start(*sys.argv[1:])
    signal.pause()
