"""Keep packets and their headers in a table of Arrow, without copying the packets.

python examples/arrow_table.py CAPTURE.pcap
"""

from __future__ import annotations

import sys

import pyarrow as pa

import gso


def main(path: str) -> None:
    """Put a capture's packets beside their payload's size, and take the largest one back."""
    frames = gso.read_capture(path).frames
    layouts = gso.parse_batch(frames, errors="mark")
    payload = frames.lengths - layouts["payload"]
    table = pa.table({"frame": pa.array(frames), "payload": payload})
    first = table.sort_by([("payload", "descending")]).slice(0, 1)
    largest = gso.Frames.from_arrow(first["frame"])
    print(f"{table.num_rows} packets, the largest has {largest.nbytes} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
