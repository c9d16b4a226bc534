"""Whatever gso-kernel prints is safe to show: no file, guest or commit commands a terminal."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gso.kernel import cli
from gso.kernel.commands import saying
from gso.kernel.paths import PACKAGE

HOSTILE = "a\x1b[31m\x07b\x9bc\udcffd\re"
SAFE = r"a\x1b[31m\x07b\x9bc\udcffd"
OWN = {"saying.py", "script.py", "kept_shell.py"}
"""The door itself; a script that is written elsewhere; words of this program alone."""


def prints() -> Iterator[str]:
    """Name the places where the test bed prints, but for what runs in a guest."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "guest" in path.relative_to(PACKAGE).parts or path.name in OWN:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and called(node) == "print" and not safe(node):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}"


def called(call: ast.expr) -> str:
    """Return the name of what is called."""
    plain = isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    return call.func.id if plain else ""


def safe(call: ast.Call) -> bool:
    """Say whether what is printed was made safe there."""
    return all(called(text) in ("printable", "printable_lines") for text in call.args)


def test_nothing_is_printed_past_the_door():
    assert not list(prints())


def test_what_is_said_commands_no_terminal(capsys):
    saying.say(HOSTILE, Path(HOSTILE), to=sys.stderr)
    saying.say(HOSTILE, "")
    out, err = capsys.readouterr()
    assert (out, err) == (f"{SAFE}\ne\n\n", f"{SAFE}\ne\n" * 2)
    saying.say_json({"a": HOSTILE})
    assert capsys.readouterr().out.isascii()


def test_names_that_are_no_text_are_no_internal_error(tmp_path, capsys):
    """Python has such bytes of a name as signs that no encoding takes."""
    folder = tmp_path / "results-\udcff\x1b[2J"
    folder.mkdir()
    for words in (["report", str(folder)], ["compare", str(folder), str(folder)]):
        assert cli.main(words) == 2
        said = capsys.readouterr().err
        assert "internal error" not in said
        assert r"results-\udcff\x1b[2J" in said


@pytest.mark.parametrize("words", [["list"], ["cache"], ["cache", "--older-than", "9"]])
def test_lists_are_printed(words, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PYGSO_CACHE", str(tmp_path))
    assert cli.main(words) == 0
    assert capsys.readouterr().out
