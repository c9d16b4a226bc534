"""The example's GUE gateway without segmentation offloads: each packet goes alone.

    python one_by_one.py LOCAL REMOTE        (the example's arguments)

The TUN device gives and takes packets that fit its MTU, and so does the UDP socket.
"""

from __future__ import annotations

import functools
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import gue_gateway

from gso.tun import Tun


class OneByOne(gue_gateway.Gateway):
    """One end of the tunnel."""

    def __init__(self, tun: Tun, udp: socket.socket, remote: str, port: int) -> None:
        super().__init__(tun, udp, remote, port)
        tun.write_batch = functools.partial(tun.write_batch, merge=False)  # type: ignore[method-assign]
        udp.setsockopt(socket.SOL_UDP, gue_gateway.UDP_GRO, 0)


def main() -> None:
    """Run one end."""
    patched: dict[str, Any] = {
        "MAX_SEGMENTS": 1,
        "Gateway": OneByOne,
        "Tun": functools.partial(Tun, offloads=False),
    }
    vars(gue_gateway).update(patched)
    gue_gateway.main()


if __name__ == "__main__":
    main()
