"""A virtual machine that stays up after its results are in, with a shell on a socket."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import termios
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from gso.kernel.errors import TestBedError

# The second serial port: the first one is the kernel's console, and goes into a log.
_DEVICE = "/dev/ttyS1"
_END_KEY = b"\x1d"  # Ctrl-], as in telnet
_PIECE = 1 << 16


class KeptMachine:
    """Takes over one machine, that of ``variant``, and ends it when the block is left."""

    def __init__(self, variant: str) -> None:
        self.variant = variant
        self._ends = ExitStack()
        folder = self._ends.enter_context(tempfile.TemporaryDirectory(prefix="gso-kernel-"))
        self.socket = Path(folder) / "shell"
        self.left: Path | None = None
        self._machine: subprocess.Popen[Any] | None = None

    def __enter__(self) -> KeptMachine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.__exit__(kind, error, trace)

    def console(self) -> dict[str, Any]:
        """Return what the guest must know of the user's terminal."""
        size, kind = shutil.get_terminal_size(), os.environ.get("TERM", "dumb")
        return {"device": _DEVICE, "rows": size.lines, "columns": size.columns, "term": kind}

    def take(self, machine: subprocess.Popen[Any], ends: ExitStack, left: Path) -> None:
        """Take over a machine: ``ends``, which would end it with its job, is called here.

        ``left``: where the guest goes on to leave files.
        """
        self._machine, self.left = machine, left
        self._ends.enter_context(ends)

    def attach(self) -> None:
        """Give the user a shell in the machine, until that ends.

        Without a terminal, say where the shell is and wait until it has ended.
        """
        if self._machine is None:
            raise TestBedError("vm", f"the {self.variant} kernel's machine did not live to be kept")
        if not sys.stdin.isatty():
            _say(
                f"the {self.variant} kernel's machine is up; for its shell, in another terminal:\n"
                f"  socat -,raw,echo=0 UNIX-CONNECT:{self.socket}\n"
                "and Enter; it ends when that shell does, or when this command is interrupted"
            )
            self._machine.wait()
            return
        _say(f"a shell in the {self.variant} kernel's machine; Ctrl-] ends both at once")
        with socket.socket(socket.AF_UNIX) as line, _raw(sys.stdin.fileno()):
            line.connect(str(self.socket))
            line.sendall(b"\n")  # the guest waits for a user to press Enter
            _carry(sys.stdin.fileno(), sys.stdout.fileno(), line)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Pass on every key as it is: those that interrupt are for the guest."""
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _carry(keys: int, screen: int, line: socket.socket) -> None:
    """Carry bytes both ways until the machine or the user ends it."""
    sources: list[int | socket.socket] = [keys, line]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if line in ready:
            said = line.recv(_PIECE)
            if not said:
                return
            while said:
                said = said[os.write(screen, said) :]
        if keys in ready:
            typed = _typed(keys)
            if not typed or _END_KEY in typed:
                return
            line.sendall(typed)


def _typed(keys: int) -> bytes:
    try:
        return os.read(keys, _PIECE)
    except OSError:  # the terminal's other side is gone, as when a connection breaks
        return b""
