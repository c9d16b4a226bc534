"""Every C header includes what it uses."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

GSO = Path(__file__).parents[2] / "gso"
HEADERS = sorted(path.relative_to(GSO) for path in GSO.rglob("*.h"))
ARM64 = {"neon.h"}
X86 = {"x86.h", "avx2.h", "avx512.h"}
NEEDS = {name: ["-DLANES=4"] for name in ("judge_alike.h", "judge_lanes.h")}


def check(compiler: str, header: Path) -> None:
    rooms = [f"-I{GSO / room}" for room in ("rules", "skb")]
    strict = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-psabi"]
    command = [compiler, "-fsyntax-only", *strict, *NEEDS.get(header.name, []), *rooms, "-x", "c"]
    done = subprocess.run([*command, GSO / header], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_a_header_compiles_alone(header, request):
    if header.name in X86 and platform.machine() != "x86_64":
        pytest.skip("for x86-64")
    check(request.getfixturevalue("arm64_gcc" if header.name in ARM64 else "gcc"), header)


def test_there_are_headers():
    assert {path.name for path in HEADERS} >= ARM64 | X86 | set(NEEDS) | {"simd.h", "skb.h"}
