"""What the papers show is run; of what cannot be run here, at least the options are read."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import manuals
from making import contents, papers
from papers import PAPERS, ROOT, Block, blocks, without_blocks

RUN = [paper for paper in PAPERS if any(block.language for block in blocks(paper))]
# Programs of others in commands that are not run.
OTHERS = {
    "kubectl",
    "podman",
    "sbatch",
    "ethtool",
    "ip",
    "tcpdump",
    "tshark",
    "python3",
    "pip",
    ".",
}
LANGUAGES = {"", "text", "python", "sh", "console", "yaml"}


def names(papers):
    return [str(paper.relative_to(ROOT)) for paper in papers]


@pytest.fixture
def place(tmp_path):
    """A folder where commands may write, and find what a checkout has."""
    for name in ("tests", "patches", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("paper", RUN, ids=names(RUN))
def test_its_code_does_what_it_shows(paper, place, monkeypatch):
    monkeypatch.chdir(place)
    namespace: dict[str, object] = {}
    printed = ""
    for block in blocks(paper):
        assert block.language in LANGUAGES, block
        if printed:
            assert block.language in ("", "text"), f"{block}: what was printed before is not shown"
            assert printed == block.text, block
        printed = ""
        if block.reason:
            continue
        if block.language == "python":
            printed = run_python(block, namespace)
        elif block.language in ("sh", "console"):
            run_commands(block, place)
    assert not printed, f"{paper}: what its last program prints is not shown"


def run_python(block: Block, namespace: dict[str, object]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, str(block), "exec"), namespace)
    return printed.getvalue()


def run_commands(block: Block, place: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, status, shown in block.commands():
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=place,
            env={**os.environ, "PATH": path, "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if block.language == "console" else subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"{block}: {command}\n{done.stdout}\n{done.stderr}"
        if block.language == "console":
            assert re.fullmatch(pattern(shown), done.stdout), f"{block}: {command}\n{done.stdout}"


def pattern(shown: str) -> str:
    """Return what matches the output that is shown; a line of three dots is any lines."""
    lines = shown.strip("\n").split("\n")
    return "".join(
        r"(?:.*\n)*" if line == "..." else f"{re.escape(line)}\n" if line else r"\n?"
        for line in lines
    )


NOT_RUN = [block for paper in PAPERS for block in blocks(paper) if block.reason]


@pytest.mark.parametrize("block", NOT_RUN, ids=str)
def test_what_is_not_run_is_right_as_far_as_it_is_read(block):
    assert len(block.reason.split()) >= 2, "a reason why it is not run"
    if block.language == "python":
        compile(block.text, str(block), "exec")
        return
    assert block.language == "sh"
    for command, _, _ in block.commands():
        subprocess.run(["bash", "-n", "-c", command], check=True)
        for words in simple_commands(command):
            understood(words)


YAML = [block for paper in PAPERS for block in blocks(paper) if block.language == "yaml"]


@pytest.mark.parametrize("block", YAML, ids=str)
def test_commands_in_recipes_are_right_as_far_as_they_are_read(block):
    # A number stands for what the forge or the shell puts in.
    text = re.sub(r"\$\{\{.*?\}\}|\$\w+", "1", block.text)
    commands = re.findall(r"\bgso(?:-kernel)? .*", text)
    assert commands or "gso" not in text
    for command in commands:
        for words in simple_commands(command):
            understood(words)


def simple_commands(line: str) -> list[list[str]]:
    """Return the words of each command of a line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;"):
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words]


def understood(words: list[str]) -> None:
    """Fail where a command of ours has other options, or make has no such target."""
    while re.fullmatch(r"[A-Z]\w*=.*", words[0]):
        words = words[1:]
    words = [re.sub(r"^\w+=\$\(", "", words[0]), *words[1:]]  # name=$(command
    program = words[0].rpartition("/")[2]
    if program in manuals.PROGRAMS:
        options_are_read(manuals.whole_parser(manuals.PROGRAMS[program][0]), words)
    elif program == "make":
        targets = {word for word in words[1:] if "=" not in word}
        makefile = (ROOT / "Makefile").read_text()
        for target in targets:
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target
    elif program in ("pytest", "python"):
        named = [word for word in words[1:] if word.endswith(".py") and "/" in word]
        assert all((ROOT / word).exists() for word in named)
    else:
        assert program in OTHERS, f"{program}: add it to OTHERS, or run the block"


def options_are_read(parser: argparse.ArgumentParser, words: list[str]) -> None:
    complaint = io.StringIO()
    status: object = 0
    with contextlib.redirect_stderr(complaint):
        try:
            parser.parse_args(words[1:])
        except SystemExit as left:
            status = left.code
    assert status == 0, f"{shlex.join(words)}: {complaint.getvalue()}"


@pytest.mark.parametrize("paper", PAPERS, ids=names(PAPERS))
def test_no_command_stands_where_no_test_reads_it(paper):
    """A block that is only indented has no language and no mark."""
    text = without_blocks(paper)
    assert "```" not in text
    loose = re.findall(r"^    (?:\$ )?((?:\.venv/bin/)?(?:gso|make|pip|python)\b.*)", text, re.M)
    assert [line for line in loose if not line.startswith("gso/")] == []


def test_every_page_is_in_the_contents():
    listed = [page for pages in contents.CONTENTS.values() for page in pages]
    assert len(set(listed)) == len(listed)
    written = {
        str(p.relative_to(ROOT / "docs").with_suffix("")) for p in PAPERS if "docs" in p.parts
    }
    assert set(listed) == (written | {page[:-3] for page in papers.PAPERS.values()}) - {"index"}


def test_a_wrong_option_is_seen():
    understood(["gso", "segment", "a", "b", "--gso-size", "1448"])
    understood(["make", "docs"])
    for wrong in (["gso", "segment", "a", "b", "--gsosize", "1"], ["make", "nothing"], ["frob"]):
        with pytest.raises(AssertionError):
            understood(wrong)


def test_three_dots_stand_for_any_lines():
    assert re.fullmatch(pattern("a\n...\nz\n"), "a\nb\nc\nz\n")
    assert not re.fullmatch(pattern("a\nz\n"), "a\nb\nz\n")
    assert not re.fullmatch(pattern("a\n...\nz\n"), "a\nb\n")
