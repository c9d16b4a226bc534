"""Write the manual pages and the shells' completions of ``gso`` and ``gso-kernel``.

    python release/manuals.py FOLDER VERSION

All is made from the parsers of the package that is imported. FOLDER then has what a wheel puts
below its prefix: ``share/man/man1/gso.1``, ``share/bash-completion/completions/gso``, ...
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import shtab

PROGRAMS = {
    "gso": ("gso.cli", "segment, coalesce, explain and judge packets as the Linux kernel does"),
    "gso-kernel": ("gso.kernel.cli", "boot kernels without and with a patch, and judge the patch"),
}
"""Each program: the module with its parser, and what its manual page says in the first line."""

COMPLETIONS = {
    "bash": "bash-completion/completions/{}",
    "zsh": "zsh/site-functions/_{}",
    "fish": "fish/vendor_completions.d/{}.fish",
}
"""Where each shell looks for them, below ``share/``."""

_FILES = {"IN", "OUT", "FILE", "LOG", "PATCH", "PROGRAM", "UNPATCHED", "SVG", "PACKET"}
_FOLDERS = {"DIR", "A", "B"}


def main(folder: str, version: str) -> None:
    """Write all of them below a folder."""
    # Help is as wide as the terminal, which nothing written here may depend on.
    os.environ["COLUMNS"] = "72"
    for path, text in manuals(version):
        target = Path(folder) / "share" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def manuals(version: str) -> Iterator[tuple[str, str]]:
    """Yield the path below ``share/`` and the text of each manual page and completion."""
    for program, (module, purpose) in PROGRAMS.items():
        yield f"man/man1/{program}.1", manual_page(whole_parser(module), purpose, version)
        for shell, path in COMPLETIONS.items():
            yield path.format(program), completion(whole_parser(module), shell)


def whole_parser(module: str) -> argparse.ArgumentParser:
    """Return a program's parser with the options of all its commands."""
    program = import_module(module)
    parser: argparse.ArgumentParser = program.parser(program.COMMANDS)
    return parser


def manual_page(parser: argparse.ArgumentParser, purpose: str, version: str) -> str:
    """Return the manual page in roff; the parts of the epilog are its last sections."""
    day = time.gmtime(float(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    title = f'"{time.strftime("%Y-%m-%d", day)}" "pygso {version}" "User commands"'
    lines = [f".TH {_roff(parser.prog.upper())} 1 {title}"]
    lines += [".SH NAME", _roff(f"{parser.prog} - {purpose}"), ".SH SYNOPSIS", *_usage(parser)]
    lines += [".SH DESCRIPTION", _roff(parser.description or ""), ".SH OPTIONS", *_options(parser)]
    lines.append(".SH COMMANDS")
    purposes = {action.dest: action.help or "" for action in _choice(parser)._choices_actions}
    for name, command in subcommands(parser).items():
        if name in purposes:
            lines += [f".SS {_roff(command.prog)}", _roff(purposes[name]), ".PP", *_usage(command)]
            lines += [".PP", _roff(command.description or ""), *_options(command)]
    for heading, text in sections(parser.epilog or ""):
        lines += [f".SH {heading.upper()}", ".nf", _roff(text), ".fi"]
    return "\n".join(lines) + "\n"


def _usage(parser: argparse.ArgumentParser) -> list[str]:
    usage = parser.format_usage()
    indented = "usage: "
    return [".nf", _roff(dedent(usage.replace(indented, " " * len(indented), 1))), ".fi"]


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield each argument and what it is for."""
    formatter = parser._get_formatter()
    for action in parser._actions:
        if action.help and action.help != argparse.SUPPRESS:
            yield f".TP\n.B {_roff(formatter._format_action_invocation(action))}"
            yield _roff(formatter._expand_help(action))


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the completion of a shell; it offers files where the option takes one."""
    for command in subcommands(parser).values():
        for action in command._actions:
            named = action.metavar or ""
            words = {named} if isinstance(named, str) else set(named)
            if words & _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif words & _FOLDERS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    text: str = shtab.complete(parser, shell)
    return text


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command by its name."""
    return dict(_choice(parser).choices)


def _choice(parser: argparse.ArgumentParser) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    (found,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return found


def sections(epilog: str) -> Iterator[tuple[str, str]]:
    """Yield heading and lines of each part of an epilog ("examples:", then indented lines)."""
    for part in epilog.strip("\n").split("\n\n"):
        heading, _, lines = part.partition(":\n")
        yield heading, lines


def _roff(text: str) -> str:
    """Return text as roff shows it: each hyphen as it is typed, no line taken for a request."""
    escaped = text.strip("\n").replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", escaped, flags=re.MULTILINE)


if __name__ == "__main__":
    main(*sys.argv[1:])
