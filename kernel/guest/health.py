"""The kernel's health after the traffic: packets that were never freed, and leaks."""

from __future__ import annotations

import time
from pathlib import Path

_SLABS = Path("/sys/kernel/slab")
# Where the kernel keeps sk_buffs, and their heads since 6.3.
_CACHES = ("skbuff_head_cache", "skbuff_fclone_cache", "skbuff_small_head", "skb_small_head")
_KMEMLEAK = Path("/sys/kernel/debug/kmemleak")
# kmemleak leaves younger objects alone: mm/kmemleak.c, jiffies_min_age.
_YOUNG_SECONDS = 6.0


def mark(text: str) -> None:
    """Write a line into the kernel's log, to tell later what it was doing when it complained."""
    Path("/dev/kmsg").write_text(f"<6>gso: {text}\n")


def packets_allocated() -> dict[str, int]:
    """Return the objects in each cache of sk_buffs, without those that are only kept ready."""
    found = {}
    for name in _CACHES:
        cache = _SLABS / name
        if (cache / "objects").exists():
            (cache / "shrink").write_text("1")
            found[name] = int((cache / "objects").read_text().split()[0])
    return found


def save_leaks(path: Path) -> None:
    """Write what kmemleak found to ``path``, where the kernel has it."""
    if not _KMEMLEAK.exists():
        return
    time.sleep(_YOUNG_SECONDS)
    for _ in range(2):  # an object is reported when two scans in a row met no pointer to it
        _KMEMLEAK.write_text("scan")
    path.write_bytes(_KMEMLEAK.read_bytes())
