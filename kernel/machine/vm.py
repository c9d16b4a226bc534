"""Boot a kernel in QEMU with a plan, and collect what the guest wrote.

The host owns the clock. The guest reports only through files in the shared folder, so a VM that
dies or hangs is seen as exactly that, and never as a kernel that failed the test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from gso.kernel import guest_files
from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError, UsageError, crash_line
from gso.kernel.guest_files import GuestFileError
from gso.kernel.machine import capacity, kvm
from gso.kernel.machine.initramfs import initramfs
from gso.kernel.machine.kept_shell import KeptMachine
from gso.kernel.paths import GUEST
from gso.kernel.processes import started

_POLL_SECONDS = 0.1
_MEMORY = "1G"
# The guest reports after each exchange, and those have time limits of a few seconds.
_STALL_SECONDS = 60.0

_KERNEL_ARGUMENTS = (
    "console=ttyS0",
    "oops=panic",  # a damaged kernel must not go on and give a result
    "panic=-1",
    "softlockup_panic=1",
    "mitigations=off",
    "no_hash_pointers",  # otherwise tracepoints and probes print different pointers
    "audit=0",
)


class VmLostError(TestBedError):
    """The VM ended, or its time ran out, before the guest left results.

    ``status``: ``"crashed"`` when the kernel's log tells of a crash, ``"hung"`` when the guest had
    started and then fell silent, ``"lost"`` when the kernel need not have had a part in it.
    """

    def __init__(self, message: str, folder: Path, *, silent: bool = False) -> None:
        super().__init__("vm", message, _telling_log(folder))
        self.status: Literal["crashed", "hung", "lost"] = "hung" if silent else "lost"
        if _crashed(folder):
            self.status = "crashed"


def _crashed(folder: Path) -> bool:
    try:
        console = guest_files.read_text(folder / "console.log")
    except GuestFileError:
        return False
    return crash_line(console.splitlines()) is not None


def _telling_log(folder: Path) -> Path:
    """Return the console's log, or the guest's own words where the kernel did not crash."""
    guest = folder / "guest.log"
    told = not _crashed(folder) and guest.exists() and guest.stat().st_size
    return guest if told else folder / "console.log"


def boot(
    kernel: Bootable,
    plan: dict[str, Any],
    folder: Path,
    *,
    timeout: float,
    stop: Path,
    kept: KeptMachine | None = None,
) -> dict[str, Any]:
    """Boot, run the plan, and return the guest's results; raise :class:`VmLostError`.

    Where the host has as many machines as it carries, this waits for one of them to end first.
    ``folder`` is shared with the guest and keeps its evidence. The VM ends early when the file
    ``stop`` appears. It ends with its results, unless ``kept`` takes it over then.
    """
    if kept:
        plan = {**plan, "console": kept.console()}
    with capacity.place(stop), _shared(kernel, plan, folder), ExitStack() as ends:
        terminal = kept.socket if kept else None
        line = command(kernel, folder, initramfs(kernel.modules_folder), terminal)
        machine = ends.enter_context(started(line, folder / "console.log", folder))
        _watch(machine, folder, timeout, stop)
        found = _results(folder)
        if kept:
            kept.take(machine, ends.pop_all())
    return found


@contextmanager
def _shared(kernel: Bootable, plan: dict[str, Any], folder: Path) -> Iterator[None]:
    """Put into the folder what the guest needs for the time it runs."""
    for path in (folder, kernel.image):
        # They go into QEMU's options and the kernel's command line.
        if re.search(r"[^\w/.:+@%=-]", str(path)):
            raise UsageError(f"a path with such characters cannot be used here: {path}")
    folder.mkdir(parents=True)
    shutil.copytree(GUEST, folder / "guest", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "plan.json").write_text(
        json.dumps({**plan, "modules": [str(folder / m.name) for m in kernel.modules]}, indent=1)
    )
    for module in kernel.modules:
        shutil.copy2(module, folder)
    try:
        yield
    finally:
        shutil.rmtree(folder / "guest")
        for module in kernel.modules:
            (folder / module.name).unlink()


def command(
    kernel: Bootable, folder: Path, archive: Path, terminal: Path | None = None
) -> list[str]:
    """Return QEMU's command line for a kernel with its shared folder and its initramfs.

    ``terminal``: a socket for a second serial port.
    """
    native = kvm.probe(kernel.image).works
    line = ["qemu-system-x86_64", "-machine", f"q35,accel={'kvm' if native else 'tcg'}"]
    line += ["-cpu", "host" if native else "max", "-smp", str(capacity.cpus()), "-m", _MEMORY]
    line += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
    line += ["-serial", f"unix:{terminal},server=on,wait=off"] if terminal else []
    line += _share("gso.root", Path("/"), read_only=True)
    line += _share("gso.folder", folder, read_only=False)
    line += ["-kernel", str(kernel.image), "-initrd", str(archive)]
    arguments = [f"8250.nr_uarts={2 if terminal else 1}"]
    arguments += [f"gso.folder={folder}", f"gso.python={guest_python()}"]
    if kernel.modules_folder:
        arguments.append(f"gso.modules={kernel.modules_folder}")
    return [*line, "-append", " ".join((*_KERNEL_ARGUMENTS, *arguments))]


def _share(tag: str, folder: Path, *, read_only: bool) -> list[str]:
    name = tag.replace(".", "-")
    source = f"local,id={name},path={folder},security_model=none,multidevs=remap"
    return [
        *("-fsdev", source + ",readonly=on" * read_only),
        *("-device", f"virtio-9p-pci,fsdev={name},mount_tag={tag}"),
    ]


def guest_python() -> str:
    """Return a Python that the guest can start: it sees the host's root, but not its /run."""
    for candidate in ("/usr/bin/python3", os.path.realpath(sys.executable)):
        if os.access(candidate, os.X_OK):
            return candidate
    raise TestBedError("set-up", "no Python for the guest: neither /usr/bin/python3 nor this one")


def _watch(machine: subprocess.Popen[bytes], folder: Path, timeout: float, stop: Path) -> None:
    """Wait for results."""
    results = folder / "results.json"
    deadline = time.monotonic() + timeout
    silence = _Silence(folder / "progress.jsonl")
    while not os.path.lexists(results) and machine.poll() is None:
        if stop.exists():
            raise VmLostError("the run was interrupted", folder)
        if time.monotonic() > deadline:
            raise VmLostError(f"no results after {timeout:g} s; the VM was ended", folder)
        if silence.seconds() > _STALL_SECONDS:
            message = f"the guest was silent for {_STALL_SECONDS:g} s; the VM was ended"
            raise VmLostError(message, folder, silent=True)
        time.sleep(_POLL_SECONDS)
    if not os.path.lexists(results):
        raise VmLostError("the VM ended without results", folder)


def _results(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads(guest_files.read(folder / "results.json"))
    except (ValueError, RecursionError):
        raise GuestFileError("results.json of the guest is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("ok"), bool):
        raise GuestFileError("results.json of the guest does not say how it went")
    if not found["ok"]:
        said = str(found.get("error", "the guest failed and does not say why"))
        raise TestBedError("guest", said.strip(), _telling_log(folder))
    return found


class _Silence:
    """Measures for how long a file has not grown; before the file exists that is zero."""

    def __init__(self, path: Path) -> None:
        self._path, self._size, self._since = path, 0, time.monotonic()

    def seconds(self) -> float:
        size = self._path.stat().st_size if self._path.exists() else 0
        if size != self._size or not size:
            self._size, self._since = size, time.monotonic()
        return time.monotonic() - self._since
