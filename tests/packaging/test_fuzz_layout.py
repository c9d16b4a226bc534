"""The targets laid out as on OSS-Fuzz: each runs alone, and reads its corpus and its words."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUZZ = ROOT / "tests" / "fuzz"
CORPORA = sorted(path.stem for path in (ROOT / "tests" / "corpus").glob("*.zip"))
RUNS = 200
NEEDED = ("atheris", "PyInstaller")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("clang"), reason="needs clang"),
    *(
        pytest.mark.skipif(not importlib.util.find_spec(name), reason=f"needs {name}")
        for name in NEEDED
    ),
]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    made = subprocess.run(
        [sys.executable, FUZZ / "run.py", "--out", folder],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


@pytest.mark.parametrize("target", CORPORA)
def test_a_target_runs_from_the_folder_alone(target, out, tmp_path):
    assert b"LLVMFuzzerTestOneInput" in (out / target).read_bytes()
    with zipfile.ZipFile(out / f"{target}_seed_corpus.zip") as packed:
        packed.extractall(tmp_path / "corpus")
        inputs = {packed.read(name) for name in packed.namelist()} - {b""}
    words = len((out / f"{target}.dict").read_text().splitlines())
    done = subprocess.run(
        [out / target, f"-runs={RUNS}", f"-dict={out / target}.dict", tmp_path / "corpus"],
        check=False, capture_output=True, text=True, cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Dictionary: {words} entries" in done.stderr
    found = re.search(r"(\d+) files found in", done.stderr)
    ran = re.search(r"Done (\d+) runs", done.stderr)
    assert found
    assert int(found[1]) >= len(inputs) > 0
    assert ran
    assert int(ran[1]) >= max(RUNS, len(inputs))
    assert "inline 8-bit counters" in done.stderr  # the compiled code tells of its coverage
