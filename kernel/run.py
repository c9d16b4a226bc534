"""Run tools with their output in a log, and leave none of them behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from gso.kernel.errors import TestBedError


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
    stage: str,
    command: Sequence[str],
    log: Path,
    folder: Path,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a long command in ``folder`` with its output appended to ``log``."""
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(command)}\n".encode())
        sink.flush()
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**_plain_language(), **(env or {})},
            )
        except FileNotFoundError:
            raise TestBedError(
                stage, f"{command[0]} is not installed; see gso-kernel doctor"
            ) from None
        with ending(process):
            status = process.wait()
    if status:
        raise TestBedError(stage, f"{' '.join(command[:3])} ... ended with {status}", log)


class ending:  # noqa: N801  (used like contextlib's own)
    """End the process and its whole group when the block is left, whatever the reason."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            # The leader may be gone and the group still there: always signal the group.
            try:
                os.killpg(self._process.pid, sign)
            except ProcessLookupError:
                break
            try:
                self._process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                continue
        self._process.wait()


def _plain_language() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8"}
