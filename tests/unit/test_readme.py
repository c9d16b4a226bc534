"""What the README shows is what is printed."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from gso.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_program_of_the_library_prints_what_is_shown(monkeypatch):
    program, shown = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.S).groups()
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program, {})
    assert printed.getvalue() == shown


def test_the_incident_is_diagnosed_as_shown(monkeypatch, capsys):
    shown = re.search(r"```\n(tests/kernel/data/incident-unpatched.trace: .*?)```", README, re.S)[1]
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["diagnose", "tests/kernel/data/incident-unpatched.trace"]) == 1
    assert capsys.readouterr().out == shown
