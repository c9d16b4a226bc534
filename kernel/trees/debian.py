"""Debian's kernels: found through apt, fetched and unpacked in the cache, never installed.

Unpacking needs no root and leaves the host's own kernel and boot menu alone. Fetching needs
apt's package lists (``apt-get update``), which ``gso-kernel doctor --install`` refreshes.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.paths import cache_folder, only_one
from gso.kernel.processes import logged, output

_SOURCE = re.compile(r"linux-source-(\d+\.\d+)$")
_MARK = ".complete"


@dataclass(frozen=True)
class DebianKernel:
    """One kernel that apt offers as image, headers and source of the same version."""

    release: str  # uname -r: 6.12.117+deb12-amd64
    version: str  # of the packages: 6.12.117-1~deb12u1
    source_package: str  # linux-source-6.12

    @property
    def root(self) -> Path:
        """The folder the packages are unpacked in."""
        return cache_folder() / "debian" / self.release

    @property
    def image(self) -> Path:
        """The compressed kernel."""
        return self.root / "boot" / f"vmlinuz-{self.release}"

    @property
    def headers(self) -> Path:
        """The build folder for external modules."""
        return self.root / "usr" / "src" / f"linux-headers-{self.release}"

    @property
    def config(self) -> Path:
        """The configuration the image was built with."""
        return self.root / "boot" / f"config-{self.release}"

    @property
    def modules_folder(self) -> Path:
        """The modules that belong to the image."""
        return self.root / "lib" / "modules" / self.release

    def source_archive(self) -> Path:
        """The kernel source as Debian packs it."""
        return self.root / "usr" / "src" / f"{self.source_package}.tar.xz"


def available() -> list[DebianKernel]:
    """Return the kernels that apt knows, newest first."""
    architecture = output("dpkg", "--print-architecture").strip()
    # Each question makes apt read all its lists, so both kinds of package are asked for at once.
    packages = _show(_names(f"^linux-(source-[0-9.]+|image-[0-9].*-{architecture})$"))
    # The newest source can be newer than any image: Debian signs the images some days later.
    sources = {
        package["Version"]: package["Package"]
        for package in packages
        if _SOURCE.match(package["Package"])
    }
    plain = re.compile(rf"linux-image-(\d+\.\d+\.\d+[^-]*(?:-\d+)?-{architecture})$")
    found = {
        DebianKernel(match[1], package["Version"], sources[package["Version"]])
        for package in packages
        if (match := plain.match(package["Package"])) and package["Version"] in sources
    }
    return sorted(found, key=functools.cmp_to_key(_compare), reverse=True)


def _names(pattern: str) -> list[str]:
    return [
        line.split(" ")[0]
        for line in output("apt-cache", "search", "--names-only", pattern).splitlines()
    ]


def _show(names: list[str]) -> list[dict[str, str]]:
    """Return what apt knows of these packages, in all their versions (``NAME=VERSION``: in one)."""
    if not names:
        return []
    text = output("apt-cache", "show", *names)
    return [
        dict(re.findall(r"^([A-Za-z-]+): (.*)$", stanza, re.MULTILINE))
        for stanza in text.split("\n\n")
        if stanza.strip()
    ]


def _compare(a: DebianKernel, b: DebianKernel) -> int:
    for operator, result in (("lt", -1), ("gt", 1)):
        done = subprocess.run(
            ["dpkg", "--compare-versions", a.version, operator, b.version], check=False
        )
        if done.returncode == 0:
            return result
    return 0


def choose(wanted: str | None = None) -> DebianKernel:
    """Return the newest kernel, or the newest whose release begins with ``wanted`` (``6.1``)."""
    kernels = available()
    if not kernels:
        raise TestBedError(
            "set-up",
            "apt offers no kernel with image, headers and source of one version; "
            "run 'apt-get update', or gso-kernel doctor --install",
        )
    if wanted is None:
        return kernels[0]
    fits = [k for k in kernels if re.match(rf"{re.escape(wanted)}(?![0-9])", k.release)]
    if not fits:
        known = ", ".join(k.release for k in kernels)
        raise UsageError(f"apt offers no kernel {wanted}; it offers {known}")
    return fits[0]


def fetched(kernel: DebianKernel) -> bool:
    """Say whether the packages are in the cache."""
    return (kernel.root / _MARK).exists()


def download_command(kernel: DebianKernel) -> list[str]:
    """Return the command that downloads the packages into its folder."""
    wanted = [f"{name}={kernel.version}" for name in _packages(kernel)]
    # apt gives up root for downloads where it can, but then cannot write to this folder.
    return ["apt-get", "-o", "APT::Sandbox::User=root", "download", *wanted]


def fetch(kernel: DebianKernel) -> None:
    """Download and unpack the packages, once; an interrupted download starts again."""
    with only_one(kernel.root):
        if not fetched(kernel):
            shutil.rmtree(kernel.root)
            _download(kernel)
            _relocate_headers(kernel)
            (kernel.root / _MARK).touch()


def _download(kernel: DebianKernel) -> None:
    packages = kernel.root / "packages"
    packages.mkdir(parents=True)
    log = kernel.root / "fetch.log"
    logged("download", download_command(kernel), log, packages)
    for package in sorted(packages.glob("*.deb")):
        logged("unpack", ["dpkg-deb", "-x", str(package), str(kernel.root)], log, packages)
        package.unlink()


def _packages(kernel: DebianKernel) -> list[str]:
    headers = f"linux-headers-{kernel.release}"
    shown = _show([f"{headers}={kernel.version}"])[0]
    needed = re.findall(r"linux-(?:headers-\S+-common|kbuild-[^\s,]+)", shown["Depends"])
    return [f"linux-image-{kernel.release}", headers, *needed, kernel.source_package]


def _relocate_headers(kernel: DebianKernel) -> None:
    """Point the build folder's Makefile at the unpacked common headers, not at /usr/src."""
    makefile = kernel.headers / "Makefile"
    text = makefile.read_text()
    makefile.write_text(text.replace("include /usr/src/", f"include {kernel.root}/usr/src/"))


def source_files(kernel: DebianKernel, names: tuple[str, ...]) -> dict[str, bytes | None]:
    """Return the pristine content of some files of the source package (``None``: not in it)."""
    for folder in sorted({str(Path(name).parent) for name in names}):
        source_folder(kernel, folder)
    tree = kernel.root / "source"
    return {name: (tree / name).read_bytes() if (tree / name).is_file() else None for name in names}


def source_folder(kernel: DebianKernel, folder: str) -> Path:
    """Return one folder of the source package, taken out of the archive when first wanted."""
    tree = kernel.root / "source"
    mark = tree / folder / _MARK
    with only_one(tree):
        if not mark.exists():
            member = f"{kernel.source_package}/{folder}"
            command = ["tar", "-xJf", str(kernel.source_archive()), "--strip-components=1", member]
            logged("source", command, kernel.root / "fetch.log", tree)
            mark.touch()
    return tree / folder
