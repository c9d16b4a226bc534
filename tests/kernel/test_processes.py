"""Nothing that the test bed starts may outlive it."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from gso.kernel import processes
from gso.kernel.errors import TestBedError
from gso.kernel.processes import ending, logged, output

SUBREAPER = 36  # prctl(2)


def runs(group: int) -> bool:
    """Say whether a process of the group runs; one that ended and was not waited for does not."""
    for path in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            told = dict(line.split(":", 1) for line in path.read_text().splitlines())
            if told["NSpgid"].split()[0] == str(group) and told["State"].split()[0] not in "ZX":
                return True
    return False


@pytest.fixture
def subreaper():
    """Be the parent of orphans, and never ask for those that ended."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(SUBREAPER, 1) == 0
    yield
    prctl(SUBREAPER, 0)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@pytest.mark.parametrize(
    "script",
    [
        "sleep 100",
        "sleep 100 & sleep 100 & wait",
        "sleep 100 & exit 0",  # the leader ends, its child stays
        "exit 0",
        "trap '' TERM; while :; do sleep 0.1; done",
    ],
)
def test_the_whole_group_ends(script, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.5)
    process = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    with ending(process):
        time.sleep(0.3)
        was = runs(process.pid)
    assert was == (script != "exit 0")
    assert not runs(process.pid)


@pytest.mark.usefixtures("subreaper")
def test_orphans_that_ended_are_not_waited_for(monkeypatch):
    sent = []
    kill = os.killpg
    monkeypatch.setattr(os, "killpg", lambda group, sign: (sent.append(sign), kill(group, sign)))
    process = subprocess.Popen(["sh", "-c", "sleep 0.1 & exit 0"], start_new_session=True)
    time.sleep(0.5)
    with ending(process):
        process.wait()
    kill(process.pid, 0)  # it is still there, and has ended
    assert sent == [signal.SIGTERM, 0]


def test_a_command_is_logged_and_its_failure_named(tmp_path):
    log = tmp_path / "log"
    logged("build", ["sh", "-c", "echo fine"], log, tmp_path)
    with pytest.raises(TestBedError, match="ended with 3") as caught:
        logged("build", ["sh", "-c", "echo broken >&2; exit 3"], log, tmp_path)
    assert caught.value.stage == "build"
    assert caught.value.log_tail.splitlines()[-1] == "broken"
    assert "fine" in log.read_text()


def test_missing_programs_point_to_the_doctor(tmp_path):
    for call in (
        lambda: output("no-such-program"),
        lambda: logged("build", ["no-such-program"], tmp_path / "log", tmp_path),
    ):
        with pytest.raises(TestBedError, match="gso-kernel doctor"):
            call()


def test_the_log_of_a_crash_begins_with_the_crash(tmp_path):
    log = tmp_path / "console.log"
    lines = [f"[ {n}] line {n}" for n in range(100)]
    lines[40] = "[   40.0] BUG: kernel NULL pointer dereference, address: 0000000000000008"
    log.write_text("\r\n".join(lines))
    tail = TestBedError("vm", "lost", log).log_tail.splitlines()
    assert tail[0] == lines[40]
    assert len(tail) == 25


def test_the_end_of_a_log_is_kept_when_its_folder_goes(tmp_path):
    log = tmp_path / "console.log"
    log.write_text("the last words\n")
    error = TestBedError("vm", "lost", log)
    log.unlink()
    assert error.log_tail == "the last words"
