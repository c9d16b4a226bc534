"""The C code of every path, here and on AArch64 (emulated), held to an obvious one in C.

Other than from Python, every length can be tried on a page's end, and faults can be put in. With
sanitizers each path is run, too, also those of the rules that clang does not make.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from effort import some
from gso.buffers._checksum import simd_paths
from gso.rules._judge import judge_paths

HARNESS = Path(__file__).with_name("simd_harness.c")
LIBRARY = Path(__file__).parents[2] / "gso"
CORE = LIBRARY / "buffers/simd"
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
FAULTS = re.findall(r"FAULT\((\w+), (\w+)\),", HARNESS.read_text())


def build(compiler: str, folder: Path, *options: str) -> str:
    program = folder / "harness"
    sources = [HARNESS, CORE / "simd.c"]
    # Optimised as by setup.py
    command = [compiler, "-O3", "-fwrapv", "-Wno-psabi", *options, "-I", CORE, "-o", program]
    subprocess.run([*command, *sources], check=True)
    return str(program)


@pytest.fixture(scope="module")
def native(gcc, tmp_path_factory):
    return [build(gcc, tmp_path_factory.mktemp("native"))]


@pytest.fixture(scope="module")
def arm64(arm64_gcc, qemu_arm64, tmp_path_factory):
    return [qemu_arm64, build(arm64_gcc, tmp_path_factory.mktemp("arm64"), "-static")]


def run(command: list[str]) -> tuple[int, str]:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout


def check_paths(command: list[str], paths: list[str]) -> None:
    status, output = run(command)
    assert status == 0, output
    found = dict(re.findall(r"^(\w+): (\d+) checks$", output, re.MULTILINE))
    assert list(found) == paths
    assert len(set(found.values())) == 1
    assert int(found["baseline"]) > 400_000


def check_fault(command: list[str], member: str, fault: str) -> None:
    status, output = run([*command, fault])
    assert status == 1, output
    assert re.match(rf"{fault}: {member}\b", output), output


def test_every_path(native):
    check_paths(native, simd_paths())


def test_every_path_of_arm64(arm64):
    check_paths(arm64, ["baseline", "neon"])


@pytest.fixture(scope="module")
def sanitizing_gcc(gcc, tmp_path_factory):
    program = tmp_path_factory.mktemp("sanitizers") / "empty"
    command = [gcc, *SANITIZERS, "-x", "c", "-", "-o", program]
    empty = "int main(void) { return 0; }"
    if subprocess.run(command, input=empty, text=True, check=False).returncode:
        pytest.skip("no sanitizers for gcc here (Debian: libgcc-12-dev)")
    return gcc


def without_preload() -> dict[str, str]:
    """No other sanitizer, no leaks, and the harness keeps its handler of SIGSEGV."""
    kept = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return {**kept, "ASAN_OPTIONS": "detect_leaks=0:handle_segv=0"}


def test_every_path_under_sanitizers(sanitizing_gcc, tmp_path):
    program = build(sanitizing_gcc, tmp_path, *SANITIZERS)
    done = subprocess.run(
        [program], env=without_preload(), capture_output=True, text=True, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^(\w+): \d+ checks$", done.stdout, re.MULTILINE) == simd_paths()


def test_every_path_of_the_rules_under_sanitizers(sanitizing_gcc, tmp_path):
    program = tmp_path / "judge"
    sources = [Path(__file__).with_name("judge_harness.c"), LIBRARY / "rules/judge.c"]
    # With less optimisation gcc takes three times as long for these functions.
    command = [sanitizing_gcc, *SANITIZERS, "-O2", "-fwrapv"]
    command += ["-I", LIBRARY / "rules", "-I", LIBRARY / "skb", "-o", program, *sources]
    subprocess.run(command, check=True)
    done = subprocess.run(
        [program], env=without_preload(), capture_output=True, text=True, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    found = dict(re.findall(r"^(\w+): (\d+) rows$", done.stdout, re.MULTILINE))
    assert list(found)[: len(judge_paths())] == judge_paths()
    assert len(set(found.values())) == 1


@pytest.mark.parametrize(("member", "fault"), FAULTS)
def test_the_harness_finds_faults(native, member, fault):
    check_fault(native, member, fault)


@pytest.mark.parametrize(("member", "fault"), some(FAULTS))
def test_the_harness_finds_faults_on_arm64(arm64, member, fault):
    check_fault(arm64, member, fault)


def test_there_are_faults():
    assert {member for member, _ in FAULTS} == {
        *("sum", "sums", "copy_sum", "stream_sum", "train_headers", "train", "stream_train")
    }
