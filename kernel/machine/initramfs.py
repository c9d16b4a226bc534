"""The initramfs: busybox, the modules that reach the host's folders, and the guest's first process.

In it is also the root of all that follows (:mod:`gso.kernel.machine.guest_root`).
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
from pathlib import Path

from gso.kernel.errors import TestBedError
from gso.kernel.machine.guest_root import Root, guest_root
from gso.kernel.paths import GUEST, cache_folder, only_one
from gso.kernel.processes import logged
from virtme.cpiowriter import CpioWriter
from virtme.modfinder import find_modules_from_install

_WANTED = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
_FOLDERS = ("bin", "dev", "proc", "memory", "root", "modules")
_INIT = {"init": GUEST / "init.sh", "machine.sh": GUEST / "machine.sh"}


def initramfs(modules: Path | None) -> Path:
    """Return the archive for a kernel with this ``lib/modules/RELEASE`` folder (or none)."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise TestBedError("set-up", "busybox is not installed; see gso-kernel doctor")
    root = guest_root()
    texts = (busybox, str(modules), repr(root), repr(_WANTED))
    parts = (*(part.read_bytes() for part in _INIT.values()), *(text.encode() for text in texts))
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]
    folder = cache_folder() / "initramfs"
    archive = folder / key
    needed = _needed(modules) if modules else []
    with only_one(folder):
        if not archive.exists():
            partial = archive.with_suffix(".partial")
            _write(partial, Path(busybox), root, needed)
            partial.rename(archive)
    return archive


def _needed(modules: Path) -> list[Path]:
    """Return the modules to load, in order; what is built in is not among them."""
    root = with_dependencies(modules).parents[2]  # of lib/modules/RELEASE
    found = find_modules_from_install(_WANTED, root=str(root), kver=modules.name)
    return [Path(path) for path in found]


def with_dependencies(modules: Path) -> Path:
    """Return the folder, in which it is written which modules need which.

    A package makes this list only when it is installed.
    """
    if not (modules / "modules.dep").exists():
        folder = cache_folder() / "initramfs"
        command = ["depmod", "-b", str(modules.parents[2]), modules.name]
        with only_one(folder):
            logged("boot", command, folder / "depmod.log", folder)
    return modules


def _write(archive: Path, busybox: Path, root: Root, modules: list[Path]) -> None:
    with archive.open("wb") as sink:
        cpio = CpioWriter(sink)
        for name in _FOLDERS:
            cpio.mkdir(name.encode(), 0o755)
        cpio.mkchardev(b"dev/console", (5, 1), mode=0o600)
        cpio.mkchardev(b"dev/kmsg", (1, 11), mode=0o600)
        cpio.mkchardev(b"dev/null", (1, 3), mode=0o666)
        cpio.write_file(name=b"bin/busybox", body=busybox.read_bytes(), mode=0o755)
        cpio.symlink(b"busybox", b"bin/sh")
        for path, content in root.items():
            _add(cpio, f"root/{path}".encode(), content)
        for module in modules:
            name = module.name.split(".ko")[0] + ".ko"
            cpio.write_file(name=f"modules/{name}".encode(), body=_unpacked(module), mode=0o644)
        order = "".join(f"{module.name.split('.ko')[0]}.ko\n" for module in modules)
        cpio.write_file(name=b"modules/order", body=order.encode(), mode=0o644)
        for name, part in _INIT.items():
            cpio.write_file(name=name.encode(), body=part.read_bytes(), mode=0o755)
        cpio.write_trailer()


def _add(cpio: CpioWriter, name: bytes, content: bytes | str | None) -> None:
    if content is None:
        cpio.mkdir(name, 0o755)
    elif isinstance(content, str):
        cpio.symlink(content.encode(), name)
    else:
        cpio.write_file(name=name, body=content, mode=0o644)


def _unpacked(module: Path) -> bytes:
    return lzma.decompress(module.read_bytes()) if module.suffix == ".xz" else module.read_bytes()
