"""Building a tree, with a small Makefile in the place of the kernel's: what make does is real."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from gso.kernel.trees import kconfig
from gso.kernel.trees.build import SourceTree

needs_rsync = pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed")

MAKEFILE = """\
VERSION = 6
PATCHLEVEL = 12
SUBLEVEL = 1
allnoconfig:
\tcp $(KCONFIG_ALLCONFIG) $(O)/.config
bzImage: $(patsubst %.c,$(O)/%.o,$(sort $(wildcard *.c)))
\tmkdir -p $(O)/arch/x86/boot
\tcat $^ >$(O)/arch/x86/boot/$@
$(O)/%.o: %.c
\techo compiling $<
\tgrep -v 'not C' $< >$@
"""


def git(tree: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(tree), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A tree that is a repository, too; its files are older than anything that is built."""
    monkeypatch.setenv("PYGSO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kconfig, "STANDARD", ("leaks",))
    tree = tmp_path / "tree"
    tree.mkdir()
    for name, text in (("Makefile", MAKEFILE), ("Kconfig", ""), ("a.c", "a\n"), ("b.c", "b\n")):
        (tree / name).write_text(text)
        os.utime(tree / name, (1e9, 1e9))
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "-m", "first")
    return tree


def built(tree: Path, log: Path, files: dict | None = None, revision: str | None = None):
    log.unlink(missing_ok=True)
    kernel = SourceTree(tree, revision).build(files or {}, log)
    compiled = [line.split()[-1] for line in log.read_text().splitlines() if "echo" in line]
    return kernel.image.read_text(), compiled


@needs_rsync
def test_what_a_variant_changed_is_compiled_again_without_the_change(tree, tmp_path):
    log = tmp_path / "log"
    assert built(tree, log) == ("a\nb\n", ["a.c", "b.c"])
    assert built(tree, log, {"a.c": b"changed\n"}) == ("changed\nb\n", ["a.c"])
    # The tree's own a.c is older than the object made of the changed one.
    assert built(tree, log, {"b.c": b"other\n"}) == ("a\nother\n", ["a.c", "b.c"])
    assert (tree / "a.c").read_text() == "a\n"


@needs_rsync
def test_a_kernel_from_the_cache_has_the_log_of_its_build(tree, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert built(tree, first) == built(tree, second)
    assert "compiling a.c" in second.read_text()
    assert second.read_text() == first.read_text()


@needs_rsync
def test_commits_and_files_share_what_was_compiled(tree, tmp_path):
    log = tmp_path / "log"
    assert built(tree, log) == ("a\nb\n", ["a.c", "b.c"])
    (tree / "b.c").write_text("second\n")
    git(tree, "commit", "--quiet", "--all", "-m", "second")
    (tree / "b.c").write_text("not committed\n")
    assert built(tree, log, revision="HEAD") == ("a\nsecond\n", ["b.c"])
    assert built(tree, log, revision="HEAD~") == ("a\nb\n", ["b.c"])
    assert built(tree, log) == ("a\nnot committed\n", ["b.c"])
    # A file that a commit lacks goes; files beside the repository's own do not count.
    git(tree, "rm", "--quiet", "--force", "b.c")
    git(tree, "commit", "--quiet", "-m", "third")
    (tree / "b.c").write_text("untracked\n")
    assert built(tree, log, revision="HEAD") == ("a\n", [])
    assert git(tree, "status", "--porcelain") == "?? b.c"


def test_commits_with_equal_files_are_one_build(tree, tmp_path):
    git(tree, "commit", "--quiet", "--allow-empty", "-m", "nothing new")
    first, second = (
        SourceTree(tree, revision).build({}, tmp_path / "log") for revision in ("HEAD~", "HEAD")
    )
    assert first.image == second.image
