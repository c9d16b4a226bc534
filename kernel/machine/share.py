"""The two folders of this host that a guest sees: what it is given, and where it leaves its files.

Both are ours alone, and gone when the machine has ended. What the guest left is copied out of its
folder, into one that no guest sees: regular files only, through no link, and not without limit.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gso.kernel import guest_files
from gso.kernel.bootable import Bootable
from gso.kernel.guest_files import GuestFileError
from gso.kernel.paths import BELIEVED, GUEST

GIVEN, LEFT = Path("/gso/given"), Path("/gso/left")
"""Where the guest sees them."""

_EVIDENCE = "cells"
_MOST_BYTES, _MOST_FILES = 4 << 30, 8_000
_NAME = re.compile(r"\w[\w.+-]{0,200}", re.ASCII)


class Share:
    """The folders on this host, and ``folder``, where the evidence is wanted."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.given, self.left = home / "given", home / "left"
        self._folder = folder
        self._taken = False

    def is_too_large(self) -> bool:
        """Say whether the guest has left more than it may."""
        try:
            usage = _usage(self.left)
        except OSError as error:  # or else something went while we looked
            return error.errno == errno.ENAMETOOLONG
        return usage.blocks * 512 > _MOST_BYTES or usage.files > _MOST_FILES

    def take(self) -> None:
        """Copy the evidence, once; raise :class:`GuestFileError` for what cannot be any."""
        if self._taken:
            return
        self._taken = True
        if self.is_too_large():
            raise GuestFileError("the guest left more than it may")
        _take(self.left, self._folder)
        if os.path.lexists(self.left / _EVIDENCE):
            _take(self.left / _EVIDENCE, self._folder / _EVIDENCE)


@dataclass(frozen=True)
class _Usage:
    files: int
    blocks: int


def _usage(top: Path) -> _Usage:
    files = blocks = 0
    folders = [str(top)]
    while folders and files <= _MOST_FILES:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                files += 1
                blocks += entry.stat(follow_symlinks=False).st_blocks
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return _Usage(files, blocks)


def _take(source: Path, target: Path) -> None:
    if not stat.S_ISDIR(source.lstat().st_mode):
        raise GuestFileError(f"{source.name} of the guest is no folder")
    target.mkdir(exist_ok=True)
    for name in sorted(path.name for path in source.iterdir()):
        if name.startswith(".virtfs_metadata") or name == _EVIDENCE:
            continue  # QEMU's own notes of modes and owners; what comes next
        # What is there already is ours, such as the console's log.
        if not _NAME.fullmatch(name) or name in BELIEVED or os.path.lexists(target / name):
            raise GuestFileError(f"the guest left a file of the name {name[:80]!r}")
        (target / name).write_bytes(guest_files.read(source / name))


@contextmanager
def shared(
    kernel: Bootable, plan: dict[str, Any], inputs: Sequence[Path], folder: Path
) -> Iterator[Share]:
    """Make both folders; ``inputs`` are files that the plan names by :data:`GIVEN`."""
    home = Path(tempfile.mkdtemp(prefix="gso-kernel-"))
    try:
        share = Share(home, folder)
        share.left.mkdir()
        share.given.mkdir()
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(GUEST, share.given / "guest", ignore=ignored)
        for path in (*kernel.modules, *inputs):
            shutil.copyfile(path, share.given / path.name)
        modules = [str(GIVEN / module.name) for module in kernel.modules]
        (share.given / "plan.json").write_text(json.dumps({**plan, "modules": modules}))
        yield share
    finally:
        # A guest can nest its folders deeper than Python removes them.
        subprocess.run(["rm", "-rf", "--one-file-system", str(home)], check=False)
