"""The initramfs: busybox, the modules that reach the host's folders, and the guest's first process.

In it is also the root of all that follows: empty folders, and settings of this host that are no
secrets.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
from pathlib import Path

from gso.kernel.errors import TestBedError
from gso.kernel.paths import GUEST, cache_folder, only_one
from gso.kernel.processes import logged
from gso.kernel.sandbox import SETTINGS, program_links
from virtme.cpiowriter import CpioWriter
from virtme.modfinder import find_modules_from_install

_WANTED = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
_FOLDERS = ("bin", "dev", "proc", "memory", "root", "modules")
_ROOT_FOLDERS = (
    *("dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "var/lib", "var/lib/nginx"),
    *("var/log", "var/log/nginx", "var/tmp", "gso", "gso/given", "gso/left"),
)
_OWN_SETTINGS = {"hosts": b"127.0.0.1 localhost\n::1 localhost\n", "hostname": b"gso\n"}
_SETTINGS = Path("/etc")
_INIT = GUEST / "init.sh"


def initramfs(modules: Path | None) -> Path:
    """Return the archive for a kernel with this ``lib/modules/RELEASE`` folder (or none)."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise TestBedError("set-up", "busybox is not installed; see gso-kernel doctor")
    root = _root()
    texts = (busybox, str(modules), repr(root), repr(_WANTED))
    parts = (_INIT.read_bytes(), *(text.encode() for text in texts))
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:24]
    folder = cache_folder() / "initramfs"
    archive = folder / key
    with only_one(folder):
        if not archive.exists():
            partial = archive.with_suffix(".partial")
            _write(partial, Path(busybox), root, _needed(modules, folder) if modules else [])
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


# A file's content, a link's target, or None for a folder, by the path
_Root = dict[str, "bytes | str | None"]


def _root() -> _Root:
    """Return what is in the guest's root before this host's programs are."""
    root: _Root = dict.fromkeys(_ROOT_FOLDERS)
    root |= {str(link).strip("/"): target for link, target in program_links().items()}
    for name in SETTINGS:
        root |= _settings(_SETTINGS / name)
    return root | {f"etc/{name}": text for name, text in _OWN_SETTINGS.items()}


def _settings(path: Path) -> _Root:
    """Return a file or a folder of this host's; what its user cannot read is not there."""
    name = f"etc/{path.relative_to(_SETTINGS)}"
    if path.is_symlink():
        return {name: str(path.readlink())}
    if path.is_dir():
        found: _Root = {name: None}
        for inside in sorted(path.iterdir()):
            found |= _settings(inside)
        return found
    return {name: path.read_bytes()} if os.access(path, os.R_OK) and path.is_file() else {}


def _write(archive: Path, busybox: Path, root: _Root, modules: list[Path]) -> None:
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
        cpio.write_file(name=b"init", body=_INIT.read_bytes(), mode=0o755)
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
