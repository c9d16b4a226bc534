"""Segment a packet in a VXLAN tunnel, merge the segments again, and get the packet back."""

from __future__ import annotations

import gso

ETHERNET = bytes.fromhex("020000000002 020000000001 0800")
IP_TCP = bytes.fromhex(
    "4500002800010000400600000a0000010a000002 9c400050000000010000000150100200 00000000"
)


def main() -> None:
    """Show how many frames there are at each step, and that nothing is lost."""
    plain = gso.segment(ETHERNET + IP_TCP + bytes(range(256)) * 200, 1400)
    wire = gso.encapsulate(
        plain, "vxlan", source="192.0.2.1", destination="192.0.2.2", key=42, ip_id=range(len(plain))
    )
    merged = gso.coalesce(wire)
    again = gso.segment_batch(merged, merged.gso_size)
    print(f"{len(plain)} segments, {len(merged)} merged, equal: {again == wire}")
    print(f"the same without the tunnel: {gso.decapsulate(again) == plain}")


if __name__ == "__main__":
    main()
