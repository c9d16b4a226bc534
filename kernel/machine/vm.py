"""Boot a kernel in QEMU with a plan, and collect what the guest wrote.

The host owns the clock. The guest reports by lines through a port, and its last one says that all
is done (:mod:`gso.kernel.machine.channel`), so a VM that dies or hangs is seen as exactly that, and
never as a kernel that failed the test.

QEMU runs in a sandbox where this host has one (:mod:`gso.kernel.sandbox`), with the system calls
that it needs, and with limits: for its console, for each file, and for all files of the guest.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from gso.kernel import guest_files, sandbox
from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError, UsageError, crash_line
from gso.kernel.guest_files import GuestFileError
from gso.kernel.machine import capacity, channel, kvm
from gso.kernel.machine.channel import Channel
from gso.kernel.machine.initramfs import initramfs
from gso.kernel.machine.kept_shell import KeptMachine
from gso.kernel.machine.share import Share, shared
from gso.kernel.processes import started

_POLL_SECONDS = 0.1
_MEMORY = "1G"
# The guest reports after each exchange, and those have time limits of a few seconds.
_STALL_SECONDS = 60.0
_CONSOLE = "console.log"
_LARGEST_CONSOLE, _LARGEST_FILE = 16 << 20, 256 << 20
_SIZE_TURNS = 20
_ONLY_NEEDED_CALLS = (
    *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
)

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
        console = guest_files.read_text(folder / _CONSOLE)
    except GuestFileError:
        return False
    return crash_line(console.splitlines()) is not None


def _telling_log(folder: Path) -> Path:
    """Return the console's log, or the guest's own words where the kernel did not crash."""
    guest = folder / "guest.log"
    told = not _crashed(folder) and guest.exists() and guest.stat().st_size
    return guest if told else folder / _CONSOLE


def boot(
    kernel: Bootable,
    plan: dict[str, Any],
    folder: Path,
    *,
    timeout: float,
    stop: Path,
    kept: KeptMachine | None = None,
    inputs: Sequence[Path] = (),
    shown: Sequence[Path] = (),
) -> dict[str, Any]:
    """Boot, run the plan, and return what the guest said at its end; or :class:`VmLostError`.

    Where the host has as many machines as it carries, this waits for one of them to end first.
    ``folder`` gets the evidence when the VM has ended; the guest does not see it. The VM ends
    early when the file ``stop`` appears, and with its results, unless ``kept`` takes it over then.
    ``inputs``: files that the guest finds in :data:`gso.kernel.machine.share.GIVEN`.
    ``shown``: folders of this host that the guest sees at their places, and cannot change.
    """
    if kept:
        plan = {**plan, "console": kept.console()}
    folder.mkdir(parents=True)
    try:
        with capacity.place(stop), ExitStack() as ends:
            port = ends.enter_context(Channel(plan, folder))
            plan = {**plan, "port": channel.PORT}
            share = ends.enter_context(shared(kernel, plan, inputs, folder))
            ends.callback(share.take)
            archive = initramfs(kernel.modules_folder)
            socket = kept.socket if kept else None
            line = command(kernel, share, archive, folder, socket, port=port.writer, shown=shown)
            log = folder / _CONSOLE
            machine = ends.enter_context(started(line, log, folder, keep=(port.writer,)))
            _watch(machine, share, port, folder, timeout=timeout, stop=stop)
            if kept:
                share.take()
                kept.take(machine, ends.pop_all(), share.left)
    except _EndedError as end:
        raise VmLostError(str(end), folder, silent=end.silent) from None
    if not port.end["ok"]:
        said = str(port.end.get("error", "the guest failed and does not say why"))
        raise TestBedError("guest", said.strip(), _telling_log(folder))
    return port.end


def command(
    kernel: Bootable,
    share: Share,
    archive: Path,
    folder: Path,
    terminal: Path | None = None,
    *,
    port: int,
    shown: Sequence[Path] = (),
) -> list[str]:
    """Return the command line for a kernel with its shared folders and its initramfs.

    ``folder``: the place of the evidence, for people who look at the processes of this host.
    ``terminal``: a socket for a second serial port. ``port``: the file descriptor, which QEMU
    inherits, that gets what the guest says of its run. ``shown``: as for :func:`boot`.
    """
    native = kvm.probe(kernel.image).works
    line = ["qemu-system-x86_64", "-name", f"guest={_escaped(folder)}"]
    line += ["-machine", f"q35,accel={'kvm' if native else 'tcg'}"]
    line += ["-cpu", "host" if native else "max", "-smp", str(capacity.cpus()), "-m", _MEMORY]
    line += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
    line += ["-serial", f"unix:{_escaped(terminal)},server=on,wait=off"] if terminal else []
    line += channel.options(port)
    programs = _programs(shown)
    for number, programs_folder in enumerate(programs):
        line += _read_only(f"gso.programs{number}", programs_folder)
    if kernel.modules_folder:
        line += _read_only("gso.modules", kernel.modules_folder)
    line += _read_only("gso.given", share.given)
    # Its links, devices and modes are notes of QEMU's, and plain files on this host.
    line += _share("gso.left", share.left, "security_model=mapped-file")
    line += ["-kernel", str(kernel.image), "-initrd", str(archive)]
    arguments = [f"8250.nr_uarts={2 if terminal else 1}", f"gso.python={guest_python()}"]
    arguments += [f"gso.programs={':'.join(map(str, programs))}"]
    line += ["-append", " ".join((*_KERNEL_ARGUMENTS, *arguments))]
    readable = [kernel.image, archive, share.given, *programs]
    readable += [kernel.modules_folder] if kernel.modules_folder else []
    writable = [share.left] + ([terminal.parent] if terminal else [])
    return _limited(line, readable, writable)


def _limited(line: list[str], readable: list[Path], writable: list[Path]) -> list[str]:
    """Return a command line with the limits of QEMU and its end with ours."""
    limits = ["prlimit", f"--fsize={_LARGEST_FILE}", "--core=0", "--"]
    if _filters_calls():
        line = [*line, *_ONLY_NEEDED_CALLS]
    if sandbox.works():
        devices = [kvm.DEVICE]
        line = sandbox.confined(line, readable=readable, writable=writable, devices=devices)
        return [*limits, *line]
    return [*limits, "setpriv", "--pdeathsig", "KILL", "--", *line]


@functools.cache
def _filters_calls() -> bool:
    """Say whether this QEMU was built with a filter for system calls."""
    asked = ["qemu-system-x86_64", *_ONLY_NEEDED_CALLS, "-version"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _programs(shown: Sequence[Path]) -> list[Path]:
    """Return the folders of this host's programs that the guest sees, and those shown to it."""
    folders = sandbox.program_folders()
    folders += [folder for folder in shown if not _is_in(folder, folders)]
    python = Path(guest_python())
    if not _is_in(python, folders):
        folders.append(Path(sys.base_prefix))
    for folder in folders:
        if re.search(r"[^\w/.+@%=-]", str(folder)):
            raise UsageError(f"a guest cannot use programs in a folder of this name: {folder}")
    return folders


