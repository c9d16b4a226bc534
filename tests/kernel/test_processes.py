"""Nothing that the test bed starts may outlive it."""

import os
import subprocess
import time

import pytest
from gso.kernel.errors import TestBedError
from gso.kernel.processes import ending, logged, output


def group_exists(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


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
def test_the_whole_group_ends(script):
    process = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    with ending(process):
        time.sleep(0.3)
    assert not group_exists(process.pid)


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
