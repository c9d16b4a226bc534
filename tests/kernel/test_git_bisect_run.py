"""``git bisect run gso-kernel verify``: what prevents a verdict names no innocent commit."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import git

VERIFY = [sys.executable, "-m", "gso.kernel", "verify", "--bisect"]


@pytest.fixture
def repository(tmp_path):
    """A repository with four commits, being bisected between the first and the last."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for number in range(4):
        (folder / "file").write_text(f"{number}\n")
        git(folder, "add", "file")
        git(folder, "commit", "--quiet", "-m", f"commit {number}")
    git(folder, "bisect", "start", "HEAD", "HEAD~3")
    return folder


def bisected(repository: Path, command: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), "bisect", "run", "sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def check_that_all_were_skipped(said: str, repository: Path) -> None:
    assert "only 'skip'ped commits left" in said
    assert not re.search(r"is the first bad commit", said)
    assert git(repository, "bisect", "log").count("git bisect skip") == 2


def test_wrong_usage_skips(repository):
    said = bisected(repository, shlex.join([*VERIFY, "missing.patch"]))
    check_that_all_were_skipped(said, repository)


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.patch"],
        ["--no-such-option", "missing.patch"],
        ["--only", "no-such-scenario", "missing.patch"],
        ["file"],
    ],
)
def test_only_with_the_option_wrong_usage_skips(gso_kernel, tmp_path, arguments):
    (tmp_path / "file").write_text("no diff\n")
    for option, status in ((), 2), (("--bisect",), 125):
        assert gso_kernel("verify", *option, *arguments).status == status


@pytest.mark.usefixtures("test_bed")
def test_a_full_disk_skips(repository, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"no kernel")
    full = tmp_path / "full"
    full.mkdir()
    images = ["--image", str(tmp_path / "a"), str(tmp_path / "b")]
    verify = shlex.join([*VERIFY, *images, "--results", str(full)])
    script = f"""
    mount -t tmpfs -o size=1m tmpfs {full} || exit 128
    dd if=/dev/zero of={full}/much 2>/dev/null
    {verify}
    """
    isolated = shlex.join(["unshare", "--mount", "--map-root-user", "sh", "-c", script])
    probe = ["unshare", "--mount", "--map-root-user", "mount", "-t", "tmpfs", "t", str(full)]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this user may mount nothing")
    said = bisected(repository, isolated)
    assert "No space left" in said
    check_that_all_were_skipped(said, repository)
