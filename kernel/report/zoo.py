"""The zoo as a table: each known fault on each kernel, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gso.kernel import paths
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.guest_files import understood
from gso.kernel.judging.parts import WHOLE, Part
from gso.kernel.judging.results import KernelReport
from gso.kernel.judging.verdict import Verdict
from gso.kernel.report.parts import Found, belonging, read
from gso.kernel.report.write import PAGE

from gso.printable import printable_lines

SCHEMA = Path(__file__).with_name("zoo.schema.json")
RESULTS = paths.ZOO_RESULTS
_NAME = "gso.zoo/1"
_EXPECTED = (Verdict.FIXED, Verdict.UNAFFECTED, Verdict.UNRELATED)


@dataclass(frozen=True)
class Specimen:
    """One fault on one kernel. ``why``: what speaks against FIXED; ``folder``: its evidence.

    ``reused``: how many of its boots are those of earlier runs, and of which.
    """

    fault: str
    kernel: str
    verdict: Verdict
    why: str = ""
    seconds: float = 0.0
    folder: Path | None = None
    reused: str = ""

    def __str__(self) -> str:
        text = f"{self.fault} on {self.kernel}: {self.verdict.value}"
        where = f" ({self.folder / PAGE})" if self.folder else ""
        return printable_lines(f"{text}{': ' * bool(self.why)}{self.why}{where}")

    def summary(self) -> dict[str, Any]:
        """Return it as plain data."""
        folder = str(self.folder) if self.folder else None
        return {**vars(self), "verdict": self.verdict.value, "folder": folder}


@dataclass(frozen=True)
class Zoo:
    """All of them, fault by fault, or this host's part. ``kernels``: the label of each, by its id.

    ``run``: a digest of what all parts have in common; ``every``: the names of all faults.
    """

    kernels: dict[str, str]
    specimens: Sequence[Specimen]
    seconds: float
    part: Part = WHOLE
    run: str = ""
    every: Sequence[str] = ()

    @property
    def exit_status(self) -> int:
        """0: all are FIXED; 1: one is not; 125: of one nothing can be said."""
        found = {one.verdict.exit_status for one in self.specimens}
        if not found and not self.part.whole:
            return 0
        return 1 if 1 in found else max(found, default=TestBedError.exit_status)

    def summary(self) -> dict[str, Any]:
        """Return everything as plain data, as ``zoo.schema.json`` describes it."""
        return {
            "schema": _NAME,
            "exit_status": self.exit_status,
            "seconds": self.seconds,
            "kernels": self.kernels,
            "shard": {
                "index": self.part.index,
                "count": self.part.count,
                "run": self.run,
                "faults": list(self.every),
            },
            "faults": [one.summary() for one in self.specimens],
        }

    def text(self) -> str:
        """Return the table, and below it what is to be said of those that are not FIXED."""
        faults = list(dict.fromkeys(one.fault for one in self.specimens))
        verdicts = {(one.fault, one.kernel): one.verdict.value for one in self.specimens}
        rows = [
            [fault, *(verdicts.get((fault, kernel), "-") for kernel in self.kernels)]
            for fault in faults
        ]
        others = [one for one in self.specimens if one.verdict is not Verdict.FIXED]
        taken = [
            f"{one.fault} on {one.kernel}: {one.reused}" for one in self.specimens if one.reused
        ]
        every = len(self.specimens)
        fixed = f"{every - len(others)} of {every} FIXED, {self.seconds:.0f} s"
        return "\n".join(
            [*_aligned([["fault", *self.kernels], *rows]), *map(str, others), *taken, fixed]
        )


def merge(folders: Sequence[Path]) -> Zoo:
    """Return the zoo of which these folders have the parts; a pair that none has is INCONCLUSIVE.

    The folders of the evidence are those inside of them.
    """
    found, missing = belonging([Found(folder, read(folder / RESULTS)) for folder in folders])
    first = found[0].results
    seen: dict[tuple[str, str], Specimen] = {}
    with understood(RESULTS):
        for one in found:
            if one.results["schema"] != _NAME:
                raise UsageError(f"{one.folder / RESULTS} is not of the schema {_NAME}")
            for row in one.results["faults"]:
                seen[row["fault"], row["kernel"]] = _read(row, one.folder)
        kernels = {_name(kernel): _name(label) for kernel, label in first["kernels"].items()}
        every = list(map(_name, first["shard"]["faults"]))
        pairs = [(fault, kernel) for fault in every for kernel in kernels]
        seconds = max(float(one.results["seconds"]) for one in found)
    lost = f"part {', '.join(map(str, missing))} of {first['shard']['count']} is not there"
    why = lost if missing else "no part has it"
    specimens = [seen.get(p) or Specimen(*p, Verdict.INCONCLUSIVE, why) for p in pairs]
    return Zoo(kernels, specimens, seconds, Part(), first["shard"]["run"], every)


def _read(row: dict[str, Any], folder: Path) -> Specimen:
    evidence = folder / Path(row["folder"]).name if row["folder"] else None
    verdict, why = Verdict(row["verdict"]), str(row["why"])
    kept = evidence if evidence and evidence.is_dir() else None
    names = _name(row["fault"]), _name(row["kernel"])
    return Specimen(*names, verdict, why, float(row["seconds"]), kept, str(row.get("reused", "")))


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no name")
    return value


def specimen(fault: str, report: KernelReport, folder: Path | None) -> Specimen:
    """Return what ``verify`` found out about a fault on one kernel."""
    seconds = round(sum(report.seconds.values()), 2)
    why, taken = _why(report), "; ".join(report.reused())
    return Specimen(fault, report.id, report.verdict, why, seconds, folder, taken)


def _why(report: KernelReport) -> str:
    if report.verdict is Verdict.FIXED:
        return ""
    said = [f"{report.error['stage']}: {report.error['message']}"] if report.error else []
    said += [finding.splitlines()[0] for finding in report.findings]
    said += [
        f"{found.scenario.name} {found.verdict.value}"
        for found in report.scenarios
        if found.verdict not in _EXPECTED
    ]
    return "; ".join(said)


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
