"""A program in the sandbox sees what it was given; and it ends with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gso.kernel import sandbox

pytestmark = pytest.mark.skipif(
    not sandbox.works(), reason="no sandbox here; the Debian package is bubblewrap"
)


def run(script: str, **places: list[Path] | Path) -> subprocess.CompletedProcess[str]:
    command = sandbox.confined(["sh", "-c", script], **places)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_only_the_given_places_are_there(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "file").write_text("text")
    assert run(f"cat {inside}/file", readable=[inside]).stdout == "text"
    assert run(f"cat {outside}/file", readable=[inside]).returncode
    assert run(f"echo new >{inside}/file", readable=[inside]).returncode
    assert run(f"echo new >{inside}/file", writable=[inside]).returncode == 0
    assert (inside / "file").read_text() == "new\n"
    assert (outside / "file").read_text() == "text"


@pytest.mark.parametrize("path", ["/etc/shadow", "/root", "/home", "/var", "/sys", "/run", "/work"])
def test_secret_places_are_not_there(path):
    assert run(f"test -e {path}").returncode == 1


def test_no_network_no_rights_no_environment(monkeypatch):
    monkeypatch.setenv("TOKEN", "secret")
    assert run("cat /proc/net/dev | wc -l").stdout.strip() == "3"  # two of them are the header
    assert run("env; cat /proc/*/environ").stdout.count("secret") == 0
    assert "CapEff:\t0000000000000000" in run("cat /proc/self/status").stdout
    assert run("id -u").stdout.strip() == "65534"
    # Nor does it see the processes of others.
    assert int(run("ls -d /proc/[0-9]* | wc -l").stdout) <= 5


def test_it_ends_with_whoever_started_it(tmp_path):
    script = """
import sys, time
from pathlib import Path
from threading import Thread
from gso.kernel import processes, sandbox
folder = Path(sys.argv[1])
def start():  # in a thread that ends: the program must go on
    entered.append(processes.started(sandbox.confined(["sleep", "987"]), folder / "log", folder))
    started.append(entered[0].__enter__())
entered, started = [], []
thread = Thread(target=start)
thread.start()
thread.join()
time.sleep(1)
print(started[0].pid, started[0].poll(), flush=True)
time.sleep(1000)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        number, status = process.stdout.readline().split()
        assert status == "None"
        process.kill()
    for _ in range(100):
        if not _runs(int(number)):
            return
        time.sleep(0.1)
    os.killpg(int(number), signal.SIGKILL)
    pytest.fail("it lives on")


def _runs(number: int) -> bool:
    """Say whether a process of this group runs; one that ended does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == number and fields[0] != "Z":
            return True
    return False


@pytest.mark.skipif(not Path("/bin").is_symlink(), reason="the host's programs are not all in /usr")
def test_the_programs_of_another_root(tmp_path):
    (tmp_path / "usr").symlink_to("/usr")
    assert run("test -x /usr/bin/env && echo here", root=Path("/")).stdout == "here\n"
    assert run(f"test -e {tmp_path}", root=tmp_path).returncode == 1
