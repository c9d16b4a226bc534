"""The guest's root before this host's programs are in it: empty folders, and settings.

The settings are those of this host that are no secrets, and the machine's own.
"""

from __future__ import annotations

import os
from pathlib import Path

from gso.kernel.sandbox import SETTINGS, program_links

_FOLDERS = (
    *("dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "var/lib", "var/lib/nginx"),
    *("var/log", "var/log/nginx", "var/tmp", "gso", "gso/given", "gso/left"),
)
_OWN_SETTINGS = {"hosts": b"127.0.0.1 localhost\n::1 localhost\n", "hostname": b"gso\n"}
_SETTINGS = Path("/etc")

Root = dict[str, "bytes | str | None"]
"""A file's content, a link's target, or None for a folder, by the path."""


def guest_root() -> Root:
    """Return all that is in it; each folder comes before what it holds."""
    root: Root = dict.fromkeys(_FOLDERS)
    root |= {str(link).strip("/"): target for link, target in program_links().items()}
    for name in SETTINGS:
        root |= _settings(_SETTINGS / name)
    return root | {f"etc/{name}": text for name, text in _OWN_SETTINGS.items()}


def _settings(path: Path) -> Root:
    """Return a file or a folder of this host's; what its user cannot read is not there."""
    name = f"etc/{path.relative_to(_SETTINGS)}"
    if path.is_symlink():
        return {name: str(path.readlink())}
    if path.is_dir():
        found: Root = {name: None}
        for inside in sorted(path.iterdir()):
            found |= _settings(inside)
        return found
    return {name: path.read_bytes()} if os.access(path, os.R_OK) and path.is_file() else {}
