"""Programs that see a few folders of this host and nothing else of it, by bubblewrap.

They have no network, no rights over others' files and processes, and they end with us. Of the host
they see its programs and libraries, and of its settings those that programs cannot do without.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_NOBODY = "65534"
_PROGRAMS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
SETTINGS = (
    *("alternatives", "group", "host.conf", "iproute2", "ld.so.cache", "ld.so.conf"),
    *("ld.so.conf.d", "localtime", "nsswitch.conf", "passwd", "protocols", "services"),
)
"""Files and folders of /etc that tell nothing that is secret, and that programs need."""
TRUST = "PYGSO_TRUST_PATCH"
MERGED = {name: f"usr/{name}" for name in _PROGRAMS}
"""The links at the top of a system that has all its programs below /usr."""
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_ENVIRONMENT |= {"LC_ALL": "C.UTF-8", "HOME": "/tmp"}


def program_folders() -> list[Path]:
    """Return the folders of this host's programs and libraries: /usr, and what is not in it."""
    return [Path("/usr"), *(folder for folder in _top() if not folder.is_symlink())]


def program_links() -> dict[Path, str]:
    """Return links beside them, such as /lib64, with what they point to."""
    return {folder: str(folder.readlink()) for folder in _top() if folder.is_symlink()}


def _top() -> list[Path]:
    return [folder for name in _PROGRAMS if (folder := Path("/", name)).is_dir()]


def confined(
    command: Sequence[str],
    *,
    readable: Sequence[Path] = (),
    writable: Sequence[Path] = (),
    devices: Sequence[Path] = (),
    root: Path | None = None,
) -> list[str]:
    """Return the command line that runs ``command`` with nothing but these places.

    ``root``: a folder whose programs and libraries take the place of the host's.

    Whoever asks first makes sure that this host has sandboxes: :func:`works`.
    """
    # Not by --clearenv: bubblewrap's own process, which is seen inside, would keep its environment.
    line = ["env", "-i", *(f"{name}={value}" for name, value in _ENVIRONMENT.items())]
    line += ["bwrap", "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
    line += ["--uid", _NOBODY, "--gid", _NOBODY]
    line += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    line += _programs_of(root) if root else _programs()
    for name in SETTINGS:
        line += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for kind, paths in (("--ro-bind", readable), ("--bind", writable), ("--dev-bind-try", devices)):
        for path in paths:
            line += [kind, str(path), str(path)]
    return [*line, "--", *command]


def _programs() -> list[str]:
    line = []
    for folder in program_folders():
        line += ["--ro-bind", str(folder), str(folder)]
    for link, target in program_links().items():
        line += ["--symlink", target, str(link)]
    return line


def _programs_of(root: Path) -> list[str]:
    links = [["--symlink", target, f"/{name}"] for name, target in MERGED.items()]
    return ["--ro-bind", str(root / "usr"), "/usr", *(word for link in links for word in link)]


def trusted() -> bool:
    """Say whether the user trusts the patches: ``--trust-patch``, and all that it starts."""
    return os.environ.get(TRUST) == "1"


@functools.cache
def works() -> bool:
    """Say whether this host has sandboxes: bubblewrap is there, and may make namespaces."""
    if shutil.which("bwrap") is None:
        return False
    done = subprocess.run(confined(["true"]), capture_output=True, check=False)
    return done.returncode == 0
