"""Which code of a guest ran: QEMU translates a block of instructions when it is to run, not before.

So the addresses in QEMU's log of what it translated are those that ran, without anything done to
the kernel, or left to the guest. There is no such log with hardware virtualisation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from gso.kernel import guest_files

FOLDER = "blocks"
_LOG = "translated.log"
_INSTRUCTION = re.compile(r"0x([0-9a-f]{16}):")


def options(ranges: Sequence[range], folder: Path) -> list[str]:
    """Return QEMU's options for a log of what it translates in ranges of addresses."""
    wanted = ",".join(f"{one.start:#x}+{len(one):#x}" for one in ranges)
    return ["-d", "in_asm", "-dfilter", wanted, "-D", str(folder / _LOG)]


def ran(folder: Path) -> set[int]:
    """Return the addresses of the instructions that ran."""
    found = map(_INSTRUCTION.match, guest_files.lines(folder / FOLDER / _LOG))
    return {int(match[1], 16) for match in found if match}
