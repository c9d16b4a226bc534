"""BPF programs of our own, pinned where routes find them."""

from __future__ import annotations

from pathlib import Path

from . import push
from .netns import SetupError, run

PROGRAMS = Path("/run/bpf")
"""Where they are pinned: a file system of its own."""


def pin(path: str, hook: str, mode: str, header: str) -> None:
    """Pin below ``PROGRAMS`` a program that pushes ``header``, as :func:`push.load` says.

    Raises :class:`SetupError` where the kernel takes no such program.
    """
    if not PROGRAMS.is_mount():
        PROGRAMS.mkdir(exist_ok=True)
        run(["mount", "-t", "bpf", "bpf", str(PROGRAMS)])
    try:
        push.load(path, hook, int(mode), bytes.fromhex(header))
    except OSError as error:
        raise SetupError(f"push {path}: {error.strerror}") from None
