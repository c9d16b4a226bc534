"""The kernel's sentences about packets, read slowly with regular expressions."""

from __future__ import annotations

import re

SENTENCES = (
    (r"skb_under_panic: ", "skb_under_panic"),
    (r"skb_over_panic: ", "skb_over_panic"),
    (r"hw csum failure", "netdev_rx_csum_fault"),
    (r"unexpected GSO type: ", "tun_put_user"),
    (r"bad checksum\. From ", "__udp4_lib_rcv"),
    (r" is buggy, dev ", "dev_queue_xmit_nit"),
    (r"bad gso: type: ", "virtio_net_hdr_to_skb"),
)


def events(lines: list[str]) -> list[tuple[int, str, str]]:
    """Return (line, function, device) of each sentence; no line has two."""
    found = []
    for number, line in enumerate(lines, 1):
        for pattern, function in SENTENCES:
            if re.search(pattern, line):
                found.append((number, function, _device(line, pattern)))
                break
    return found


def _device(line: str, pattern: str) -> str:
    if "panic" in pattern or "buggy" in pattern:
        device = re.search(r" dev[: ](\S+)", line)
        return device[1] if device and not device[1].startswith("<") else ""
    if "checksum" in pattern:
        return ""
    device = re.search(r"(\S+): *" + pattern, line)
    return device[1] if device and device[1] != "tun" else ""
