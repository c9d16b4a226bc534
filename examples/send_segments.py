"""Send a super-packet's segments without copying its payload.

    python examples/send_segments.py INTERFACE CAPTURED_FRAME.bin GSO_SIZE

Writes to the interface by a packet socket, so it needs CAP_NET_RAW. Every segment is one
``sendmsg`` of two parts: its own headers, and a slice of the super-packet.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import gso

Sendmsg = Callable[[Sequence[memoryview]], int]


def send_segments(sendmsg: Sendmsg, frame: memoryview, gso_size: int) -> int:
    """Hand the segments of `frame` to `sendmsg`, and return how many there were."""
    headers, payload = gso.segment_headers(frame, gso_size)
    for header, (offset, length) in zip(headers, payload.tolist(), strict=True):
        sendmsg([header, frame[offset : offset + length]])
    return len(headers)


def main(interface: str, path: str, gso_size: str) -> None:
    """Send one frame to an interface."""
    frame = memoryview(Path(path).read_bytes())
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((interface, 0))
        print(send_segments(link.sendmsg, frame, int(gso_size)), "segments sent")


if __name__ == "__main__":
    main(*sys.argv[1:])
