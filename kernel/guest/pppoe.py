"""Make a PPP device of a PPPoE session that nothing was negotiated for.

It needs nothing but Python, so that a script can carry it: ``pppoe.py DEVICE UNDER SESSION MAC``.
The device lives as long as the program.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys

_AF_PPPOX, _PX_PROTO_OE = 24, 0
# linux/ppp-ioctl.h
_GCHAN, _ATTCHAN, _CONNECT = 0x80047437, 0x40047438, 0x4004743A
_NEWUNIT, _SNPMODE, _PASS = 0xC004743E, 0x4008744B, 0
_PROTOCOLS = (0x21, 0x57)  # IPv4 and IPv6, as PPP numbers them
_SIOCSIFNAME = 0x8923

_kept: list[object] = []


def start(device: str, under: str, session: str, mac: str) -> None:
    """Make the device, in this thread's namespace. Raises ``OSError``."""
    channel = socket.socket(_AF_PPPOX, socket.SOCK_STREAM, _PX_PROTO_OE)
    peer = bytes.fromhex(mac.replace(":", ""))
    # struct sockaddr_pppox, packed.
    address = struct.pack("=HI", _AF_PPPOX, _PX_PROTO_OE)
    address += struct.pack("!H6s16s", int(session), peer, under.encode())
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(channel.fileno(), address, len(address)):
        raise OSError(ctypes.get_errno(), f"pppoe: {os.strerror(ctypes.get_errno())}")
    number = struct.unpack("=i", fcntl.ioctl(channel, _GCHAN, bytes(4)))[0]
    attached, unit = (os.open("/dev/ppp", os.O_RDWR) for _ in range(2))
    fcntl.ioctl(attached, _ATTCHAN, struct.pack("=i", number))
    (index,) = struct.unpack("=i", fcntl.ioctl(unit, _NEWUNIT, struct.pack("=i", -1)))
    fcntl.ioctl(attached, _CONNECT, struct.pack("=i", index))
    for protocol in _PROTOCOLS:
        fcntl.ioctl(unit, _SNPMODE, struct.pack("=ii", protocol, _PASS))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        names = struct.pack("16s24s", f"ppp{index}".encode(), device.encode())
        fcntl.ioctl(control, _SIOCSIFNAME, names)
    _kept.extend((channel, attached, unit))


if __name__ == "__main__":
    start(*sys.argv[1:])
    signal.pause()