def _is_in(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _read_only(tag: str, folder: Path) -> list[str]:
    return _share(tag, folder, "security_model=none,readonly=on")


def _share(tag: str, folder: Path, how: str) -> list[str]:
    name = tag.replace(".", "-")
    return [
        *("-fsdev", f"local,id={name},path={_escaped(folder)},multidevs=remap,{how}"),
        *("-device", f"virtio-9p-pci,fsdev={name},mount_tag={tag}"),
    ]


def _escaped(path: Path) -> str:
    """Return a path as QEMU's options have it."""
    return str(path).replace(",", ",,")


def guest_python() -> str:
    """Return a Python that the guest can start."""
    for candidate in ("/usr/bin/python3", os.path.realpath(sys.executable)):
        if os.access(candidate, os.X_OK):
            return candidate
    raise TestBedError("set-up", "no Python for the guest: neither /usr/bin/python3 nor this one")


class _EndedError(Exception):
    """The guest is not to be waited for any longer."""

    def __init__(self, message: str, *, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent


def _watch(
    machine: subprocess.Popen[bytes],
    share: Share,
    port: Channel,
    folder: Path,
    *,
    timeout: float,
    stop: Path,
) -> None:
    """Wait for what the guest says at its end; raise :class:`_EndedError` when it will not."""
    console = folder / _CONSOLE
    begun = time.monotonic()
    silence = _Silence()
    for turn in itertools.count():
        over = machine.poll() is not None  # asked first: what is read after it is all
        said = port.read()
        if port.end:
            return
        if over:
            raise _EndedError("the VM ended without results")
        if stop.exists():
            raise _EndedError("the run was interrupted")
        if time.monotonic() - begun > timeout:
            raise _EndedError(f"no results after {timeout:g} s; the VM was ended")
        if silence.seconds(said) > _STALL_SECONDS:
            message = f"the guest was silent for {_STALL_SECONDS:g} s; the VM was ended"
            raise _EndedError(message, silent=True)
        if console.stat().st_size > _LARGEST_CONSOLE:
            message = f"the kernel's log has more than {_LARGEST_CONSOLE} bytes; the VM was ended"
            raise _EndedError(message)
        if turn % _SIZE_TURNS == 0 and share.is_too_large():
            raise _EndedError("the guest left more than it may; the VM was ended")
        time.sleep(_POLL_SECONDS)


class _Silence:
    """Measures for how long a size has not grown; as long as it is zero that is zero."""

    def __init__(self) -> None:
        self._size, self._since = 0, time.monotonic()

    def seconds(self, size: int) -> float:
        if size != self._size or not size:
            self._size, self._since = size, time.monotonic()
        return time.monotonic() - self._since
