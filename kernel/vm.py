"""Boot a kernel in QEMU with a plan, and bring home what the guest wrote.

The host owns the clock. The guest reports only through files in the shared folder, so a VM that
dies or hangs is seen as exactly that, and never as a kernel that failed the test.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gso.kernel.build import Bootable
from gso.kernel.errors import TestBedError, UsageError, crash_line
from gso.kernel.initramfs import initramfs
from gso.kernel.keeper import Keeper
from gso.kernel.paths import GUEST, cache_folder
from gso.kernel.run import ending

_POLL_SECONDS = 0.1
_KVM_PROBE_SECONDS = 5.0
_KVM_FAILURE = b"KVM internal error"
_MEMORY = "1G"
# What one machine needs of the host: its own memory, QEMU, and the page cache of its files.
MEMORY_BYTES = 5 << 28
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
    console = (folder / "console.log").read_text(errors="replace")
    return crash_line(console.splitlines()) is not None


def _telling_log(folder: Path) -> Path:
    """Return the console's log, or the guest's own words where the kernel did not crash."""
    guest = folder / "guest.log"
    told = not _crashed(folder) and guest.exists() and guest.stat().st_size
    return guest if told else folder / "console.log"


@dataclass(frozen=True)
class Kvm:
    """Whether hardware virtualisation works, and if not, why."""

    works: bool
    reason: str


def probe_kvm(image: Path | None = None) -> Kvm:
    """Find out by booting a kernel up to its first words: one of Debian's, or ``image``.

    /dev/kvm may exist and still not work. A virtual CPU that starts says little: where KVM emulates
    what it cannot run, kernels stop at the first instruction that it does not know.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Kvm(False, "/dev/kvm is not there or not accessible")
    images = [*sorted((cache_folder() / "debian").glob("*/boot/vmlinuz-*")), image]
    found = next((one for one in images if one and one.exists()), None)
    return _try_kvm(found) if found else Kvm(False, "no kernel yet to try /dev/kvm with")


@functools.cache
def _try_kvm(image: Path) -> Kvm:
    command = ["qemu-system-x86_64", "-machine", "q35,accel=kvm", "-cpu", "host", "-m", "512M"]
    command += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
    command += ["-kernel", str(image), "-append", "console=ttyS0 panic=-1"]
    with tempfile.TemporaryDirectory(prefix="gso-kernel-kvm-") as name, ExitStack() as ends:
        folder = Path(name)
        console = folder / "console.log"
        try:
            machine = _start(command, folder, ends)
        except FileNotFoundError:
            return Kvm(False, "qemu-system-x86_64 is not installed")
        deadline = time.monotonic() + _KVM_PROBE_SECONDS
        while machine.poll() is None and time.monotonic() < deadline:
            said = console.read_bytes()
            if b"Linux version" in said:
                return Kvm(True, "a kernel starts")
            if _KVM_FAILURE in said:
                break
            time.sleep(_POLL_SECONDS)
        return Kvm(False, _why_not(console))


def _why_not(console: Path) -> str:
    """Return what QEMU said of KVM, or else the first that it said."""
    lines = console.read_text(errors="replace").splitlines()
    telling = [line for line in lines if "KVM" in line or line.startswith("qemu-system")]
    return (telling or lines or ["with it a kernel says nothing"])[0].strip()


def cpus() -> int:
    """Return the processors of one machine.

    Emulated processors patch each other's code unsafely (seen with QEMU 7.2: the kernel dies in
    its own static branches), so under emulation there is only one.
    """
    return 2 if probe_kvm().works else 1


def boot(
    kernel: Bootable,
    plan: dict[str, Any],
    folder: Path,
    *,
    timeout: float,
    stop: Path,
    keeper: Keeper | None = None,
) -> dict[str, Any]:
    """Boot, run the plan, and return the guest's results; raise :class:`VmLostError`.

    ``folder`` is shared with the guest and keeps its evidence. The VM ends early when the file
    ``stop`` appears. It ends with its results, unless a ``keeper`` takes it over then.
    """
    if keeper:
        plan = {**plan, "console": keeper.console()}
    with _shared(kernel, plan, folder), ExitStack() as ends:
        terminal = keeper.socket if keeper else None
        line = command(kernel, folder, initramfs(kernel.modules_folder), terminal)
        machine = _start(line, folder, ends)
        _watch(machine, folder, timeout, stop)
        found = _results(folder)
        if keeper:
            keeper.take(machine, ends.pop_all())
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
    kvm = probe_kvm(kernel.image).works
    line = ["qemu-system-x86_64", "-machine", f"q35,accel={'kvm' if kvm else 'tcg'}"]
    line += ["-cpu", "host" if kvm else "max", "-smp", str(cpus()), "-m", _MEMORY]
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


def _start(line: list[str], folder: Path, ends: ExitStack) -> subprocess.Popen[bytes]:
    with (folder / "console.log").open("wb") as sink:
        machine = subprocess.Popen(
            line,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    ends.enter_context(ending(machine))
    return machine


def _watch(machine: subprocess.Popen[bytes], folder: Path, timeout: float, stop: Path) -> None:
    """Wait for results."""
    results = folder / "results.json"
    deadline = time.monotonic() + timeout
    silence = _Silence(folder / "progress.jsonl")
    while not results.exists() and machine.poll() is None:
        if stop.exists():
            raise VmLostError("the run was interrupted", folder)
        if time.monotonic() > deadline:
            raise VmLostError(f"no results after {timeout:g} s; the VM was ended", folder)
        if silence.seconds() > _STALL_SECONDS:
            message = f"the guest was silent for {_STALL_SECONDS:g} s; the VM was ended"
            raise VmLostError(message, folder, silent=True)
        time.sleep(_POLL_SECONDS)
    if not results.exists():
        raise VmLostError("the VM ended without results", folder)


def _results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    if not found["ok"]:
        raise TestBedError("guest", found["error"].strip(), _telling_log(folder))
    return found


class _Silence:
    """How long a growing file has not grown; before it exists nothing is silent yet."""

    def __init__(self, path: Path) -> None:
        self._path, self._size, self._since = path, 0, time.monotonic()

    def seconds(self) -> float:
        size = self._path.stat().st_size if self._path.exists() else 0
        if size != self._size or not size:
            self._size, self._since = size, time.monotonic()
        return time.monotonic() - self._since
