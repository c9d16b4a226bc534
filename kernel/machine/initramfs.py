"""The initramfs: busybox, the modules that reach the host's root, and the guest's first process."""

from __future__ import annotations

import hashlib
import lzma
import shutil
from pathlib import Path

from gso.kernel.errors import TestBedError
from gso.kernel.paths import GUEST, cache_folder, only_one
from gso.kernel.processes import logged
from virtme.cpiowriter import CpioWriter
from virtme.modfinder import find_modules_from_install

_WANTED = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
_FOLDERS = ("bin", "dev", "proc", "sys", "host", "memory", "root", "modules")
_INIT = GUEST / "init.sh"


def initramfs(modules: Path | None) -> Path:
    """Return the archive for a kernel with this ``lib/modules/RELEASE`` folder (or none)."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise TestBedError("set-up", "busybox is not installed; see gso-kernel doctor")
    parts = (_INIT.read_bytes(), busybox.encode(), str(modules).encode())
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]
    folder = cache_folder() / "initramfs"
    archive = folder / key
    with only_one(folder):
        if not archive.exists():
            partial = archive.with_suffix(".partial")
            _write(partial, Path(busybox), _needed(modules, folder) if modules else [])
            partial.rename(archive)
    return archive


def _needed(modules: Path, folder: Path) -> list[Path]:
    """Return the modules to load, in order; what is built in is not among them."""
    root = modules.parents[2]  # of lib/modules/RELEASE
    if not (modules / "modules.dep").exists():
        # A package makes this list only when it is installed.
        command = ["depmod", "-b", str(root), modules.name]
        logged("boot", command, folder / "depmod.log", folder)
    found = find_modules_from_install(_WANTED, root=str(root), kver=modules.name)
    return [Path(path) for path in found]


def _write(archive: Path, busybox: Path, modules: list[Path]) -> None:
    with archive.open("wb") as sink:
        cpio = CpioWriter(sink)
        for name in _FOLDERS:
            cpio.mkdir(name.encode(), 0o755)
        cpio.mkchardev(b"dev/console", (5, 1), mode=0o600)
        cpio.mkchardev(b"dev/kmsg", (1, 11), mode=0o600)
        cpio.mkchardev(b"dev/null", (1, 3), mode=0o666)
        cpio.write_file(name=b"bin/busybox", body=busybox.read_bytes(), mode=0o755)
        cpio.symlink(b"busybox", b"bin/sh")
        for module in modules:
            name = module.name.split(".ko")[0] + ".ko"
            cpio.write_file(name=f"modules/{name}".encode(), body=_unpacked(module), mode=0o644)
        order = "".join(f"{module.name.split('.ko')[0]}.ko\n" for module in modules)
        cpio.write_file(name=b"modules/order", body=order.encode(), mode=0o644)
        cpio.write_file(name=b"init", body=_INIT.read_bytes(), mode=0o755)
        cpio.write_trailer()


def _unpacked(module: Path) -> bytes:
    return lzma.decompress(module.read_bytes()) if module.suffix == ".xz" else module.read_bytes()
