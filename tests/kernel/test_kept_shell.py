"""A machine that is kept after its verdict: looked into on a terminal, and ended."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gso.kernel.machine.kept_shell import KeptMachine
from gso.kernel.paths import patches_folder

from testbed import virtual_machines

MAIN = patches_folder() / "ipvs-gue-inner-mac-header.patch"
SCENARIO = "gue-outer4-inner4-nocsum"
VERIFY = [sys.executable, "-m", "gso.kernel", "verify", str(MAIN), "--only", SCENARIO]


class Dialogue:
    """A command on a terminal of its own."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.terminal, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb"},
        )
        os.close(theirs)
        self.said = ""

    def until(self, pattern: str, seconds: float = 1200) -> re.Match[str]:
        """Read on until the pattern is there; what comes up to its end is used up."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said)):
            ready, _, _ = select.select([self.terminal], [], [], deadline - time.monotonic())
            assert ready, self.said
            self.said += os.read(self.terminal, 1 << 16).decode(errors="replace")
        self.said = self.said[found.end() :]
        return found

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def ended(self) -> int:
        """Read to the end, and return the exit status."""
        try:
            while text := os.read(self.terminal, 1 << 16):
                self.said += text.decode(errors="replace")
        except OSError:  # the other side of a terminal is gone
            pass
        os.close(self.terminal)
        return self.process.wait(30)


@pytest.mark.vm
@pytest.mark.usefixtures("test_bed", "nothing_is_left_behind")
def test_the_unpatched_machine_is_looked_into_after_the_verdict(tmp_path):
    user = Dialogue([*VERIFY, "--keep-vm", "unpatched"], tmp_path)
    user.until("verdict: FIXED")
    user.until("a shell in the unpatched kernel's machine")
    assert len(virtual_machines(tmp_path)) == 1
    user.until("gso# ")
    user.type("ip -n director -s link show up0 | tail -1\n")
    # bytes, packets, errors, dropped: what the traffic left is still there.
    user.until(r"link show up0 \| tail -1\s")
    assert int(user.until(r"\s*\d+\s+\d+\s+\d+\s+(\d+)\s")[1]) > 20
    user.type(f"send {SCENARIO} small\n")
    user.until("small: intact")
    user.type("stty size; sleep 100\n")
    user.until(r"\d+ \d+\s")
    user.type("\x03")  # for the guest's sleep, not for the host's command
    user.type("exit\n")
    assert user.ended() == 0
    assert list((tmp_path / "results").glob("*/report.html"))


@pytest.mark.vm
@pytest.mark.usefixtures("test_bed", "nothing_is_left_behind")
def test_without_a_terminal_the_machine_waits_until_it_is_ended(tmp_path):
    # A shell starts what is to run in the background with SIGINT ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [*VERIFY, "--keep-vm", "patched"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            told = _until_it_waits(process)
            assert b"42" in _asked(told)
            assert process.poll() is None
            assert virtual_machines(tmp_path)
        finally:
            process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in told + rest
    assert list((tmp_path / "results").glob("*/report.html"))


def _until_it_waits(process: subprocess.Popen[str]) -> str:
    told = ""
    assert process.stderr
    for line in process.stderr:
        told += line
        if "it ends when" in line:
            break
    return told


def _asked(told: str) -> bytes:
    """Ask the shell a sum, as from another terminal, and return all that it says."""
    place = re.search(r"UNIX-CONNECT:(\S+)", told)
    assert place, told
    with socket.socket(socket.AF_UNIX) as shell:
        shell.settimeout(60)
        shell.connect(place[1])
        shell.sendall(b"\necho $((6 * 7))\n")
        said = b""
        while b"42" not in said:
            said += shell.recv(4096)
    return said


def test_a_machine_that_did_not_live_cannot_be_attached_to():
    with KeptMachine("patched") as kept, pytest.raises(Exception, match="did not live to be kept"):
        kept.attach()
    assert not kept.socket.parent.exists()


@pytest.mark.parametrize("arguments", [["--kernel", "6.1", "--kernel", "6.12"], ["--repeat", "2"]])
def test_only_one_machine_can_be_kept(gso_kernel, arguments):
    done = gso_kernel("verify", MAIN, "--keep-vm", "patched", *arguments)
    assert done.status == 2
    assert "one machine can be kept" in done.err
