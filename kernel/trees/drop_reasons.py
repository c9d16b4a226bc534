"""The numbers of the kernel's drop reasons, read from the headers of Debian's kernels.

    python -m gso.kernel.trees.drop_reasons > gso/diagnosis/drop_reasons.json

The numbers of a reason differ from version to version, in stable ones too. So all versions that
Debian offers are read: the headers' packages have the core's and the queueing disciplines'
reasons, the sources those of Open vSwitch and mac80211.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from gso.kernel.paths import cache_folder, only_one
from gso.kernel.processes import logged
from gso.kernel.trees import apt
from gso.kernel.trees.apt import Apt

__all__ = ["read_numbers"]

_FILES = (
    *("include/net/dropreason.h", "include/net/dropreason-core.h"),
    *("include/net/dropreason-qdisc.h", "net/openvswitch/drop.h", "net/mac80211/drop.h"),
)
_PREFIX = "SKB_DROP_REASON_"
_LISTS = {
    "MAC80211_UNUSABLE": "MAC80211_DROP_REASONS_UNUSABLE",
    "MAC80211_MONITOR": "MAC80211_DROP_REASONS_MONITOR",
    "OPENVSWITCH": "OVS_DROP_REASONS",
}
"""The macros that list the reasons of a subsystem."""


def read_numbers(tree: Path) -> dict[str, str]:
    """Return a tree's reasons: by the subsystem's number, names in the order of their numbers.

    The first name of a subsystem has the number 0; a dash stands for a number without a reason.
    """
    texts = {name: _text(tree / name) for name in _FILES}
    headers = texts["include/net/dropreason-core.h"] or texts["include/net/dropreason.h"]
    found = {"0": " ".join(_members(headers, "skb_drop_reason"))}
    lists = texts["net/openvswitch/drop.h"] + texts["net/mac80211/drop.h"]
    for number, member in enumerate(
        _members(texts["include/net/dropreason.h"], "skb_drop_reason_subsys")
    ):
        subsystem = member.removeprefix("SUBSYS_")
        if subsystem == "QDISC":
            qdisc = _members(texts["include/net/dropreason-qdisc.h"], "qdisc_drop_reason")
            found[str(number)] = " ".join(["-", *qdisc[2:]])  # 0, and the subsystem's own number
        elif subsystem in _LISTS and (names := _listed(lists, _LISTS[subsystem])):
            found[str(number)] = " ".join(["-", *names])
    return found


def _text(file: Path) -> str:
    text = file.read_text() if file.exists() else ""
    return re.sub(r"/\*.*?(?:\*/|\Z)", "", text, flags=re.DOTALL)


def _members(text: str, name: str) -> list[str]:
    """Return the members of an enum, which count from 0, up to the one that ends it."""
    body = re.search(rf"enum {name} {{(.*?)}};", text, re.DOTALL)
    names = re.findall(r"^[ \t]*(\w+)[ \t]*(?:=[^,]*)?,?", body[1], re.MULTILINE) if body else []
    ends = next((i for i, one in enumerate(names) if one.endswith(("_MAX", "_NUM"))), len(names))
    return [one.removeprefix(_PREFIX) for one in names[:ends]]


def _listed(text: str, macro: str) -> list[str]:
    """Return the arguments of R() in the macro that lists a subsystem's reasons."""
    body = re.search(rf"#define {macro}\(R\)((?:.*\\\n)*)", text)
    return re.findall(r"R\((\w+)\)", body[1]) if body else []


def _offered(offering: Apt) -> dict[str, str]:
    """Return the versions of the headers and the sources that a suite offers, by their packages."""
    names = offering.names(r"^linux-(headers-[0-9].*-common|source-[0-9.]+)$")
    packages = offering.show([name for name in names if "-rt" not in name])
    # The newest comes first. A package of headers has one version; old sources are not read.
    return {one["Package"]: one["Version"] for one in reversed(packages)}


def _unpacked(offering: Apt, package: str, version: str) -> Path:
    """Download a package, and unpack the headers in it, once."""
    folder = cache_folder() / "drop-reasons" / f"{package}_{version}"
    with only_one(folder):
        if not (folder / "complete").exists():
            logged(
                "download",
                offering.download_command([f"{package}={version}"]),
                folder / "log",
                folder,
            )
            (archive,) = folder.glob("*.deb")
            logged(
                "unpack",
                ["sh", "-ec", _UNPACK, "sh", str(archive), *_FILES],
                folder / "log",
                folder,
            )
            archive.unlink()
            (folder / "complete").touch()
    return folder


_UNPACK = """\
deb=$1; shift
for file; do set -- "$@" "*/$file"; shift; done
dpkg-deb --fsys-tarfile "$deb" | tar -x --wildcards '*/linux-source-*.tar.xz' "$@" 2>tar.log || :
find . -name 'linux-source-*.tar.xz' | while read -r source; do
  tar -xf "$source" --wildcards "$@" 2>>tar.log || :
  rm "$source"
done
"""


def _trees(folder: Path) -> Iterator[Path]:
    for header in folder.rglob("include/net/dropreason.h"):
        yield header.parents[2]


def collect() -> dict[str, dict[str, str]]:
    """Return the reasons of all versions that Debian offers, without those like both neighbours."""
    found: dict[tuple[int, ...], dict[str, str]] = {}
    for suite in apt.SUITES:
        offering = apt.suite(suite)
        for package, version in _offered(offering).items():
            numbers = tuple(map(int, re.findall(r"\d+", version.split("-")[0])))
            for tree in _trees(_unpacked(offering, package, version)):
                found.setdefault(numbers, {}).update(read_numbers(tree))
    versions = sorted(found)
    return {
        ".".join(map(str, version)): found[version]
        for before, version, after in zip(
            [None, *versions], versions, [*versions[1:], None], strict=False
        )
        if not before or not after or not found[before] == found[version] == found[after]
    }


if __name__ == "__main__":
    json.dump(collect(), sys.stdout, indent=1)
    sys.stdout.write("\n")
