"""What comes in the place of a mark ``<!-- made: NAME -->`` on a page of docs/."""

from __future__ import annotations

import re
from collections.abc import Callable

from making import commands, interface, plots, support, tables, zoo

MAKERS: dict[str, Callable[[], str]] = {
    "library": interface.library,
    "gso": lambda: commands.reference("gso"),
    "gso-kernel": lambda: commands.reference("gso-kernel"),
    "rules": tables.rules,
    "drop-reasons": tables.drop_reasons,
    "trace-formats": tables.trace_formats,
    "scenarios": tables.scenarios,
    "faults": tables.faults,
    "schemas": tables.schemas,
    "pythons": support.pythons,
    "extras": support.extras,
    "processors": support.processors,
    "vectors": support.vectors,
    "kernels": support.kernels,
    "suites": support.suites,
    "fault-versions": support.fault_versions,
    "speed": plots.speed,
    "zoo": zoo.verdicts,
}
_MARK = re.compile(r"^<!-- made: ([\w-]+) -->$", re.MULTILINE)


def finished(text: str) -> str:
    """Return a page with what is made in the place of its marks.

    Raises:
        KeyError: nothing of that name is made.
    """
    return _MARK.sub(lambda mark: MAKERS[mark[1]](), text)
