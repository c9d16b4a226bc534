"""Every input that the fuzzer found worth keeping, without the fuzzer."""

from __future__ import annotations

import importlib.util
import re
import zipfile
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
ARCHIVES = sorted((TESTS / "corpus").glob("*.zip"))


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, TESTS / "fuzz" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.stem)
def test_the_kept_inputs_of_the_fuzzer(archive):
    target = load("targets").TARGETS[archive.stem]
    with zipfile.ZipFile(archive) as packed:
        for name in packed.namelist():
            target(packed.read(name))


def test_there_are_a_corpus_seeds_and_words_for_each_target(tmp_path):
    targets, seeds, dictionaries = map(load, ("targets", "seeds", "dictionaries"))
    assert {archive.stem for archive in ARCHIVES} == set(targets.TARGETS)
    for name, target in targets.TARGETS.items():
        for seed in seeds.seeds(name):
            target(seed)
        seeds.write(name, tmp_path / name)
        assert any((tmp_path / name).iterdir()), name
        dictionaries.write(name, tmp_path / f"{name}.dict")
        lines = (tmp_path / f"{name}.dict").read_text().splitlines()
        assert len(lines) > 15, name
        assert all(re.fullmatch(r'"(\\x[0-9a-f]{2})+"', line) for line in lines)
