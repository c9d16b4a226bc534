"""Run bpftrace on a live host, and tell what the host lacks for that."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gso.diagnosis.kernel_functions import ENCAPSULATORS, SKB_NOT_FIRST, TUNNEL_SEGMENTERS
from gso.diagnosis.packet_filter import EVERYTHING, PacketFilter
from gso.diagnosis.recorders import bpftrace_program
from gso.traces._events import EventScanner
from gso.traces.trace import Trace

__all__ = ["WatchError", "kernel_functions", "lacking", "program", "watch"]

_FUNCTIONS = tuple(
    name
    for name in (*ENCAPSULATORS, "__dev_queue_xmit", *TUNNEL_SEGMENTERS)
    if name not in SKB_NOT_FIRST
)
_BTF = Path("/sys/kernel/btf/vmlinux")
_SYMBOLS = Path("/proc/kallsyms")
_TRACING = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.5
_MOST_KEPT, _MOST_SAID = 1 << 20, 1 << 16


class WatchError(Exception):
    """The host cannot be watched; the message says why, and what to do about it."""


def kernel_functions() -> frozenset[str]:
    """Return the names of the functions in the running kernel and its modules."""
    try:
        text = _SYMBOLS.read_text(errors="replace")
    except OSError:
        return frozenset()
    return frozenset(re.findall(r"^\S+ [tT] (\S+)", text, re.MULTILINE))


def program(functions: Collection[str], where: PacketFilter = EVERYTHING) -> str:
    """Return the bpftrace program for a kernel that has these functions, and for these packets.

    Raises:
        WatchError: none of them would show a tunnel.
    """
    present = [name for name in _FUNCTIONS if name in functions]
    if not present:
        raise WatchError(
            "the kernel has no function to attach to: none of "
            f"{', '.join(TUNNEL_SEGMENTERS)}, __dev_queue_xmit is in {_SYMBOLS}"
        )
    return bpftrace_program(present, where=where)


def lacking(bpftrace: str) -> list[str]:
    """Return what this host lacks to be watched, each with a remedy; empty if nothing."""
    found = []
    if os.geteuid():
        found.append("root: attaching to the kernel needs it (sudo gso watch)")
    if shutil.which(bpftrace) is None:
        found.append(f"{bpftrace}: it is not installed (Debian: apt-get install bpftrace)")
    if not _BTF.exists():
        found.append(f"BTF: {_BTF} is not there (the kernel needs CONFIG_DEBUG_INFO_BTF=y)")
    if not any(_exists(folder / "kprobe_events") for folder in _TRACING):
        found.append(
            f"kprobes: {_TRACING[0]}/kprobe_events is not there (the kernel needs "
            "CONFIG_KPROBE_EVENTS=y, and tracefs: mount -t tracefs tracefs /sys/kernel/tracing)"
        )
    return found


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return True  # only root may look there, and the list already asks for root


def watch(
    text: str,
    *,
    bpftrace: str = "bpftrace",
    seconds: float | None = None,
    count: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Trace]:
    """Run a bpftrace program and yield its events as they arrive.

    Args:
        text: the program.
        bpftrace: the command that runs it.
        seconds: end this long after the start of bpftrace.
        count: end after this many events.
        stopped: called now and then, returns whether to end.

    Raises:
        WatchError: bpftrace cannot run it; the message has bpftrace's own.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    scanner = EventScanner()
    events = 0
    with _running([bpftrace, "-B", "none", "-e", text]) as process, _complaints(process) as said:
        for lines in _whole_events(process, said, scanner, deadline, stopped):
            scanner.feed(lines, 0)
            columns, state, names = scanner.take()
            read, _, damaged, lost = scanner.totals
            yield Trace(
                "ftrace", columns, state, names, read, damaged, list(scanner.damaged_lines), lost
            )
            events += len(state)
            if count is not None and events >= count:
                return


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # an interrupt of the terminal is ours to pass on
        )
    except OSError as error:
        raise WatchError(f"{command[0]} cannot be run: {error.strerror}") from None
    try:
        yield process
    finally:
        if process.stdout:
            process.stdout.close()  # lest it wait for us to read more
        for sign in (signal.SIGINT, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(sign)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE_SECONDS)
        process.wait()


@contextmanager
def _complaints(process: subprocess.Popen[bytes]) -> Iterator[Callable[[], str]]:
    """Read what the process says on standard error, lest it wait; returns the end of it."""
    kept = bytearray()

    def read() -> None:
        assert process.stderr is not None
        with process.stderr as pipe:
            while data := os.read(pipe.fileno(), 1 << 16):
                kept.extend(data)
                del kept[:-_MOST_SAID]

    def said() -> str:
        reader.join(_GRACE_SECONDS)
        return kept.decode(errors="replace").strip()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    yield said


def _whole_events(
    process: subprocess.Popen[bytes],
    said: Callable[[], str],
    scanner: EventScanner,
    deadline: float | None,
    stopped: Callable[[], bool],
) -> Iterator[bytes]:
    """Yield bpftrace's output, cut before an event, or where no more comes for a moment.

    At the end bpftrace is interrupted and read to its last line: events from before the interrupt
    are still on their way from the kernel.
    """
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    kept = b""
    patience: float | None = None
    while patience is None or time.monotonic() < patience:
        if patience is None and (stopped() or (deadline and time.monotonic() >= deadline)):
            process.send_signal(signal.SIGINT)
            patience = time.monotonic() + _GRACE_SECONDS
        ready, _, _ = select.select([pipe], [], [], _POLL_SECONDS)
        data = os.read(pipe, 1 << 16) if ready else b""
        kept += data
        whole = kept.rfind(b"\n") + 1
        end = scanner.last_event(kept[:whole]) if data else whole
        if end:
            yield _without_notes(kept[:end])
        kept = kept[end:][-_MOST_KEPT:]
        if ready and not data:
            if patience is None:
                _check_end(process, said)
            return


def _without_notes(lines: bytes) -> bytes:
    """Take out the lines in which bpftrace reports its own progress."""
    return re.sub(rb"(?m)^(Attaching \d+ probes?\.\.\.)?\n", b"", lines)


def _check_end(process: subprocess.Popen[bytes], said: Callable[[], str]) -> None:
    status = process.wait()
    if status:
        raise WatchError(f"bpftrace ended with {status}: {said() or 'it said nothing'}")
