"""Let a device have larger super-packets of both IP versions; iproute2 can from 6.3 on.

It needs nothing but Python, so that a script can carry it: ``sizes.py DEVICE BYTES``.
"""

from __future__ import annotations

import socket
import struct
import sys

_RTM_SETLINK = 19
_SIZES = {
    "IFLA_GSO_MAX_SIZE": 41,
    "IFLA_GRO_MAX_SIZE": 58,
    "IFLA_GSO_IPV4_MAX_SIZE": 63,
    "IFLA_GRO_IPV4_MAX_SIZE": 64,
}
"""Those for IPv4 came with 6.3; older kernels read over them."""


def set_link(index: int, attribute: int, value: int) -> bytes:
    """Return the message of rtnetlink that sets an attribute of 32 bits of a device."""
    message = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0)  # struct ifinfomsg
    message += struct.pack("=HHI", 8, attribute, value)
    return struct.pack("=IHHII", 16 + len(message), _RTM_SETLINK, 1, 0, 0) + message


def start(device: str, size: str) -> None:
    """Set all sizes of the device, in this thread's namespace. Raises ``OSError``."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as links:
        for attribute in _SIZES.values():
            links.send(set_link(socket.if_nametoindex(device), attribute, int(size)))


if __name__ == "__main__":
    start(*sys.argv[1:])
