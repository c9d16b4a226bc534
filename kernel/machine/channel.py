"""The narrow way out of a machine: what the guest says of its run, over a virtio-serial port.

QEMU writes it into a pipe. What is no whole line of the right form, or too much, ends the machine;
the rest goes into a file for those who follow the run. Evidence takes another way
(:mod:`gso.kernel.machine.share`), and is judged against this.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from gso.kernel.guest_files import GuestFileError
from gso.kernel.machine import messages

PROGRESS = "progress.jsonl"
"""The file for those who follow the run, beside the evidence."""
PORT = {"name": "gso.report", "longest": messages.LONGEST}
"""The port as the guest is told of it: its name, and the most bytes of a line."""

_MOST, _MOST_LINES = 16 << 20, 100_000
_PIECE = 1 << 16


class Channel:
    """The host's side; ``end`` is what the guest says last, and empty before."""

    def __init__(self, plan: dict[str, Any], folder: Path) -> None:
        self.end: dict[str, Any] = {}
        self._exchanges = iter(exchanges(plan))
        self._file = folder / PROGRESS
        self._received, self._rest, self._lines = 0, b"", 0
        self._source, self.writer = os.pipe()
        os.set_blocking(self._source, False)

    def __enter__(self) -> Channel:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._source)
        os.close(self.writer)

    def read(self) -> int:
        """Take in what the guest has said since the last time; return its size in all.

        Raises :class:`GuestFileError` for what it may not say.
        """
        while not self.end and (piece := self._piece()):
            self._received += len(piece)
            if self._received > _MOST:
                raise GuestFileError(f"the guest said more than {_MOST} bytes")
            *lines, self._rest = (self._rest + piece).split(b"\n")
            for line in lines:
                self._take(line)
            if len(self._rest) > messages.LONGEST:
                raise GuestFileError(f"a line of the guest has more than {messages.LONGEST} bytes")
        return self._received

    def _piece(self) -> bytes:
        try:
            return os.read(self._source, _PIECE)
        except BlockingIOError:
            return b""

    def _take(self, line: bytes) -> None:
        if self.end:
            raise GuestFileError("the guest went on after its end")
        self._lines += 1
        if self._lines > _MOST_LINES:
            raise GuestFileError(f"the guest said more than {_MOST_LINES} lines")
        event = messages.read(line)
        if event["stage"] == "cell":
            self._check_order(event["result"])
        if event["stage"] == "end":
            self.end = event
        with self._file.open("a") as sink:
            sink.write(json.dumps(event) + "\n")

    def _check_order(self, result: dict[str, Any]) -> None:
        told, wanted = (result["scenario"], result["traffic"]), next(self._exchanges, None)
        if told != wanted:
            raise GuestFileError(f"the guest tells of {told}"[:200] + f", not of {wanted}")


def exchanges(plan: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the scenario and the traffic of each exchange that a guest has to tell of."""
    return [(s["name"], t["name"]) for s in plan.get("scenarios", ()) for t in s["traffic"]]


def options(writer: int) -> list[str]:
    """Return QEMU's options for the port: what comes goes to this file descriptor.

    A file that is appended to, for QEMU: other kinds are opened by name, or read from, too.
    """
    return [
        *("-add-fd", f"fd={writer},set=1"),
        *("-chardev", "file,id=report,path=/dev/fdset/1,append=on"),
        *("-device", "virtio-serial-pci,max_ports=2"),
        *("-device", f"virtserialport,name={PORT['name']},chardev=report"),
    ]


def events(folder: Path) -> list[dict[str, Any]]:
    """Return what the guest of a run with this folder has said so far."""
    return [json.loads(line) for line in lines(folder)]


def lines(folder: Path) -> list[str]:
    """Return the lines of it; one that is still being written waits."""
    path = folder / PROGRESS
    return path.read_text().split("\n")[:-1] if path.exists() else []
