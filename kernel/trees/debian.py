"""Debian's kernels: found through apt, fetched and unpacked in the cache, never installed.

Unpacking needs no root and leaves the host's own kernel and boot menu alone. Fetching needs
apt's package lists (``apt-get update``), which ``gso-kernel doctor --install`` refreshes. Kernels
that the host's apt does not offer come from Debian's other suites, with lists in the cache.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.paths import cache_folder, only_one
from gso.kernel.processes import logged, output
from gso.kernel.trees import apt
from gso.kernel.trees.apt import Apt

_SOURCE = re.compile(r"linux-source-(\d+\.\d+)$")
_MARK = ".complete"
# Taken out together: to read the archive once takes longer than to keep a few folders more.
_NETWORK = ("net", "drivers/net")

# The parts of a kernel's source that no build here reads, by tar's patterns: most of it. Kconfig
# files and makefiles stay, as all of them are read.
_UNREAD = (
    *("Documentation/*.rst", "Documentation/*.svg", "Documentation/*.yaml", "Documentation/*.txt"),
    *("tools/perf", "tools/testing", "sound/*.[ch]"),
    *(
        f"arch/{name}/{files}"
        for name in ("arm", "arm64", "m68k", "mips", "powerpc", "riscv", "s390", "sh", "sparc")
        for files in ("*.[chS]", "*.dts", "*.dtsi")
    ),
    *(
        f"drivers/{name}/*.[ch]"
        for name in ("accel", "clk", "gpu", "iio", "infiniband", "media", "net/ethernet")
    ),
    *(f"drivers/{name}/*.[ch]" for name in ("net/wireless", "pinctrl", "scsi", "staging")),
)


@dataclass(frozen=True)
class DebianKernel:
    """One kernel that apt offers as image, headers and source of the same version."""

    release: str  # uname -r: 6.12.117+deb12-amd64
    version: str  # of the packages: 6.12.117-1~deb12u1
    source_package: str  # linux-source-6.12
    apt: Apt = apt.HOST  # which offers it

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


def available(offering: Apt = apt.HOST) -> list[DebianKernel]:
    """Return the kernels that apt knows, newest first."""
    architecture = output("dpkg", "--print-architecture").strip()
    # Each question makes apt read all its lists, so both kinds of package are asked for at once.
    pattern = f"^linux-(source-[0-9.]+|image-[0-9].*-{architecture})$"
    packages = offering.show(offering.names(pattern))
    # The newest source can be newer than any image: Debian signs the images some days later.
    sources = {p["Version"]: p["Package"] for p in packages if _SOURCE.match(p["Package"])}
    plain = re.compile(rf"linux-image-(\d+\.\d+\.\d+[^-]*(?:-\d+)?-{architecture})$")
    found = {
        DebianKernel(match[1], package["Version"], sources[package["Version"]], offering)
        for package in packages
        if (match := plain.match(package["Package"])) and package["Version"] in sources
    }
    by_version = functools.cmp_to_key(_compare)
    return sorted(found, key=lambda kernel: by_version(kernel.version), reverse=True)


def _compare(a: str, b: str) -> int:
    for operator, result in (("lt", -1), ("gt", 1)):
        done = subprocess.run(["dpkg", "--compare-versions", a, operator, b], check=False)
        if done.returncode == 0:
            return result
    return 0


def choose(wanted: str | None = None) -> DebianKernel:
    """Return the newest kernel that the host's apt offers, or the one that is wanted.

    ``wanted``: how its release begins (``6.1``), of the newest such kernel that the host's apt
    offers, or else the first of :data:`apt.SUITES` that has one; or the name of a suite.
    """
    if wanted is not None and wanted not in apt.SUITES:
        return _first(wanted)
    offered = available(apt.suite(wanted) if wanted else apt.HOST)
    if not offered:
        raise TestBedError(
            "set-up",
            f"{wanted or 'apt'} offers no kernel with image, headers and source of one version; "
            "run 'apt-get update', or gso-kernel doctor --install",
        )
    return offered[0]


def _first(wanted: str) -> DebianKernel:
    if not wanted[:1].isdigit():
        raise UsageError(f"{wanted} is no kernel's version and none of {', '.join(apt.SUITES)}")
    begins = re.compile(rf"{re.escape(wanted)}(?![0-9])")
    known: list[str] = []
    for offered in _everywhere():
        if fits := [kernel for kernel in offered if begins.match(kernel.release)]:
            return fits[0]
        known += [kernel.release for kernel in offered]
    offers = ", ".join(dict.fromkeys(known))
    raise UsageError(f"Debian offers no kernel {wanted}; it offers {offers}")


def offered() -> Iterator[tuple[str, list[DebianKernel] | TestBedError]]:
    """Yield what the host's apt offers, then each suite with its kernels, or why none are known."""
    yield "this host", available()
    for suite in apt.SUITES:
        try:
            yield suite, available(apt.suite(suite))
        except TestBedError as error:
            yield suite, error


