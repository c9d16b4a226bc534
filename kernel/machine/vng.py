"""The command line for a machine as virtme-ng makes it, in the test bed's limits.

virtme-ng chooses QEMU's options, the modules that lead to the root, the initramfs and the first
process. Its root is a small folder of ours: busybox, and the empty places where the guest mounts
the folders that it may see (``kernel/guest/vng.sh``). virtme-ng would share this host's whole root.
"""

from __future__ import annotations

import functools
import hashlib
import io
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

from gso.kernel.errors import TestBedError
from gso.kernel.machine import capacity, kvm
from gso.kernel.machine.guest_root import Root, guest_root
from gso.kernel.machine.initramfs import with_dependencies
from gso.kernel.machine.qemu import MEMORY, Machine
from gso.kernel.paths import GUEST, cache_folder, only_one
from virtme import resources

_SCRIPT = "sh /vng.sh"
_FOLDERS = (
    *("bin", "dev", "etc", "lib", "lib/modules", "memory", "proc", "root", "run", "sys", "tmp"),
    *("usr", "var", "var/lib", "var/log", "var/tmp"),
)


def command(machine: Machine, home: Path) -> list[str]:
    """Return the command line; ``home``: an empty folder for the files that are made for it."""
    root, tools = _root(), resources.find_guest_tools()
    if tools is None:
        raise TestBedError("set-up", "virtme-ng is installed without the tools for its guests")
    line = shlex.split(_asked(_options(machine, root, home)))
    return machine.limited(line, home, root, Path(tools))


def _options(machine: Machine, root: Path, home: Path) -> list[str]:
    kernel, image = machine.kernel, home / "vmlinuz"
    image.symlink_to(kernel.image)
    line = ["--kimg", str(image), "--root", str(root), "--force-9p", "--force-initramfs"]
    if modules := kernel.modules_folder:
        # It looks for them beside the image.
        folder = home / "lib/modules"
        folder.mkdir(parents=True)
        (folder / modules.name).symlink_to(with_dependencies(modules))
    line += ["--mods", "auto" if modules else "none"]
    line += ["--save-initramfs", str(home / "initramfs")]
    line += [] if kvm.probe(kernel.image).works else ["--disable-kvm"]
    line += ["--memory", MEMORY, "--cpus", str(capacity.cpus())]
    # Its initramfs has the module for layers of memory only if one is asked for.
    line += ["--overlay-rwdir", "/root"]
    line += ["--script-sh", _SCRIPT, "--show-boot-console"]
    for argument in (*machine.kernel_arguments(), "loglevel=7"):
        line += ["--kopt", argument]
    for option in ("-nodefaults", *machine.devices()):
        line += [f"--qemu-opt={option}"]
    return line


def _asked(options: list[str]) -> str:
    """Return the command line that virtme-ng shows."""
    program = [
        sys.executable,
        "-c",
        "from virtme.commands import run; raise SystemExit(run.main())",
    ]
    # It gives its script ports to the files that are its own standard streams, unless it cannot
    # open them, as a socket. The console alone is what is wanted.
    ours, its = socket.socketpair()
    with ours, its:
        done = subprocess.run(
            [*program, "--dry-run", "--show-command", *options],
            stdin=its.fileno(),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise TestBedError("boot", f"virtme-run: exit {done.returncode}: {said[-500:]}")
    return done.stdout.splitlines()[-1]


@functools.cache
def _root() -> Path:
    """Return the folder that virtme-ng's guest starts from."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise TestBedError("set-up", "busybox is not installed; see gso-kernel doctor")
    files: Root = dict.fromkeys(_FOLDERS)
    files["bin/busybox"] = Path(busybox).read_bytes()
    files |= {f"bin/{name}": "busybox" for name in _applets(busybox)}
    files |= {name: (GUEST / name).read_bytes() for name in ("vng.sh", "machine.sh")}
    files["etc/fstab"] = b""
    files["template.tar"] = _archive(guest_root())
    folder = cache_folder() / "vng"
    root = folder / hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:24]
    with only_one(folder):
        if not root.exists():
            partial = root.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            _write(files, partial)
            partial.rename(root)
    return root


def _applets(busybox: str) -> list[str]:
    done = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split() if name != "busybox"]


def _archive(root: Root) -> bytes:
    """Return a root as one file, for a guest to which each file is a question to this host."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, content in root.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755 if content is None else 0o644
            if content is None:
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            else:
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return sink.getvalue()


def _write(files: Root, root: Path) -> None:
    root.mkdir()
    for name, content in files.items():
        path = root / name
        if content is None:
            path.mkdir()
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
    (root / "bin/busybox").chmod(0o755)
