"""Bisect a small history of one module, in real kernels."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from gso.kernel.trees import debian

pytestmark = [
    pytest.mark.vm,
    pytest.mark.usefixtures("test_bed", "nothing_is_left_behind"),
]

FOLDER = "net/netfilter/ipvs"
CALL = b"\tskb_set_inner_mac_header(skb, skb_inner_network_offset(skb));\n"
SCENARIO = "gue-outer4-inner4-nocsum"


def git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(repository), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def history(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A repository of the module's folder: fine, broken in the middle, and repaired at the end."""
    kernel = debian.choose()
    debian.fetch(kernel)
    repository = tmp_path / "repository"
    target = repository / FOLDER
    target.mkdir(parents=True)
    for path in debian.source_folder(kernel, FOLDER).iterdir():
        if path.is_file() and not path.name.startswith("."):
            (target / path.name).write_bytes(path.read_bytes())
    git(repository, "init", "--quiet")
    fine = (target / "ip_vs_xmit.c").read_bytes()
    broken = fine.replace(CALL, b"")
    commits = {}
    for name, content in (
        ("as in Debian", fine),
        ("comment", fine + b"/* one */\n"),
        ("break", broken + b"/* one */\n"),
        ("does not compile", broken + b"not C\n"),
        ("another comment", broken + b"/* two */\n"),
        ("repair", fine + b"/* two */\n"),
    ):
        (target / "ip_vs_xmit.c").write_bytes(content)
        git(repository, "add", "--all")
        git(repository, "commit", "--quiet", "-m", name)
        commits[name] = git(repository, "rev-parse", "HEAD")
    return repository, commits


def test_the_first_bad_and_the_first_good_commit(gso_kernel, history):
    repository, commits = history
    (repository / "untracked").write_text("mine\n")
    common = ["--source", repository, "--kernel", "6.12", "--scenario", SCENARIO]
    ends = [commits["as in Debian"], commits["another comment"]]
    done = gso_kernel("bisect", *ends, *common)
    assert done.status == 0, done.out + done.err
    assert done.out.startswith(f"the first bad commit is\n{commits['break']}\n")

    again = gso_kernel("bisect", *ends, *common)
    assert again.out == done.out
    assert "testing" not in again.err.replace("does not compile", "")

    fixed = gso_kernel("bisect", commits["repair"], commits["break"], *common, "--find-fix")
    assert fixed.status == 0, fixed.out + fixed.err
    assert fixed.out.startswith(f"the first good commit is\n{commits['repair']}\n")

    wrong = gso_kernel("bisect", commits["break"], commits["another comment"], *common)
    assert wrong.status == 125
    assert "is said to be good, but is bad" in wrong.err

    # The user's checkout is as it was.
    assert git(repository, "rev-parse", "HEAD") == commits["repair"]
    assert git(repository, "status", "--porcelain") == "?? untracked"
    assert git(repository, "branch", "--list").count("\n") == 0
