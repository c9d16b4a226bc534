"""Put what is known of each packet of a capture into a DataFrame, in one call.

python examples/to_pandas.py CAPTURE.pcap
"""

from __future__ import annotations

import sys

import pandas

import gso


def main(path: str) -> None:
    """Show how many packets of each kind a capture has, and their longest tunnel header."""
    table = pandas.DataFrame(gso.parse_batch(gso.read_capture(path).frames, errors="mark"))
    print(table.groupby(["tunnel", "l4"])["tnl_hlen"].agg(["size", "max"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
