"""The topology in namespaces of this host, as root, as an ordinary user, and where neither may."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest
from gso.kernel.errors import TestBedError
from gso.kernel.runs import namespaces, shell
from gso.kernel.scenarios import select

import testbed

pytestmark = pytest.mark.usefixtures("nothing_is_left_behind")

VXLAN = "vxlan-outer4-inner6-csum"
SEND = f"send {VXLAN}; exit 7"
NOBODY = 65534


@pytest.fixture
def gso_kernel(tmp_path):
    """Run a command in a process of its own, as it enters other namespaces."""
    return partial(testbed.gso_kernel, tmp_path)


def judge(status: int, out: str, err: str) -> None:
    """Either every traffic went through, or it was said what this host lacks; never a guess."""
    assert "Traceback" not in err
    if status == 125:
        said = (
            f"not set up: {VXLAN}",
            "no namespaces",
            f"{namespaces.TUN}: ",
            "is not installed (Debian package ",
        )
        assert any(text in err for text in said), err
    else:
        assert status == 7, err
        assert out.count("intact") == 4


def test_as_who_runs_the_tests(gso_kernel):
    done = gso_kernel("shell", "--topology", "--only", VXLAN, "--command", SEND)
    judge(done.status, done.out, done.err)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_as_an_ordinary_user(monkeypatch):
    with tempfile.TemporaryDirectory() as name:
        # The checkout may lie where other users may not look.
        Path(name).chmod(0o755)
        monkeypatch.setattr(
            namespaces, "GUEST", Path(shutil.copytree(namespaces.GUEST, f"{name}/guest"))
        )
        out, err = Path(name, "out"), Path(name, "err")
        status = _status_as_nobody(out, err)
        judge(status, out.read_text(), err.read_text())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("there", [True, False])
def test_a_tun_device_that_may_not_be_opened_is_named_with_what_to_do(monkeypatch, there):
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        device = Path(name, "tun")
        if there:
            device.touch(0o600)
        monkeypatch.setattr(namespaces, "TUN", device)
        out, err = Path(name, "out"), Path(name, "err")
        status = _status_as_nobody(out, err)
        said = err.read_text()
    assert status == 125
    if "no namespaces" not in said:
        assert f"{device}: {'Permission denied' if there else 'No such file'}" in said
        assert f"chmod 666 {device}" in said
    assert "run the command as root" in said
    assert "Traceback" not in said


def _status_as_nobody(out: Path, err: Path) -> int:
    child = os.fork()
    if child == 0:
        try:
            for path, descriptor in ((out, 1), (err, 2)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.chdir("/")
            os._exit(_status())
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _status() -> int:
    try:
        return shell.in_namespaces(select([VXLAN]), SEND)
    except TestBedError as error:
        os.write(2, str(error).encode())
        return 125


def test_where_no_user_may_it_is_said_what_to_do(gso_kernel, tmp_path, monkeypatch):
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho unshare failed: Operation not permitted >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = gso_kernel("shell", "--topology", "--only", VXLAN, "--command", SEND)
    assert done.status == 125
    assert "Operation not permitted" in done.err
    assert "run the command as root" in done.err
    assert "Traceback" not in done.err


def test_a_scenario_that_this_kernel_lacks_is_named(gso_kernel):
    """With one that it has: the rest is set up."""
    done = gso_kernel(
        *("shell", "--topology", "--only", "gue-outer4-inner4-csum", "--only", VXLAN),
        *("--command", "send; exit 7"),
    )
    if done.status == 125:
        judge(done.status, done.out, done.err)
        return
    lacking = "not set up: gue-outer4-inner4-csum" in done.err
    assert lacking == ("gue-outer4-inner4-csum" not in done.out.replace(VXLAN, ""))
