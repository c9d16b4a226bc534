"""Boot a kernel in QEMU with a plan, and collect what the guest wrote.

The host owns the clock. The guest reports by lines through a port, and its last one says that all
is done (:mod:`gso.kernel.machine.channel`), so a VM that dies or hangs is seen as exactly that, and
never as a kernel that failed the test.

QEMU runs in a sandbox where this host has one (:mod:`gso.kernel.sandbox`), with the system calls
that it needs, and with limits: for its console, for each file, and for all files of the guest.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from gso.kernel import guest_files
from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError, tells_of_crash
from gso.kernel.guest_files import GuestFileError
from gso.kernel.machine import blocks, capacity, channel, qemu, vng
from gso.kernel.machine.channel import Channel
from gso.kernel.machine.initramfs import initramfs
from gso.kernel.machine.kept_shell import KeptMachine
from gso.kernel.machine.qemu import Machine
from gso.kernel.machine.share import Share, shared
from gso.kernel.processes import started

_POLL_SECONDS = 0.1
# The guest reports after each exchange, and those have time limits of a few seconds.
_STALL_SECONDS = 60.0
_CONSOLE = "console.log"
_LARGEST_CONSOLE = 16 << 20
_SIZE_TURNS = 20

Way = Literal["qemu", "vng"]
WAYS: tuple[Way, ...] = ("qemu", "vng")
"""Who makes QEMU's options, the initramfs and the first process: the test bed, or virtme-ng."""
WAY = "PYGSO_BOOT"


def way() -> Way:
    """Return how machines boot: ``--boot``, for this process and all that it starts."""
    return "vng" if os.environ.get(WAY) == "vng" else "qemu"


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
        return tells_of_crash(guest_files.lines(folder / _CONSOLE))
    except GuestFileError:
        return False


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
    how: Way | None = None,
    watched: Sequence[range] = (),
) -> dict[str, Any]:
    """Boot, run the plan, and return what the guest said at its end; or :class:`VmLostError`.

    Where the host has as many machines as it carries, this waits for one of them to end first.
    ``folder`` gets the evidence when the VM has ended; the guest does not see it. The VM ends
    early when the file ``stop`` appears, and with its results, unless ``kept`` takes it over then.
    ``inputs``: files that the guest finds in :data:`gso.kernel.machine.share.GIVEN`.
    ``shown``: folders of this host that the guest sees at their places, and cannot change.
    ``how``: the way of booting, if not that of :func:`way`. ``watched``: addresses of which is
    noted what ran (:mod:`gso.kernel.machine.blocks`), which the test bed's own way alone can.
    """
    if kept:
        plan = {**plan, "console": kept.console()}
    folder.mkdir(parents=True)
    if watched:
        (folder / blocks.FOLDER).mkdir()
    try:
        with capacity.place(stop), ExitStack() as ends:
            port = ends.enter_context(Channel(plan, folder))
            plan = {**plan, "port": channel.PORT}
            share = ends.enter_context(shared(kernel, plan, inputs, folder))
            ends.callback(share.take)
            socket = kept.socket if kept else None
            wanted = Machine(kernel, share, folder, port.writer, socket, tuple(shown), watched)
            line = _command(wanted, how or way(), ends)
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


def _command(machine: Machine, how: Way, ends: ExitStack) -> list[str]:
    if how == "vng":
        home = ends.enter_context(tempfile.TemporaryDirectory(prefix="gso-kernel-"))
        return vng.command(machine, Path(home))
    return qemu.command(machine, initramfs(machine.kernel.modules_folder))


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
