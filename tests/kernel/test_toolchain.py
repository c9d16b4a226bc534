"""The programs that build a kernel's modules: the host's, or those of the kernel's own suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from gso.kernel import sandbox
from gso.kernel.errors import TestBedError
from gso.kernel.trees import apt, toolchain
from gso.kernel.trees.apt import Apt
from gso.kernel.trees.debian import DebianKernel

from testbed import MAIN

BACKPORTS = Apt(("--config-file=x",), "trixie-backports")


def unpacked(cache: Path, monkeypatch, compiler: str, offering: Apt = apt.HOST) -> DebianKernel:
    """A kernel of which the cache has nothing but the configuration."""
    monkeypatch.setenv("PYGSO_CACHE", str(cache))
    monkeypatch.setattr(apt, "suite", lambda name: Apt((f"--config-file={name}",), name))
    kernel = DebianKernel("7.3.4+deb13-amd64", "7.3.4-1", "linux-source-7.3", offering)
    kernel.config.parent.mkdir(parents=True)
    kernel.config.write_text(f'CONFIG_CC_VERSION_TEXT="{compiler} (Debian 14.2.0-19) 14.2.0"\n')
    return kernel


@pytest.mark.parametrize(
    ("compiler", "taken"), [("x86_64-linux-gnu-gcc-99", "gcc"), ("sh", "sh"), ("/usr/bin/sh", "sh")]
)
def test_a_kernel_of_the_host_is_built_by_the_host(tmp_path, monkeypatch, compiler, taken):
    kernel = unpacked(tmp_path, monkeypatch, compiler)
    assert toolchain.toolchain(kernel) == toolchain.Toolchain(taken)
    assert toolchain.download_command(kernel) == []


def test_a_kernel_of_a_suite_wants_that_suites_compiler(tmp_path, monkeypatch):
    kernel = unpacked(tmp_path, monkeypatch, "x86_64-linux-gnu-gcc-14", BACKPORTS)
    command = toolchain.download_command(kernel)
    assert "--config-file=trixie" in command  # backports have no compiler of their own
    assert {"gcc-14", "make", "binutils", "--download-only"} <= set(command)
    monkeypatch.setattr(sandbox, "works", lambda: False)
    with pytest.raises(TestBedError, match=r"trixie-backports .* bubblewrap"):
        toolchain.toolchain(kernel)


@pytest.mark.skipif(not sandbox.works(), reason="no sandbox here")
def test_what_was_unpacked_once_is_taken(tmp_path, monkeypatch):
    kernel = unpacked(tmp_path, monkeypatch, "x86_64-linux-gnu-gcc-14", BACKPORTS)
    root = tmp_path / "toolchains/trixie-gcc-14"
    root.mkdir(parents=True)
    (root / ".complete").write_text("gcc-14_14.2.0-19_amd64.deb\n")
    found = toolchain.toolchain(kernel)
    assert found == toolchain.Toolchain("gcc-14", root)
    assert found.version() == "gcc-14_14.2.0-19_amd64.deb\n"
    assert toolchain.download_command(kernel) == []


@pytest.mark.vm
@pytest.mark.on_demand
def test_the_fix_in_a_kernel_of_a_newer_suite(verify):
    done = verify(MAIN, "--kernel", "7.3", timeout=3600)
    assert (done.status, done.report["verdict"]) == (0, "FIXED"), done.out + done.err
    assert done.report["kernels"][0]["id"].startswith("debian-7.3.")
