"""Helpers that the tests of the whole test bed share."""

from __future__ import annotations

import functools
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gso.kernel import cli
from gso.kernel.paths import only_one, patches_folder
from gso.kernel.trees import debian

# How the tests build whole kernels: one build, minutes long, serves them all.
CHECKS = ("--config", "leaks", "--config", "locks")
MAIN = patches_folder() / "ipvs-gue-inner-mac-header.patch"
ONE_OF_EACH_FAMILY = (
    *("ipvs-gre-outer6-inner4-csum", "ipvs-ipip-outer4-inner6", "local-gue-outer6-inner6-nocsum"),
    *("gue-vlan-egress-outer4-inner4-nocsum", "gue-vlan-ingress-inband-outer4-inner4-csum"),
    *("gue-tunnel-offload-outer4-inner4-csum", "gue-tunnel-offload-off-outer6-inner6-csum"),
    *("gue-gro-off-outer4-inner4-nocsum", "gue-mtu9000-outer4-inner4-nocsum"),
    *("gue-device-outer6-inner4-remcsum", "gretap-outer6-inner6-csum", "sit-outer4-inner6"),
    *("vxlan-outer6-inner4-csum", "udp-gue-outer4-inner4-csum", "udp-geneve-outer6-inner6-csum"),
)


@dataclass
class Done:
    """A finished ``gso-kernel`` command."""

    status: int
    out: str
    err: str
    report: dict[str, Any] | None


def gso_kernel(folder: Path, *arguments: str | Path, timeout: float = 1800) -> Done:
    """Run a ``gso-kernel`` command in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "gso.kernel", *_with_report(folder, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr, _report(folder))


def gso_kernel_here(folder: Path, *arguments: str | Path) -> Done:
    """Run a ``gso-kernel`` command in a folder and in this process: it starts at once."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, _same_environment():
        patch.chdir(folder)
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            status = cli.main(_with_report(folder, arguments))
        except SystemExit as ended:  # the parser's
            status = ended.code if isinstance(ended.code, int) else 0
    texts = (stream.buffer.getvalue().decode() for stream in (out, err))
    return Done(status, *texts, _report(folder))


@contextmanager
def _same_environment() -> Iterator[None]:
    """Take back what the command sets for its whole process."""
    before, handler = os.environ.copy(), signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        os.environ.clear()
        os.environ.update(before)


def _with_report(folder: Path, arguments: tuple[str | Path, ...]) -> list[str]:
    wanted = arguments and arguments[0] == "verify" and "--json" not in arguments
    return [*map(str, arguments), *(["--json", str(folder / "report.json")] if wanted else [])]


def _report(folder: Path) -> dict[str, Any] | None:
    path = folder / "report.json"
    return json.loads(path.read_text()) if path.exists() else None


@functools.cache
def newest_kernel() -> debian.DebianKernel:
    """Return the newest Debian kernel, fetched."""
    kernel = debian.choose()
    debian.fetch(kernel)
    return kernel


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
    kernel = newest_kernel()
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
    tree = debian.whole_source(newest_kernel())
    with only_one(tree):
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
