"""Hand packets with any metadata to the kernel's segmenter, by the module in ``segmenter/``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .netns import run
from .records import ANSWERED, read_with_length

_DOOR = "/proc/gso_segmenter"
_BLOCK = 64  # packets between two words to the host

_LARGEST = 1 << 24


def perform(folder: Path, plan: dict[str, Any], progress: Callable[..., None]) -> dict[str, Any]:
    """Load the module, send all requests, and keep every answer as the module gave it."""
    progress(stage="modules")
    # A module in some kernels, and no packet makes them load it.
    subprocess.run(["modprobe", "--all", "--quiet", "mpls_gso", "nsh", "sctp"], check=False)
    for module in plan["modules"]:
        run(["insmod", module])
    progress(stage="packets")
    with Path(plan["requests"]).open("rb") as source, (folder / "outcome.bin").open("wb") as sink:
        for done, answer in enumerate(_answers(source), 1):
            sink.write(answer)
            if done % _BLOCK == 0:
                progress(stage="packets", done=done)
    return {}


def _answers(source: Any) -> Iterator[bytes]:
    door = os.open(_DOOR, os.O_RDWR)
    while request := read_with_length(source):
        try:
            os.write(door, request)
        except OSError as error:
            yield ANSWERED.pack(error.errno or -1, 0)
            continue
        answer = os.pread(door, _LARGEST, 0)
        yield ANSWERED.pack(0, len(answer)) + answer
    os.close(door)
