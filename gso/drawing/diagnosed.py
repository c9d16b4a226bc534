"""The result of `gso.diagnose`: a diagnosis that can be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gso import diagnosis
from gso.drawing.diagnosis_json import SCHEMA, log_json
from gso.drawing.diagnosis_page import page
from gso.drawing.diagnosis_text import report
from gso.html import html_text

if TYPE_CHECKING:
    from gso.diagnosis.survey import Batches


class Diagnosis(diagnosis.Diagnosis):
    """The faults that a log shows: what `gso.diagnosis.Diagnosis` holds, and ways to show it."""

    def to_text(self, name: str = "log") -> str:
        """The report that ``gso diagnose`` prints for a log of this name, safe for a terminal."""
        return "".join(f"{line}\n" for line in report(name, self))

    def to_dict(self, name: str = "log") -> dict[str, Any]:
        """The same in types that JSON knows: a line of ``gso diagnose --ndjson``."""
        return {"schema": SCHEMA, **log_json(name, self)}

    def to_html(self, name: str = "log") -> str:
        """The same as a page of its own, as ``gso diagnose --html`` writes it."""
        return page([(name, self)])

    def _repr_html_(self) -> str:
        """For notebooks: the report's text, up to a length."""
        return html_text(self.to_text())


def diagnose(trace: Batches, kernel: str = "") -> Diagnosis:
    """Find the packets whose header offsets are wrong, and the functions that left them so.

    Args:
        trace: a whole trace, or its batches in order (`gso.TraceReader`): memory stays bounded.
        kernel: the version of the kernel that was traced, such as "6.12.117": numbers of drop
            reasons get their names by it. "" if it is not known.
    """
    return Diagnosis(**vars(diagnosis.diagnose(trace, kernel)))
