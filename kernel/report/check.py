"""The findings of ``gso-kernel check``, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gso.kernel.judging.check import Answer, FaultFindings, exit_status, worst

from gso.printable import printable_lines

SCHEMA = Path(__file__).with_name("check.schema.json")
_NAME = "gso.check/1"


@dataclass(frozen=True)
class Check:
    """The answers for all faults on one kernel. ``kernel``: its release."""

    kernel: str
    faults: Sequence[FaultFindings]
    seconds: float

    @property
    def exit_status(self) -> int:
        """0: NOT AFFECTED by any; 1: AFFECTED by one; 125: of one nothing can be said."""
        return exit_status(worst([found.answer for found in self.faults]))

    def summary(self) -> dict[str, Any]:
        """Return everything as plain data, as ``check.schema.json`` describes it."""
        return {
            "schema": _NAME,
            "exit_status": self.exit_status,
            "kernel": self.kernel,
            "seconds": self.seconds,
            "faults": [_summary(found) for found in self.faults],
        }

    def text(self) -> str:
        """Return a line or two for each fault, and their count."""
        lines = [f"kernel {self.kernel}"]
        for found in self.faults:
            lines += _lines(found)
        counts = [(a, sum(found.answer is a for found in self.faults)) for a in Answer]
        said = ", ".join(f"{count} {answer.value}" for answer, count in counts if count)
        return printable_lines("\n".join([*lines, f"{said}, {self.seconds:.0f} s"]))


def _lines(found: FaultFindings) -> Iterator[str]:
    yield f"{found.answer.value:13} {found.fault.name}: {found.fault.title}"
    if found.answer is Answer.NOT_AFFECTED:
        return
    yield f"{'':13} {found.why}"
    if found.answer is Answer.AFFECTED:
        yield f"{'':13} {_mended(found)}"


def _mended(found: FaultFindings) -> str:
    fixed = found.fault.fixed
    if fixed is None:
        return f"no commit upstream mends it; patches/{found.fault.patch} does"
    versions = f", in {', '.join(fixed.versions)} and later" if fixed.versions else ""
    return f'mended by {fixed.commit} ("{fixed.subject}"){versions}'


def _summary(found: FaultFindings) -> dict[str, Any]:
    fixed = found.fault.fixed
    return {
        "fault": found.fault.name,
        "title": found.fault.title,
        "answer": found.answer.value,
        "why": found.why,
        "fixed": {**asdict(fixed), "versions": list(fixed.versions)} if fixed else None,
        "scenarios": [
            {**vars(finding), "answer": finding.answer.value} for finding in found.findings
        ],
    }
