"""Fuzz one target under libFuzzer, which starts this again for some of its work. See run.py."""

from __future__ import annotations

import os
import sys

import atheris

with atheris.instrument_imports(include=["gso", "targets", "reading"]):
    import targets

sys.argv[0] = os.environ["FUZZ_PROGRAM"]
atheris.Setup(sys.argv, targets.TARGETS[os.environ["FUZZ_TARGET"]])
atheris.Fuzz()
