"""Run tools with their output in a log, and leave none of them running."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from gso.kernel.errors import TestBedError

# Administrators' tools (ipvsadm, modprobe) are in sbin, which is not on every user's path.
SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"

_GRACE_SECONDS = 5.0
# Programs that are to end with us get a signal when the thread ends that started them. This one
# lives as long as we do.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="starter")


def output(*command: str) -> str:
    """Return what a short command prints; raise :class:`TestBedError` if it cannot or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=_plain_language()
        )
    except FileNotFoundError:
        raise TestBedError(
            "set-up", f"{command[0]} is not installed; see gso-kernel doctor"
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise TestBedError("set-up", f"{' '.join(command)}: exit {done.returncode}: {said}")
    return done.stdout


def logged(
    stage: str, command: Sequence[str], log: Path, folder: Path, within: Sequence[str] = ()
) -> None:
    """Run a long command in ``folder`` with its output appended to ``log``.

    ``within``: the beginning of a command line that confines it.
    """
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(command)}\n".encode())
        sink.flush()
        try:
            process = _start([*within, *command], sink, folder, _plain_language())
        except FileNotFoundError:
            raise TestBedError(
                stage, f"{command[0]} is not installed; see gso-kernel doctor"
            ) from None
        with ending(process):
            status = process.wait()
    if status:
        raise TestBedError(stage, f"{' '.join(command[:3])} ... ended with {status}", log)


@contextmanager
def started(
    command: Sequence[str], log: Path, folder: Path, *, keep: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Have a command run in ``folder``, its output in ``log``, until the block is left.

    ``keep``: the file descriptors of ours that it inherits.
    """
    with log.open("wb") as sink:
        process = _start(command, sink, folder, keep=keep)
    with ending(process):
        yield process


def _start(
    command: Sequence[str],
    sink: IO[bytes],
    folder: Path,
    environment: dict[str, str] | None = None,
    *,
    keep: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    return _STARTER.submit(
        subprocess.Popen[bytes],
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=environment,
        pass_fds=keep,
    ).result()


class ending:  # noqa: N801  (used like contextlib's own)
    """End the process and its whole group when the block is left, whatever the reason."""

    def __init__(self, process: subprocess.Popen[Any]) -> None:
        self._process = process

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        # The leader may be gone and the group still there: what counts is the group.
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if self._signal_group(sign) and self._group_ends():
                break
        self._process.wait()

    def _signal_group(self, sign: int) -> bool:
        try:
            os.killpg(self._process.pid, sign)
        except ProcessLookupError:
            return False
        return True

    def _group_ends(self) -> bool:
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline:
            self._process.poll()  # a leader that was not waited for would keep the group alive
            if not self._signal_group(0) or not _lives(self._process.pid):
                return True
            time.sleep(0.02)
        return False


def _lives(group: int) -> bool:
    """Say whether a process of the group still runs.

    One that ended stays in the group until its parent asks for it. Where the parent is gone, that
    is the first process of the host, which in many containers never asks.
    """
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            # proc_pid_stat(5): state, parent and group follow the name, which may hold anything.
            state, _parent, its_group = path.read_bytes().rpartition(b")")[2].split(None, 3)[:3]
            if int(its_group) == group and state not in (b"Z", b"X"):
                return True
    return False


def _plain_language() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8"}
