"""A guest that does its worst, as root in a real machine: nothing outside changes or is read.

Each boot has another program in the place of the guest's own, and the same way out as every run.
"""

from __future__ import annotations

import os
import stat
import textwrap
import time
from pathlib import Path

import pytest
from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError
from gso.kernel.machine import channel, jobs, share
from gso.kernel.machine.jobs import Job, Result

from testbed import newest_kernel, virtual_machines

pytestmark = [pytest.mark.vm, pytest.mark.usefixtures("test_bed")]

_SECRET = "the host's secret 5d0f"
_TIMEOUT = 900.0
_HEAD = """\
import json, os, subprocess, sys, time
from pathlib import Path
left, host = Path(sys.argv[2]), Path({host!r})
names = Path("/sys/class/virtio-ports")
while not (found := [one.parent.name for one in names.glob("*/name")
                     if one.read_text().strip() == {port!r}]):
    time.sleep(0.01)
port = os.open("/dev/" + found[0], os.O_WRONLY)
def say(line):
    while line:
        line = line[os.write(port, line):]
def end():
    say(b'{{"stage": "end", "ok": true}}\\n')
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder of the host with a secret file and a victim."""
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "secret").write_text(_SECRET)
    (folder / "secret").chmod(0o600)
    (folder / "victim").write_text("untouched")
    return folder


@pytest.fixture
def boot(tmp_path, monkeypatch, host):
    """Boot a program of the test in place of the guest's, and check the host afterwards."""

    def booted(program: str) -> Result:
        guest = tmp_path / "guest"
        guest.mkdir()
        text = _HEAD.format(host=str(host), port=channel.PORT["name"]) + textwrap.dedent(program)
        (guest / "__main__.py").write_text(text)
        monkeypatch.setattr(share, "GUEST", guest)
        kernel = newest_kernel()
        bootable = Bootable(kernel.image, modules_folder=kernel.modules_folder)
        folder = tmp_path / "run"
        begun = time.monotonic()
        result = jobs.run(Job(bootable, {}, folder, _TIMEOUT, tmp_path / "stop"))
        assert time.monotonic() - begun < _TIMEOUT
        assert not virtual_machines(tmp_path)
        _check(tmp_path, host)
        return result

    return booted


def _check(tmp_path: Path, host: Path) -> None:
    assert {path.name for path in host.iterdir()} == {"secret", "victim"}
    assert (host / "victim").read_text() == "untouched"
    for path in (tmp_path / "run").rglob("*"):
        status = path.lstat()
        assert stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode), path
        assert not status.st_mode & (stat.S_ISUID | stat.S_ISGID), path
        assert path.is_dir() or _SECRET.encode() not in path.read_bytes(), path


_LOOK_AROUND = """
found = []
secrets = [host / "secret", "/etc/shadow", "/root/.ssh", "/root/.bashrc", "/proc/1/environ"]
for path in secrets:
    for way in (str(path), f"/usr/../../../..{path}", f"/gso/left/../../..{path}",
                f"/gso/given/../../..{path}", f"/proc/1/root/{path}", f"/proc/1/cwd/../..{path}",
                f"/proc/1/root/memory/host0/..{path}"):
        if os.path.exists(way) and not way.endswith("/environ"):
            found.append(way)
(left / "link").symlink_to(host / "secret")
try:
    found.append((left / "link").read_text())
except OSError:
    pass
(left / "link").unlink()
for where in ("/gso/given/new", "/gso/given/plan.json"):
    try:
        Path(where).write_text("mine")
        found.append(f"written: {where}")
    except OSError:
        pass
Path("/usr/bin/mine").write_text("in memory only")
(left / "found").write_text("\\n".join(found))
(left / "home").write_text("\\n".join(os.listdir("/")))
end()
time.sleep(1000)
"""


@pytest.mark.usefixtures("host")
def test_a_guest_sees_programs_and_nothing_else(boot, tmp_path):
    result = boot(_LOOK_AROUND)
    assert result.status == "done"
    assert (tmp_path / "run" / "found").read_text() == ""
    assert not Path("/usr/bin/mine").exists()


