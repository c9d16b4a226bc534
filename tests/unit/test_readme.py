"""What the README shows is what is printed, and it is short."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_program_of_the_library_prints_what_is_shown(monkeypatch):
    program, shown = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.S).groups()
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program, {})
    assert printed.getvalue() == shown


def test_it_begins_with_two_commands_and_one_picture():
    """What is run of its commands: test_documentation.py."""
    for target in ("make verify", "make test"):
        assert re.search(rf"^{target} +# ", README, re.MULTILINE)
    assert re.findall(r"!\[.*?\]\((.*?)\)", README) == ["docs/latency.svg"]
    assert len(README.splitlines()) < 200
