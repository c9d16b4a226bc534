"""The debugging symbols of one of Debian's kernels, fetched and unpacked in the cache."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from gso.kernel.paths import only_one
from gso.kernel.processes import logged
from gso.kernel.trees.debian import DebianKernel

VMLINUX = "vmlinux"
_MARK = ".complete"


def symbols(kernel: DebianKernel, modules: Sequence[str]) -> Path:
    """Return a folder with ``vmlinux`` and modules (``NAME.ko``), as far as the kernel has these.

    Their package is large (a gigabyte), and what it holds is seven times as large.
    """
    place = kernel.root / "debug"
    with only_one(place):
        if not (place / _MARK).exists():
            shutil.rmtree(place)
            place.mkdir()
            _fetch(kernel, modules, place)
            (place / _MARK).touch()
    return place


def _fetch(kernel: DebianKernel, modules: Sequence[str], place: Path) -> None:
    log = kernel.root / "fetch.log"
    package = f"linux-image-{kernel.release}-dbg={kernel.version}"
    logged("download", kernel.apt.download_command([package]), log, place)
    (archive,) = place.glob("*.deb")
    image = f"vmlinux-{kernel.release}"
    # Two links have the name of the image, too: only the file itself is below boot.
    names = (f"boot/{image}", *(f"{one}.ko" for one in modules))
    wanted = " ".join(f"'*/{name}'" for name in names)
    # A kernel without one of the modules is no mistake.
    options = f"--wildcards --transform 's,.*/,,;s,^{image}$,{VMLINUX},' {wanted}"
    unpack = f"dpkg-deb --fsys-tarfile {archive.name} | tar -x {options} || test -s {VMLINUX}"
    logged("unpack", ["sh", "-c", unpack], log, place)
    archive.unlink()
