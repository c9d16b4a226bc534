"""Hold a UDP socket that hands ESP to IPsec, as a daemon of IKE does: the kernel asks for one.

It needs nothing but Python, so that a script can carry it: ``espinudp.py ADDRESS PORT``. Packets
are taken as long as the program lives.
"""

from __future__ import annotations

import signal
import socket
import sys

_UDP_ENCAP, _ESP_IN_UDP = 100, 2  # linux/udp.h

_kept: list[socket.socket] = []


def start(address: str, port: str) -> None:
    """Take ESP in UDP from now on, in this thread's namespace. Raises ``OSError``."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    taker = socket.socket(family, socket.SOCK_DGRAM)
    taker.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _ESP_IN_UDP)
    taker.bind((address, int(port)))
    _kept.append(taker)


if __name__ == "__main__":
    start(*sys.argv[1:])
    signal.pause()
