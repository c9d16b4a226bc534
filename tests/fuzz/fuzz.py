"""Fuzz one target under libFuzzer: ``fuzz.py TARGET [libFuzzer options] CORPUS``. See run.py."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["gso", "targets"]):
    import targets

target = targets.TARGETS[sys.argv.pop(1)]
atheris.Setup(sys.argv, target)
atheris.Fuzz()
