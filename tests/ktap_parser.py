"""A strict reader of KTAP version 1, by Documentation/dev-tools/ktap.rst, for tests."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_VERSION = "KTAP version 1"
_PLAN = re.compile(r"^1\.\.(\d+)$")
_RESULT = re.compile(
    r"^(?P<ok>ok|not ok) (?P<number>\d+)( - )? ?(?P<name>[^#]*?)"
    r"( # (?P<directive>SKIP|TODO|XFAIL|TIMEOUT|ERROR)\b.*)?$"
)


class KtapError(ValueError):
    """The text breaks a rule of the format."""


@dataclass
class Test:
    name: str
    ok: bool
    diagnostics: list[str]
    subtests: list[Test] = field(default_factory=list)


def parse(text: str) -> list[Test]:
    """Return the top-level tests; anything that the format does not allow is an error."""
    if not text.endswith("\n"):
        raise KtapError("the last line is not complete")
    reader = _Reader(text[:-1].split("\n"))
    tests, _ = reader.block("")
    if reader.at != len(reader.lines):
        raise KtapError(f"line {reader.at + 1} follows the end: {reader.lines[reader.at]!r}")
    return tests


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self.lines, self.at = lines, 0

    def peek(self, indent: str) -> str | None:
        """The next line at this level, without its indentation."""
        if self.at == len(self.lines) or not self.lines[self.at].startswith(indent):
            return None
        line = self.lines[self.at].removeprefix(indent)
        return None if line.startswith(" ") else line

    def take(self, indent: str) -> str:
        line = self.peek(indent)
        if line is None:
            raise KtapError(f"line {self.at + 1}: nothing more at indentation {len(indent)}")
        self.at += 1
        return line

    def block(self, indent: str) -> tuple[list[Test], str]:
        if (line := self.take(indent)) != _VERSION:
            raise KtapError(f"line {self.at}: {line!r} is not {_VERSION!r}")
        subtest = ""
        if (self.peek(indent) or "").startswith("# Subtest: "):
            subtest = self.take(indent).removeprefix("# Subtest: ")
        plan = _PLAN.match(line := self.take(indent))
        if not plan:
            raise KtapError(f"line {self.at}: {line!r} is not a plan")
        tests = [self.test(indent, number) for number in range(1, int(plan[1]) + 1)]
        if not tests:
            raise KtapError(f"line {self.at}: a plan of no tests")
        return tests, subtest

    def test(self, indent: str, number: int) -> Test:
        subtests: list[Test] = []
        subtest = ""
        diagnostics = []
        inner = indent + "    "
        if self.peek(inner) is not None:
            subtests, subtest = self.block(inner)
        while (self.peek(indent) or "").startswith("#"):
            diagnostics.append(self.take(indent).removeprefix("#").strip())
        found = _RESULT.match(line := self.take(indent))
        if not found:
            raise KtapError(f"line {self.at}: {line!r} is not a result")
        if int(found["number"]) != number:
            raise KtapError(f"line {self.at}: number {found['number']}, expected {number}")
        test = Test(found["name"], found["ok"] == "ok", diagnostics, subtests)
        if subtests and subtest != test.name:
            raise KtapError(f"line {self.at}: {test.name!r} ends the subtest {subtest!r}")
        if test.ok and not all(child.ok for child in subtests):
            raise KtapError(f"line {self.at}: {test.name!r} is ok with a subtest that is not")
        return test
