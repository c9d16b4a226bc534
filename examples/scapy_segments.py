"""Build a packet in GUE with scapy, cut it as the kernel does, and look into the pieces."""

from __future__ import annotations

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

import gso.scapy


def main() -> None:
    """Show what each segment has that the others have not."""
    packet = Ether(dst="02:00:00:00:00:02") / IP(dst="192.0.2.1") / UDP()
    packet /= gso.scapy.GUE() / IP(id=7) / TCP(flags="PA", seq=1) / bytes(4000)
    for segment in gso.scapy.segment(packet, 1400):
        inner = segment[gso.scapy.GUE][IP]
        print(inner.id, inner[TCP].seq, inner[TCP].flags, len(inner[TCP].payload))


if __name__ == "__main__":
    main()
