"""What patches, trees and guests wrote is read in a time that grows with its size alone.

Each text is made of one piece, over and over: in a second what is linear reads megabytes, and what
grows with the square not one of these.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from gso.kernel.conformance.tunnels import outcomes
from gso.kernel.errors import UsageError
from gso.kernel.guest_files import GuestFileError, read_json
from gso.kernel.judging import kernel_log, kmemleak
from gso.kernel.trees import functions, patches

SECONDS = 20
"""Of the processor: several times what the slowest text takes, and far less than by the square."""
COUNT = 100_000
DIFF = b"--- a/net/a.c\n+++ b/net/a.c\n@@ -1 +1 @@\n-one\n+two\n"
MAIL = b"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nSubject: a\n"


@contextmanager
def limited() -> Iterator[None]:
    """Fail if it takes longer. Regular expressions of Python look for signals, too."""

    def late(*_: object) -> None:
        raise AssertionError(f"it takes more than {SECONDS} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


SOURCES = {
    "comments": "/*" * COUNT,
    "strings": '\\"' * COUNT,
    "characters": "'" * COUNT + "\n" + "a'" * COUNT,
    "bodies": "{\n" * COUNT,
    "parentheses": "f" + "(" * COUNT + ")" * COUNT + "\n{\n}\n",
    "heads": "f(" * COUNT + "{\n}\n",
    "one name": "int f(void)\n{\n}\n" * COUNT,
    "no name": "x=a)\n{\n}\n" * COUNT,
    "a word": "a" * COUNT + "\n{\n}\n",
    "closed": "a)" * COUNT + "{",
    "a chain": "".join(f"int f{i}(void) {{ return f{i + 1}(); }}\n" for i in range(COUNT // 4)),
    "each other": "".join(
        f"int f{i}(void) {{ {' '.join(f'f{j}' for j in range(200))} }}\n" for i in range(200)
    ),
}


@pytest.mark.parametrize("kind", list(SOURCES))
def test_sources(kind):
    with limited():
        functions.changed({"net/a.c": None}, {"net/a.c": SOURCES[kind].encode()})


def test_no_code_is_lost():
    """Whatever is taken for a function, all of the code is compared."""
    for text in SOURCES.values():
        code = functions._OPAQUE.sub(functions._without_comment, text)
        found = functions.functions(text)
        assert sorted("".join(found.values()).replace(" ", "")) == sorted("".join(code.split()))


def warnings(lines: list[str]) -> list[kernel_log.Complaint]:
    return list(kernel_log.complaints(lines))


def new_warnings(lines: list[str]) -> list[kernel_log.Complaint]:
    return list(kernel_log.new_complaints(lines, lines))


def notes(lines: list[str]) -> Any:
    return outcomes._notes(lines, 1)


LOGS: dict[str, tuple[str, Callable[[list[str]], Any]]] = {
    "one line": ("netdevice" * COUNT, warnings),
    "a number": ("WARNING: " + "1" * COUNT + "g", new_warnings),
    "warnings": ("WARNING: a\n" * COUNT, new_warnings),
    "locks": ("suspicious RCU usage\n" * COUNT, warnings),
    "leaks": ("unreferenced object 0x1 (size 3):\n" * COUNT, kmemleak.parse),
    "a size": ("unreferenced object 0x1 (size " + "3" * COUNT + "):\n", kmemleak.parse),
    "fields": ("_entry: dev=" + " ip_summed=1" * COUNT, notes),
    "offsets": ("gso_segment: " + " mac_header=1" * COUNT, notes),
}


@pytest.mark.parametrize("kind", list(LOGS))
def test_logs_of_guests(kind):
    text, read = LOGS[kind]
    with limited():
        read(text.split("\n"))


PATCHES = {
    "type": MAIL + b'Content-Type: multipart/mixed; boundary="a' + b";" * COUNT + b"\n\n" + DIFF,
    "type behind a return": MAIL + b'X: y\rContent-Type: a/b; c="' + b";" * COUNT + b"\n\n" + DIFF,
    "boundaries": MAIL + b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\n" * COUNT,
    "mails": MAIL + b"\n" + DIFF + b"From a 2026\nA: b\n\n" * (COUNT // 10),
    "renames": b"diff --git a/net/a.c b/net/a.c\n" + b"rename from net/b.c\n" * COUNT + DIFF,
    "modes": b"diff --git a/net/a.c b/net/a.c\n" + b"old mode 100644\n" * COUNT + DIFF,
    "folders": DIFF.replace(b"net/", b"net/" + b"a/" * 1900) * (COUNT // 100),
}


@pytest.mark.parametrize("kind", list(PATCHES))
def test_patches(tmp_path, kind):
    path = tmp_path / "a.patch"
    path.write_bytes(PATCHES[kind])
    with limited(), suppress(UsageError):
        patches.read_series(path)


@pytest.mark.parametrize("text", ["[" * COUNT, "{}{}", "\xff", '{"a": ' + "1" * 5000 + "}"])
def test_damaged_json_of_guests(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(GuestFileError, match=r"a\.json"):
        read_json(path)


def test_large_json_of_guests(tmp_path):
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    with pytest.raises(GuestFileError, match="more than"):
        read_json(path)