def _everywhere() -> Iterator[list[DebianKernel]]:
    """Yield what the host's apt offers, then what each suite does; its lists are fetched then."""
    yield available()
    for suite in apt.SUITES:
        yield available(apt.suite(suite))


def fetched(kernel: DebianKernel) -> bool:
    """Say whether the packages are in the cache."""
    return (kernel.root / _MARK).exists()


def download_command(kernel: DebianKernel) -> list[str]:
    """Return the command that downloads the packages into its folder."""
    names = _packages(kernel)
    offers: dict[str, list[str]] = {name: [] for name in names}
    for package in kernel.apt.show(names):
        offers.setdefault(package["Package"], []).append(package["Version"])
    versions = [_nearest(kernel.version, offers[name]) for name in names]
    return kernel.apt.download_command([f"{n}={v}" for n, v in zip(names, versions, strict=True)])


def _nearest(version: str, offered: list[str]) -> str:
    """Return this version, or where it is offered no more, the next one; headers depend on that.

    linux-kbuild-6.1 has no release in its name: an update replaces it before the images are signed.
    """
    newer = [one for one in offered if _compare(one, version) > 0]
    if version in offered or not newer:
        return version
    return min(newer, key=functools.cmp_to_key(_compare))


def fetch(kernel: DebianKernel) -> None:
    """Download and unpack the packages, once; an interrupted download starts again."""
    with only_one(kernel.root):
        if not fetched(kernel):
            shutil.rmtree(kernel.root)
            _download(kernel)
            _link_old_places(kernel)
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
    image, headers = f"linux-image-{kernel.release}", f"linux-headers-{kernel.release}"
    # Since 6.19 the image's package is empty: the kernel and its modules have their own.
    split = rf"linux-(?:base|binary|modules)-{re.escape(kernel.release)}(?=[ ,])"
    build = r"linux-(?:headers-\S+-common|kbuild-[^\s,]+)"
    needed = [*_needed(kernel, image, split), headers, *_needed(kernel, headers, build)]
    return [image, *needed, kernel.source_package]


def _needed(kernel: DebianKernel, package: str, pattern: str) -> list[str]:
    (shown,) = kernel.apt.show([f"{package}={kernel.version}"])[:1]
    return re.findall(pattern, shown["Depends"])


def _link_old_places(kernel: DebianKernel) -> None:
    """Give newer packages' files, which are all below /usr, the places they had before."""
    modules = Path("usr", "lib", "modules", kernel.release)
    if not (kernel.root / "lib").exists():
        (kernel.root / "lib").symlink_to(Path("usr", "lib"))
    (kernel.root / "boot").mkdir(exist_ok=True)
    for place, name in ((kernel.image, "vmlinuz"), (kernel.config, "config")):
        if not place.exists():
            place.symlink_to(Path("..", modules, name))


def _relocate_headers(kernel: DebianKernel) -> None:
    """Point the build folder's Makefile at the unpacked headers, not at /usr/src."""
    makefile = kernel.headers / "Makefile"
    text = makefile.read_text()
    makefile.write_text(re.sub(r"(?<=[ =])/usr/src/", f"{kernel.root}/usr/src/", text))


def source_files(kernel: DebianKernel, names: tuple[str, ...]) -> dict[str, bytes | None]:
    """Return the pristine content of some files of the source package (``None``: not in it)."""
    for folder in sorted({str(Path(name).parent) for name in names}):
        source_folder(kernel, folder)
    tree = kernel.root / "source"
    return {name: (tree / name).read_bytes() if (tree / name).is_file() else None for name in names}


def source_folder(kernel: DebianKernel, folder: str) -> Path:
    """Return one folder of the source package, taken out of the archive when first wanted."""
    tree = kernel.root / "source"
    network = any(f"{folder}/".startswith(f"{part}/") for part in _NETWORK)
    parts = _NETWORK if network else (folder,)
    with only_one(tree):
        if not all((tree / part / _MARK).exists() for part in parts):
            members = [f"{kernel.source_package}/{part}" for part in parts]
            command = ["tar", "-xJf", str(kernel.source_archive()), "--strip-components=1"]
            logged("source", [*command, *members], kernel.root / "fetch.log", tree)
            for part in parts:
                (tree / part / _MARK).touch()
    return tree / folder


def whole_source(kernel: DebianKernel) -> Path:
    """Return the source package unpacked, once, without what no build of ours reads."""
    tree = kernel.root / "whole" / kernel.source_package
    with only_one(tree.parent):
        if not (tree / _MARK).exists():
            left_out = [f"--exclude={kernel.source_package}/{pattern}" for pattern in _UNREAD]
            command = ["tar", "-xJf", str(kernel.source_archive()), *left_out]
            logged("source", command, kernel.root / "fetch.log", tree.parent)
            (tree / _MARK).touch()
    return tree
