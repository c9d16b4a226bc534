"""Write the packets of a capture as a wire would have had them: super-packets segmented.

python examples/capture_to_wire.py IN.pcap OUT.pcap
"""

from __future__ import annotations

import sys
from pathlib import Path

import gso


def main(source: str, target: str) -> None:
    """Segment a capture, and say how many packets there were before and after."""
    with Path(target).open("wb") as file:
        gso.segment_capture(source, file, 1448)
    before, after = gso.read_capture(source), gso.read_capture(target)
    largest = after.frames.lengths.max(initial=0)
    print(f"{len(before.frames)} packets, {len(after.frames)} on the wire, up to {largest} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
