"""KTAP, version 1: Documentation/dev-tools/ktap.rst in the kernel tree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from gso.kernel.report.cases import Case, Group, Status, Suite, suites

_INDENT = "    "


def ktap(results: dict[str, Any]) -> str:
    """Return the run as nested KTAP: kernel, scenario, traffic."""
    return "".join(f"{line}\n" for line in _document(suites(results), results["error"]))


def _document(found: Sequence[Suite], error: dict[str, str] | None) -> Iterator[str]:
    yield "KTAP version 1"
    # A run that ended before any kernel: a plan of nothing would read as a pass.
    if error or not found:
        yield "1..1"
        if error:
            yield from _diagnostics([f"{error['stage']}: {error['message']}"])
        yield "not ok 1 run"
        return
    yield f"1..{len(found)}"
    for number, suite in enumerate(found, 1):
        yield from _suite(number, suite)


def _suite(number: int, suite: Suite) -> Iterator[str]:
    yield from _nested(suite.name, [_group(n, g) for n, g in enumerate(suite.groups, 1)])
    yield from _diagnostics([f"{suite.label}: {suite.verdict}", *suite.error])
    yield _result(suite.status, number, suite.name)


def _group(number: int, group: Group) -> Iterator[str]:
    yield from _nested(group.name, [_case(n, c) for n, c in enumerate(group.cases, 1)])
    yield from _diagnostics([group.verdict])
    yield _result(group.status, number, group.name)


def _case(number: int, case: Case) -> Iterator[str]:
    yield from _diagnostics(case.problems)
    yield _result(case.status, number, case.name)


def _nested(name: str, tests: list[Iterator[str]]) -> Iterator[str]:
    if not tests:
        return
    yield f"{_INDENT}KTAP version 1"
    yield f"{_INDENT}# Subtest: {_name(name)}"
    yield f"{_INDENT}1..{len(tests)}"
    for test in tests:
        for line in test:
            yield f"{_INDENT}{line}"


def _diagnostics(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        for line in text.splitlines():
            yield f"# {_printable(line)}".rstrip()


def _result(status: Status, number: int, name: str) -> str:
    ok = "ok" if status in ("pass", "skip") else "not ok"
    return f"{ok} {number} {_name(name)}{' # SKIP not reproduced' * (status == 'skip')}"


def _name(text: str) -> str:
    """Return a description without what KTAP reserves: ``#`` begins a directive."""
    return re.sub(r"[^\w.+-]+", "-", text)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
