"""Which distribution this host is, and how its packages are called and got."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from gso.printable import printable

_PLACES = (Path("/etc/os-release"), Path("/usr/lib/os-release"))


@dataclass(frozen=True)
class Distribution:
    """A distribution, and how its packages are called where Debian calls them otherwise.

    ``install``: the command that gets packages; empty where it is not known. An empty name: no
    package is known that has the same. ``tried``: whether the test bed was; if not, the names
    are unchecked.
    """

    name: str
    install: str
    names: dict[str, str] = field(default_factory=dict)
    tried: bool = False

    @property
    def has_apt(self) -> bool:
        """Whether packages come from apt, which `doctor --install` can run."""
        return self.install.startswith("apt-get")

    def package(self, debian: str) -> str:
        """Return the package that has what Debian's package of this name has, or nothing."""
        return self.names.get(debian, debian)

    def advice(self, packages: list[str]) -> str:
        """Return what to do to get packages."""
        listed = " ".join(packages)
        if not self.install:
            return f"{self.name} is not known here; Debian calls the packages: {listed}"
        untried = "" if self.tried else f"    (the test bed was not tried on {self.name})"
        return f"{self.install} {listed}{untried}"


DEBIAN = Distribution("Debian", "apt-get install", tried=True)
_KNOWN = {
    "debian": DEBIAN,
    "ubuntu": Distribution("Ubuntu", "apt-get install"),
    "fedora": Distribution(
        "Fedora",
        "dnf install",
        {
            "qemu-system-x86": "qemu-system-x86-core",
            "busybox-static": "busybox",
            "iproute2": "iproute",
            "gcc-12": "",
            "xz-utils": "xz",
            "nginx-light": "nginx",
            "nghttp2-client": "nghttp2",
            "libelf-dev": "elfutils-libelf-devel",
            "libssl-dev": "openssl-devel",
        },
    ),
    "arch": Distribution(
        "Arch Linux",
        "pacman -S",
        {
            "busybox-static": "busybox",
            "python3": "python",
            "gcc-12": "",
            "xz-utils": "xz",
            "dwarves": "pahole",
            "nginx-light": "nginx",
            "nghttp2-client": "nghttp2",
            "libelf-dev": "libelf",
            "libssl-dev": "openssl",
        },
    ),
    "alpine": Distribution(
        "Alpine Linux",
        "apk add",
        {
            "qemu-system-x86": "qemu-system-x86_64",
            "gcc-12": "",
            "xz-utils": "xz",
            "dwarves": "pahole",
            "nginx-light": "nginx",
            "nghttp2-client": "nghttp2",
            "libelf-dev": "elfutils-dev",
            "libssl-dev": "openssl-dev",
        },
    ),
}


def of_host() -> Distribution:
    """Return this host's distribution, by its os-release; Debian where it has none."""
    return next((read(path) for path in _PLACES if path.is_file()), DEBIAN)


def read(path: Path) -> Distribution:
    """Return the distribution that an os-release file names, or else one that it says it is like.

    Where none of them is known, its name, Debian's names of packages, and no command.
    """
    said = _fields(path.read_text(encoding="utf-8", errors="replace"))
    for word in (said.get("ID", "linux"), *said.get("ID_LIKE", "").split()):
        if word in _KNOWN:
            return _KNOWN[word]
    named = said.get("PRETTY_NAME") or said.get("NAME") or said.get("ID") or "an unnamed system"
    return Distribution(printable(named), "")


def _fields(text: str) -> dict[str, str]:
    """Return the assignments of an os-release file, but for lines that no shell would take."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith("#"):
            continue
        try:
            found[name] = "".join(shlex.split(value))
        except ValueError:
            continue
    return found
