"""What the tests of the whole test bed share."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gso.kernel.trees import debian

# How the tests build whole kernels: one build, minutes long, serves them all.
CHECKS = ("--config", "leaks", "--config", "locks")


def virtual_machines(folder: Path) -> set[int]:
    """The QEMU processes now running that share something under this folder with their guest."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        program = Path(command.split("\0")[0]).name
        if program.startswith("qemu-system") and f"={folder}/" in command:
            found.add(int(process.name))
    return found


def namespaces() -> set[str]:
    folder = Path("/run/netns")
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def edited(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """Write a patch that changes a file of the newest Debian kernel's source."""
    kernel = debian.choose()
    debian.fetch(kernel)
    before = debian.source_files(kernel, (name,))[name]
    for side, content in (("a", before), ("b", change(before))):
        target = path / side / name
        target.parent.mkdir(parents=True)
        target.write_bytes(content)
    diff = subprocess.run(
        ["diff", "-u", f"a/{name}", f"b/{name}"], cwd=path, capture_output=True, check=False
    )
    patch = path / "edited.patch"
    patch.write_bytes(diff.stdout)
    return patch


def boots(report: dict[str, Any], variant: str) -> list[dict[str, Any]]:
    """Every machine that was started for a variant of the only kernel."""
    (kernel,) = report["kernels"]
    return [boot for boot in kernel["boots"] if boot["variant"] == variant]


def git(repository: Path, *arguments: str, data: bytes = b"", **environment: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(repository), *identity, *arguments]
    environment = {**os.environ, **environment}
    done = subprocess.run(command, check=True, capture_output=True, input=data, env=environment)
    return done.stdout.decode().strip()


def whole_tree() -> Path:
    """Unpack the newest Debian kernel's source, once, as a repository with one commit.

    Builds are cached by its place.
    """
    kernel = debian.choose()
    debian.fetch(kernel)
    tree = kernel.root / "whole" / kernel.source_package
    if not (tree / ".complete").exists():
        tree.parent.mkdir(exist_ok=True)
        archive = str(kernel.source_archive())
        subprocess.run(["tar", "-xJf", archive, "-C", str(tree.parent)], check=True)
        (tree / ".complete").touch()
    if not (tree / ".git" / "complete").exists():
        git(tree, "init", "--quiet")
        # All as "big" files: into one pack, instead of a file for each.
        git(tree, "-c", "core.bigFileThreshold=1", "add", "--all", "--force")
        git(tree, "commit", "--quiet", "-m", "as in Debian")
        (tree / ".git" / "complete").touch()
    return tree


def committed(repository: Path, parent: str, message: str, files: dict[str, bytes]) -> str:
    """Make a commit beside the checkout and all branches, and return its hash."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index"}
        git(repository, "read-tree", parent, **index)
        for name, content in files.items():
            blob = git(repository, "hash-object", "-w", "--stdin", data=content)
            git(
                repository, "update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", **index
            )
        tree = git(repository, "write-tree", **index)
    return git(repository, "commit-tree", "-p", parent, "-m", message, tree)
