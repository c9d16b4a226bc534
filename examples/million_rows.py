"""Find the headers of a million packets, and count what is in them with NumPy."""

from __future__ import annotations

import sys

import numpy as np

import gso

PACKET = bytes.fromhex("020000000002 020000000001 0800 4500001c00010000401100000a0000010a000002")


def main(count: str = "1000000") -> None:
    """Parse packets to port 6080 (GUE) and to others, and tell how many of each there are."""
    plain, gue = PACKET + bytes.fromhex("c00000350008 0000"), PACKET + bytes.fromhex("c00017c00018")
    gue += bytes.fromhex("0000 00040000 4500001c00010000400600000a0000010a000002")
    gue += bytes(12) + b"\x50" + bytes(7)
    frames = gso.Frames.from_list([plain, gue] * (int(count) // 2))
    layouts = gso.parse_batch(frames)
    tunnels, numbers = np.unique(layouts["tunnel"], return_counts=True)
    for tunnel, number in zip(tunnels.tolist(), numbers.tolist(), strict=True):
        print(f"{gso.Tunnel(tunnel).name:<6} {number}")


if __name__ == "__main__":
    main(*sys.argv[1:])
