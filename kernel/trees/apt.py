"""apt: the host's own, or with package lists of another of Debian's suites in the cache.

Such lists leave the host's apt as it is: they have their own sources, state and cache, Debian's
own keyring, and nothing is ever installed from them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gso.kernel.errors import TestBedError
from gso.kernel.paths import cache_folder, only_one
from gso.kernel.processes import logged, output

# Each suite with those that complete it, and the archive of each.
SUITES = {
    "bookworm": (("debian", "bookworm"), ("debian-security", "bookworm-security")),
    "trixie": (("debian", "trixie"), ("debian-security", "trixie-security")),
    "trixie-backports": (("debian", "trixie-backports"),),
    "sid": (("debian", "sid"),),
}

# The suite whose programs build kernels of a suite that has none of its own.
_COMPLETED_BY = {"trixie-backports": "trixie"}

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PUBLIC = "http://deb.debian.org/"
_DAY = 86400.0

# The first lines take out the host's commands that follow each update.
_CONFIGURATION = """\
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke;
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{folder}";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Acquire::Languages "none";
"""


@dataclass(frozen=True)
class Apt:
    """One configuration of apt; ``options`` come after the name of each of its programs.

    ``suite``: whose lists these are; ``None`` for the host's own.

    Without options it is the host's. Containers often have it keep no index of the lists, and a
    second passes with each question: so the index is kept in our cache. apt makes it anew when the
    lists change.
    """

    options: tuple[str, ...] = ()
    suite: str | None = None

    def _ask(self, *question: str) -> str:
        return output("apt-cache", *(self.options or _index()), *question)

    def names(self, pattern: str) -> list[str]:
        """Return the names of the packages that match a regular expression."""
        found = self._ask("search", "--names-only", pattern)
        return [line.split(" ")[0] for line in found.splitlines()]

    def show(self, names: list[str]) -> list[dict[str, str]]:
        """Return the fields of packages, in all their versions (``NAME=VERSION``: in one)."""
        if not names:
            return []
        return [
            dict(re.findall(r"^([A-Za-z-]+): (.*)$", stanza, re.MULTILINE))
            for stanza in self._ask("show", *names).split("\n\n")
            if stanza.strip()
        ]

    def download_command(self, packages: list[str]) -> list[str]:
        """Return the command that downloads packages (``NAME=VERSION``) into its folder."""
        # apt gives up root for downloads where it can, but then cannot write to this folder.
        sandbox = ("-o", "APT::Sandbox::User=root")
        return ["apt-get", *self.options, *sandbox, "download", *packages]

    def closure_command(self, packages: Iterable[str], archives: Path) -> list[str]:
        """Return the command that downloads packages with all that they depend on into a folder."""
        settings = ("APT::Sandbox::User=root", f"Dir::Cache::archives={archives}")
        options = [word for setting in settings for word in ("-o", setting)]
        command = ["apt-get", *self.options, *options, "--no-install-recommends", "--yes", "-q"]
        return [*command, "--download-only", "install", *packages]


HOST = Apt()


def _index() -> tuple[str, ...]:
    """Return the options that have apt keep its index of the host's lists in the cache."""
    folder = cache_folder() / "apt" / "host"
    folder.mkdir(parents=True, exist_ok=True)
    places = {"": folder, "::pkgcache": "pkgcache.bin", "::srcpkgcache": "srcpkgcache.bin"}
    return tuple(word for key, to in places.items() for word in ("-o", f"Dir::Cache{key}={to}"))


def programs_suite(name: str) -> str:
    """Return the suite that has the compiler of a suite's kernels."""
    return _COMPLETED_BY.get(name, name)


def suite(name: str) -> Apt:
    """Return apt with the lists of a suite, fetched today; without a network, with older ones."""
    folder = cache_folder() / "apt" / name
    found = Apt((f"--config-file={folder}/apt.conf",), name)
    mark = folder / "updated"
    with only_one(folder):
        if mark.exists() and time.time() - mark.stat().st_mtime < _DAY:
            return found
        try:
            _update(found, folder, name)
        except TestBedError:
            if not mark.exists():
                raise
        else:
            mark.touch()
    return found


def _update(apt: Apt, folder: Path, name: str) -> None:
    if not _KEYRING.exists():
        raise TestBedError(
            "set-up", f"{_KEYRING} is missing; it is in the Debian package debian-archive-keyring"
        )
    for part in ("lists/partial", "archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(_sources(name))
    (folder / "apt.conf").write_text(_CONFIGURATION.format(folder=folder))
    sandbox = ("-o", "APT::Sandbox::User=root")
    # Otherwise apt takes a suite that it could not fetch for no more than a warning.
    command = ["apt-get", *apt.options, *sandbox, "-q", "--error-on=any", "update"]
    logged("package lists", command, folder / "update.log", folder)


def _sources(name: str) -> str:
    return "".join(
        f"deb [signed-by={_KEYRING}] {_archive(archive)} {part} main\n"
        for archive, part in SUITES[name]
    )


def _archive(name: str) -> str:
    """Return the address of one of Debian's archives: the host's own where it has one."""
    known = output("apt-get", "indextargets", "--format", "$(REPO_URI)").split()
    own = (uri for uri in known if uri.rstrip("/").rpartition("/")[2] == name)
    return next(own, _PUBLIC + name)
