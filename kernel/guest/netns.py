"""Enter network namespaces and run the tools that configure them."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000
_MS_BIND = 0x1000
_NAMED = Path("/run/netns")
_HOME = Path("/proc/thread-self/ns/net")
_MAY_END, _MARK = "fou ", "link show dev lo\n"
_FAILED = re.compile(r"Command failed -:(\d+)")
_libc = ctypes.CDLL(None, use_errno=True)


class SetupError(RuntimeError):
    """A tool that prepares the topology failed; the message has its command and output."""


def run(command: Sequence[str], text: str | None = None) -> str:
    """Run a tool with ``text`` on its standard input, and return what it printed."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise SetupError(f"{' '.join(command)}: exit {done.returncode}: {said}")
    return done.stdout


def ip_batch(namespace: str, lines: Sequence[str], family: int | None = None) -> None:
    """Run many ``ip`` commands in one process: starting one is slow under emulation."""
    failed = try_ip_batch(namespace, lines, family)
    if failed:
        said = "; ".join(f"ip {line}: {why}" for line, why in failed.items())
        raise SetupError(f"in namespace {namespace}: {said}")


def try_ip_batch(namespace: str, lines: Sequence[str], family: int | None = None) -> dict[str, str]:
    """Run them all, and return for each one that failed what the kernel or ``ip`` said."""
    option = [f"-{family}"] if family else []
    command = ["ip", *option, "-oneline", "-n", namespace, "-force", "-batch", "-"]
    # Where the kernel has no FOU, ip ends although it was told to go on; so after each such
    # command comes one that prints a line, and the lines tell how far it came.
    numbered: list[int] = []
    text = ""
    for number, line in enumerate(lines):
        text += f"{line}\n"
        numbered.append(number)
        if line.startswith(_MAY_END):
            text += _MARK
            numbered.append(number)
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, check=False
    )
    failed: dict[str, str] = {}
    said: list[str] = []
    for line in done.stderr.splitlines():
        if match := _FAILED.match(line):
            failed[lines[numbered[int(match[1]) - 1]]] = " ".join(said) or "failed"
            said = []
        else:
            said.append(line.removeprefix("Error: ").removeprefix("RTNETLINK answers: "))
    if not said and (failed or not done.returncode):
        return failed
    risky = [number for number, line in enumerate(lines) if line.startswith(_MAY_END)]
    passed = done.stdout.count("\n")
    if passed == len(risky):
        # What ip cannot even read ends it too, and that is a mistake in the command.
        raise SetupError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    at = risky[passed]
    rest = try_ip_batch(namespace, lines[at + 1 :], family)
    return {**failed, lines[at]: " ".join(said), **rest}


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Run the body in the namespace; sockets made there stay there."""
    with _HOME.open() as home, Path(_NAMED, namespace).open() as target:
        _setns(target.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def _setns(descriptor: int) -> None:
    _call("setns", descriptor, _CLONE_NEWNET)


def _call(name: str, *arguments: int | bytes | None) -> None:
    if getattr(_libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def isolate(names: Sequence[str]) -> None:
    """Give this process new namespaces of these names, which no other sees and which end with it.

    ``ip netns add`` and ``del`` are two programs to start, and leave them where it is killed.
    """
    _call("unshare", _CLONE_NEWNS)
    _call("mount", b"tmpfs", bytes(_NAMED), b"tmpfs", 0, None)
    with _HOME.open() as home:
        for name in names:
            place = _NAMED / name
            place.touch()
            _call("unshare", _CLONE_NEWNET)
            _call("mount", bytes(_HOME), bytes(place), None, _MS_BIND, None)
        _setns(home.fileno())


class Kept:
    """A file below /proc/net of a namespace, open to be read again; empty where there is none."""

    def __init__(self, namespace: str, name: str) -> None:
        self._file = -1
        with inside(namespace), suppress(FileNotFoundError):
            self._file = os.open(f"/proc/thread-self/net/{name}", os.O_RDONLY)

    def read(self) -> str:
        """Return what it has now."""
        data = b""
        while self._file >= 0 and (piece := os.pread(self._file, 1 << 16, len(data))):
            data += piece
        return data.decode()

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)


def device_counters(namespace: str) -> dict[str, dict[str, int]]:
    """Return received, transmitted and dropped packets of each device, from /proc/net/dev."""
    return devices(Kept(namespace, "dev").read())


def devices(text: str) -> dict[str, dict[str, int]]:
    """Read /proc/net/dev."""
    counters = {}
    for line in text.splitlines()[2:]:
        device, _, columns = line.partition(":")
        numbers = [int(column) for column in columns.split()]
        counters[device.strip()] = {
            "rx_packets": numbers[1],
            "rx_errors": numbers[2],
            "rx_dropped": numbers[3],
            "tx_packets": numbers[9],
            "tx_dropped": numbers[11],
        }
    return counters
