"""Words for the fuzzer to put into its inputs: what the readers look for, from their own sources.

Writes one file of libFuzzer's form a target: python tests/fuzz/dictionaries.py FOLDER
"""

from __future__ import annotations

import ast
import json
import re
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from gso.kernel.machine import messages
from gso.kernel.runs import reuse
from gso.kernel.trees import patches

import gso
from gso.capture import format as capture_format

TESTS = Path(__file__).resolve().parents[1]
sys.path.append(str(TESTS))
sys.path.append(str(TESTS / "fuzz"))

import reading  # noqa: E402  (after the path to it)

import c_sources  # noqa: E402  (after the path to it)
import kernel_texts  # noqa: E402
import result_files  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
_SIGN = r"""[^"\\\n]|\\[ntr]|\\x[0-9a-f]{2}"""
_LITERAL = re.compile(rf"""(?<![\w"'])b?("(?:{_SIGN}){{2,32}}")""")
_MAIL = (
    *(b"\nFrom ", b"\nSubject: [PATCH 1/2] ", b"\nDate: ", b"\n---\n", b"charset=", b"120000"),
    *(b"=?utf-8?q?", b"=?utf-8?b?", b"\nContent-Transfer-Encoding: base64", b"/dev/null", b".."),
    *(b"\nContent-Type: multipart/mixed; boundary=", b"\n\\ No newline at end of file\n"),
    *(b"\n--- a/net/a.c\n+++ b/net/a.c\n", b"\n@@ -1 +1 @@\n"),
)
_ZIP = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"../", b"/", b"\0\0\0\x14")
_VALUES = (b"null", b"true", b"1e999", b"NaN", b'"refused":', b'"drops":', b'"schema":')
TEXTS = {
    "source": c_sources.FRAGMENTS,
    "config": (*kernel_texts.SETTINGS, *kernel_texts.KCONFIG),
    "kernel": (*kernel_texts.LINES, *kernel_texts.LEAKS),
}
"""The pieces that texts are made of are their words, too."""
_PORTS = (4789, 4790, 6080, 6081, 8472)
_TYPES = (0x0800, 0x86DD, 0x8100, 0x88A8, 0x8847, 0x6558, 0x894F)


def words(target: str) -> list[bytes]:
    """What inputs of this target have in them, shortest first."""
    if target == "capture":
        found = _numbers(vars(capture_format).values(), "HI")
    elif target == "trace":
        found = {word for path in (ROOT / "gso/traces").glob("*.py*") for word in _literals(path)}
    elif target == "parcel":
        found = {*_ZIP, *_numbers([8, 12, 14, 20, 45, 0xFFFF], "HI")}
    elif target == "patch":
        found = {*_MAIL, *(b"\n" + word for word in patches._WORDS)}
    elif target in TEXTS:
        found = {word.encode() for word in TEXTS[target]}
    elif target in ("check", "seal"):
        found = set(re.findall(rb'"\w+":', json.dumps(reading.measured()).encode()))
        found |= {b'"%s":' % key.encode() for key in reuse._TYPES} | set(_VALUES)
    elif target == "results":
        parts = [json.dumps(result_files.parts(name)).encode() for name in result_files.NAMES]
        found = {word for part in parts for word in re.findall(rb'"\w+":', part)}
    elif target in ("guest", "progress"):
        keys = (*messages._FORMS, *messages._EXCHANGE, "stage", "cell", "end")
        found = {b'"%s":' % key.encode() for key in keys} | {b"true", b"false", b"null", b"\n"}
    else:
        found = _numbers([*_PORTS, *_TYPES, *gso.GsoType], "HI")
    return sorted(filter(None, found), key=lambda word: (len(word), word))


def _literals(path: Path) -> set[bytes]:
    """The texts in a source that look like words of a log, and not of a message."""
    texts = (ast.literal_eval(found[1]) for found in _LITERAL.finditer(path.read_text()))
    return {text.encode() for text in texts if text.count(" ") < 3 and text.isascii()}


def _numbers(values: Iterable[object], sizes: str) -> set[bytes]:
    """Whole numbers in each of these sizes that has room, in both byte orders."""
    return {
        struct.pack(order + size, value)
        for value in values
        if isinstance(value, int) and not isinstance(value, bool)
        for size in sizes
        if 0 < value < 1 << 8 * struct.calcsize("=" + size)
        for order in "<>"
    }


def write(target: str, path: Path) -> None:
    """Write the words in libFuzzer's form."""
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in words(target))
    path.write_text("".join(f'"{line}"\n' for line in lines))


if __name__ == "__main__":
    from targets import TARGETS

    for each in TARGETS:
        write(each, Path(sys.argv[1], f"{each}.dict"))
