"""What the pages of the commands say, from their parsers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

from making.markdown import plain
from manuals import PROGRAMS, sections, subcommands, whole_parser

_WIDTH = "90"


def reference(program: str) -> str:
    """Return each command of a program with its options."""
    module, _ = PROGRAMS[program]
    with _width():
        parser = whole_parser(module)
        lines = [plain(parser.description or ""), "", *_arguments(parser)]
        for name, command in shown(parser):
            lines += ["", f"## `{program} {name}`", "", "```text", _usage(command), "```", ""]
            lines += [plain(command.description or ""), "", *_arguments(command)]
        for heading, text in sections(parser.epilog or ""):
            lines += ["", f"## {heading.capitalize()}", "", "```text", text, "```"]
    return "\n".join(lines) + "\n"


def shown(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the commands that help lists."""
    (choice,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    listed = {action.dest for action in choice._choices_actions}
    yield from ((name, one) for name, one in subcommands(parser).items() if name in listed)


def _usage(parser: argparse.ArgumentParser) -> str:
    return parser.format_usage().removeprefix("usage: ").strip("\n")


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    formatter = parser._get_formatter()
    for action in parser._actions:
        choice = isinstance(action, argparse._SubParsersAction)
        if action.help and action.help != argparse.SUPPRESS and not choice:
            words = " ".join(formatter._expand_help(action).split())
            yield f"- `{formatter._format_action_invocation(action)}`: {plain(words)}"


@contextmanager
def _width() -> Iterator[None]:
    """Let help be as wide as the page, whatever the terminal is."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDTH
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
