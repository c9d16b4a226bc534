"""What is supported where: Pythons, processors, kernels; each from what decides it."""

from __future__ import annotations

import json
import lzma
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gso.kernel.scenarios.faults import FAULTS
from gso.kernel.trees.apt import SUITES
from packaging.requirements import Requirement

from gso.diagnosis.reasons import known_versions, reason_lists
from making.markdown import code, plain, table
from wheels import EXTRAS, VERSIONS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
_REFERENCE = "6.12"
"""The kernel of vectors that name none."""


def kernels() -> str:
    """Return the kernels whose drop reasons are known by number, and how many these are."""
    rows = []
    for version in known_versions():
        lists = reason_lists()[_tuple(version)].values()
        rows.append([version, str(sum(1 for names in lists for name in names if name))])
    return table(["kernel", "drop reasons"], rows)


def suites() -> str:
    """Return Debian's suites, and the archives that each is of."""
    rows = ([code(s), ", ".join(part for _, part in parts)] for s, parts in SUITES.items())
    return table(["suite", "of the archives"], rows)


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pythons() -> str:
    """Return for each Python what is tested and built."""
    project = _project()
    named = (c.rpartition(" ")[2] for c in project["project"]["classifiers"])
    built = re.findall(r"cp3(\d+)-", project["tool"]["cibuildwheel"]["build"])
    wheels = [f"3.{minor}" for minor in built]
    versions = sorted({v for v in named if re.fullmatch(r"3\.\d+", v)} | {*wheels}, key=_tuple)
    workflow = (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
    tested = re.findall(r'"(3\.\d+)"', re.findall(r"python: \[(.*?)\]", workflow)[0])
    rows = []
    for version in versions:
        released = "release" if version in wheels else ""
        here = "`make wheels`" if version in VERSIONS else ""
        row = [version, "yes" if version in tested else "no"]
        rows.append([*row, ", ".join(filter(None, (released, here))) or "no"])
    return table(["Python", "tested", "wheels"], rows)


def extras() -> str:
    """Return what each extra installs, and on which Pythons."""
    given = _project()["project"]["optional-dependencies"]
    rows = [[code(f"[{e}]"), ", ".join(map(_installed, given[e]))] for e in EXTRAS]
    return table(["extra", "installs"], rows)


def _installed(words: str) -> str:
    one = Requirement(words)
    where = f" ({code(str(one.marker))})" if one.marker else ""
    return f"{code(f'{one.name}{one.specifier}')}{where}"


def processors() -> str:
    """Return the vector code and the wheels of each processor."""
    images = _project()["tool"]["cibuildwheel"]
    rows = []
    for processor, paths in (("x86-64", ("avx512", "avx2")), ("AArch64", ("neon",))):
        there = [p for p in paths if (ROOT / "gso/buffers/simd" / f"{p}.h").is_file()]
        image = images[f"manylinux-{processor.lower().replace('-', '_')}-image"]
        rows.append([processor, ", ".join(map(code, [*there, "baseline"])), f"{code(image)}, musl"])
    rows.append(["any other", code("baseline"), "none: from the source"])
    return table(["processor", "vector code (`GSO_SIMD`)", "wheels of a release"], rows)


def vectors() -> str:
    """Return how many of a kernel's own answers the library is held to."""
    counts: Counter[tuple[str, str]] = Counter()
    for series, family, count in _records():
        counts[series, family] += count
    rows = []
    for series in sorted({series for series, _ in counts}, key=_tuple):
        families = sorted(family for one, family in counts if one == series)
        shown = ", ".join(f"{code(f)} {counts[series, f]:,}" for f in families)
        total = sum(counts[series, family] for family in families)
        rows.append([series, f"{total:,}", shown])
    return table(["kernel", "records", "of which"], rows)


def _records() -> Iterator[tuple[str, str, int]]:
    """Yield series of the kernel, family, and number of records of each file of vectors."""
    folder = ROOT / "tests/vectors"
    for path in sorted(folder.rglob("*.json.xz")):
        held = json.loads(lzma.decompress(path.read_bytes()))
        above = path.parent.relative_to(folder).parts
        series = above[0] if above else _REFERENCE
        assert held.get("kernel", _REFERENCE).startswith(_REFERENCE)
        yield series, path.name.partition(".")[0], len(held["records"])


def fault_versions() -> str:
    """Return the versions in which each fault came and went."""
    rows = []
    for fault in FAULTS:
        row = [f"[`{fault.name}`](faults.md#{fault.name})"]
        for change, otherwise in ((fault.introduced, "not known"), (fault.fixed, "by no commit")):
            versions = "" if change is None else ", ".join(change.versions) or "not known"
            row.append(plain(versions or otherwise))
        rows.append(row)
    return table(["fault", "introduced in", "fixed in"], rows)


def _tuple(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
