"""The programs that build a kernel's modules: this host's, or those of the kernel's own suite.

The headers of a newer suite's kernel come with programs (modpost, objtool) that want its C library,
and ask for options that older compilers lack. So such a kernel's modules are built by the compiler,
linker, make and shell of its suite. These are unpacked in the cache, never installed, and run in
the sandbox in place of the host's programs.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from gso.kernel import sandbox
from gso.kernel.errors import TestBedError
from gso.kernel.paths import cache_folder, only_one
from gso.kernel.processes import logged, output
from gso.kernel.trees import apt
from gso.kernel.trees.debian import DebianKernel

_PROGRAMS = (
    *("binutils", "make", "dash", "bash", "coreutils", "sed", "grep", "gawk", "findutils"),
    *("perl-base", "pahole", "diffutils", "gzip", "xz-utils"),
)
_MARK = ".complete"


@dataclass(frozen=True)
class Toolchain:
    """A compiler, and the folder whose programs take the place of the host's (``None``: none)."""

    compiler: str
    root: Path | None = None

    def version(self) -> str:
        """Return a text that differs where the programs do."""
        return (self.root / _MARK).read_text() if self.root else output(self.compiler, "--version")


def toolchain(kernel: DebianKernel) -> Toolchain:
    """Return what builds modules for a kernel; a suite's programs are fetched when first wanted."""
    compiler = _compiler(kernel)
    if kernel.apt.suite is None:
        return Toolchain(compiler if shutil.which(compiler) else "gcc")
    if not sandbox.works():
        raise TestBedError(
            "build",
            f"{kernel.release} comes from {kernel.apt.suite} and is built by programs of that "
            "suite, which need a sandbox: the Debian package bubblewrap, and namespaces for users",
        )
    return Toolchain(compiler, _fetched(kernel.apt.suite, compiler))


def fetch(kernel: DebianKernel) -> None:
    """Download and unpack what builds modules for a kernel, where that is not the host's."""
    if kernel.apt.suite is not None:
        toolchain(kernel)


def download_command(kernel: DebianKernel) -> list[str]:
    """Return the command that downloads the programs of a kernel's suite; empty: not needed."""
    suite = kernel.apt.suite
    if suite is None or (_root(suite, _compiler(kernel)) / _MARK).exists():
        return []
    return _download(suite, _compiler(kernel), Path("archives"))


def _compiler(kernel: DebianKernel) -> str:
    """Return the compiler that the distribution built this kernel with, such as ``gcc-14``."""
    match = re.search(r'^CONFIG_CC_VERSION_TEXT="(\S+)', kernel.config.read_text(), re.MULTILINE)
    name = match[1].rsplit("/", 1)[-1] if match else "gcc"
    return re.sub(r"^\w+-linux-gnu-", "", name)


def _root(suite: str, compiler: str) -> Path:
    return cache_folder() / "toolchains" / f"{apt.programs_suite(suite)}-{compiler}"


def _fetched(suite: str, compiler: str) -> Path:
    root = _root(suite, compiler)
    with only_one(root):
        if not (root / _MARK).exists():
            shutil.rmtree(root)
            archives = root / "archives"
            (archives / "partial").mkdir(parents=True)
            logged("download", _download(suite, compiler, archives), root / "fetch.log", root)
            _unpack(archives, root)
    return root


def _download(suite: str, compiler: str, archives: Path) -> list[str]:
    offering = apt.suite(apt.programs_suite(suite))
    return offering.closure_command((compiler, *_PROGRAMS), archives)


def _unpack(archives: Path, root: Path) -> None:
    """Unpack packages as Debian lays out a file system."""
    for name, target in sandbox.MERGED.items():
        (root / target).mkdir(parents=True)
        (root / name).symlink_to(target)
    log = root / "fetch.log"
    found = sorted(archives.glob("*.deb"))
    for package in found:
        logged("unpack", ["dpkg-deb", "-x", str(package), str(root)], log, root)
    # Packages say who is awk when they are installed, which these are not.
    (root / "usr/bin/awk").symlink_to("gawk")
    shutil.rmtree(archives)
    (root / _MARK).write_text("".join(f"{package.name}\n" for package in found))
