"""What the tests of the whole test bed share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gso.kernel import debian


def virtual_machines(folder: Path) -> set[int]:
    """The QEMU processes now running that share something under this folder with their guest."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        program = Path(command.split("\0")[0]).name
        if program.startswith("qemu-system") and f"={folder}/" in command:
            found.add(int(process.name))
    return found


def namespaces() -> set[str]:
    folder = Path("/run/netns")
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def edited(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """Write a patch that changes a file of the newest Debian kernel's source."""
    kernel = debian.choose()
    debian.fetch(kernel)
    before = debian.source_files(kernel, (name,))[name]
    for side, content in (("a", before), ("b", change(before))):
        target = path / side / name
        target.parent.mkdir(parents=True)
        target.write_bytes(content)
    diff = subprocess.run(
        ["diff", "-u", f"a/{name}", f"b/{name}"], cwd=path, capture_output=True, check=False
    )
    patch = path / "edited.patch"
    patch.write_bytes(diff.stdout)
    return patch


def boots(report: dict[str, Any], variant: str) -> list[dict[str, Any]]:
    """Every machine that was started for a variant of the only kernel."""
    (kernel,) = report["kernels"]
    return [boot for boot in kernel["boots"] if boot["variant"] == variant]