_LINKS = """
cells = left / "cells"
cells.mkdir()
(cells / "a.pcapng").symlink_to(host / "victim")
os.link(cells / "a.pcapng", cells / "b.pcapng", follow_symlinks=False)
(cells / "c.trace").symlink_to("/dev/zero")
(cells / "d.trace").symlink_to("../../../../../../../../../../../../../.." + str(host / "secret"))
for name, kind in (("suid", 0o104755), ("sgid", 0o102755), ("fifo", 0o010644), ("disk", 0o060666)):
    os.mknod(cells / name, kind, os.makedev(8, 0))
os.chmod(cells / "suid", 0o6777)
os.chown(cells / "suid", 0, 0)
end()
time.sleep(1000)
"""


def test_links_devices_and_modes_are_the_guests_own(boot, tmp_path, monkeypatch):
    seen: dict[str, os.stat_result] = {}
    taking = share.Share.take

    def spied(one: share.Share) -> None:
        seen.update((path.name, path.lstat()) for path in (one.left / "cells").iterdir())
        taking(one)

    monkeypatch.setattr(share.Share, "take", spied)
    assert boot(_LINKS).status == "done"
    assert {"a.pcapng", "c.trace", "d.trace", "suid", "sgid", "fifo", "disk"} <= set(seen)
    for name, status in seen.items():
        if name != ".virtfs_metadata":
            assert stat.S_ISREG(status.st_mode), name
            assert not status.st_mode & 0o7177, name
    assert (tmp_path / "run" / "cells" / "a.pcapng").read_text() != "untouched"


_OTHER_RESULTS = {
    "list": r"say(b'[true]\n')",
    "garbage": r"say(b'\0\x1b[2J{\xff\n')",
    "a-line-without-end": "say(b'x' * (1 << 20))",
    "flood": """
while True:
    say(b'{"stage": "packets"}\\n' * 1000)
""",
    "an-exchange-of-its-own": r"""
result = dict.fromkeys(("seconds", "mss", "retransmits", "tx_dropped", "tx_packets"), 0)
result |= {"upload_intact": True, "download_intact": True, "error": None}
result |= {"scenario": "../../../../etc/passwd", "traffic": "t"}
say(json.dumps({"stage": "cell", "result": result}).encode() + b"\n")
end()
""",
    "more-after-the-end": r"""
say(b'{"stage": "end", "ok": true}\n{"stage": "end", "ok": true}\n')
""",
    "folder-in-a-files-place": '(left / "a.trace").mkdir(); end()',
    "evidence-is-a-link": '(left / "cells").symlink_to(host); end()',
    "our-names": '(left / "console.log").write_text("all is well"); end()',
    "progress-as-a-file": '(left / "progress.jsonl").write_text("{}"); end()',
    "odd-names": '(left / "a\\n\\x1b[31m").write_text(""); end()',
    "many-files": """
for number in range(1 << 20):
    (left / str(number)).touch()
""",
    "nested": """
path = left
os.chdir(left)
for number in range(5000):
    os.mkdir("d" * 100)
    os.chdir("d" * 100)
end()
""",
}


@pytest.mark.parametrize("trick", _OTHER_RESULTS)
def test_what_is_no_result_is_no_verdict(boot, trick):
    result = boot(_OTHER_RESULTS[trick] + "\ntime.sleep(1000)\n")
    assert result.status in ("failed", "lost"), result
    assert result.error().exit_status == TestBedError.exit_status == 125
    assert "\x1b" not in str(result.error())


def test_a_file_of_100_gigabytes_ends_the_machine(boot):
    assert (
        boot("""
        with (left / "huge").open("wb") as file:
            file.truncate(100 << 30)
            file.seek(100 << 30)
            file.write(b"end")
        time.sleep(1000)
        """).status
        == "lost"
    )


def test_an_endless_console_ends_the_machine(boot, tmp_path):
    result = boot("""
        with open("/dev/console", "wb", buffering=0) as console:
            while True:
                console.write(b"x" * 4095 + b"\\n")
        """)
    assert result.status == "lost"
    assert (tmp_path / "run" / "console.log").stat().st_size < 40 << 20
