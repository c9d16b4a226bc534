"""Merge segments into packets of up to 180 kB, as BIG TCP does, and cut them again."""

from __future__ import annotations

import gso

ETHERNET = bytes.fromhex("020000000002 020000000001 86dd")
IPV6_TCP = bytes.fromhex(
    "60000000 0014 06 40 fd000000000000000000000000000001 fd000000000000000000000000000002"
    "9c400050 00000001 00000001 50100200 00000000"
)


def main() -> None:
    """Show the largest packet with the kernel's usual limit, and with that of BIG TCP."""
    wire = gso.Frames.concat(
        gso.segment(
            ETHERNET
            + IPV6_TCP[:44]
            + (1 + i * 42_000).to_bytes(4, "big")
            + IPV6_TCP[48:]
            + bytes(42_000),
            1400,
        )
        for i in range(4)
    )
    for limit in (65_536, 185_000):
        merged = gso.coalesce(wire, gro_max_size=limit)
        again = gso.segment_batch(merged, merged.gso_size, errors="pass")
        print(f"up to {merged.lengths.max()} bytes, the same again: {again == wire}")


if __name__ == "__main__":
    main()
