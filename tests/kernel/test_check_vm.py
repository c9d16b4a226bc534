"""A check in machines whose kernel has the fault of the incident, or has it not."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

import gso

pytestmark = [
    pytest.mark.vm,
    pytest.mark.usefixtures("test_bed", "nothing_is_left_behind"),
]

TOP = Path(gso.__file__).parents[1]


@pytest.mark.parametrize(
    ("variant", "status", "answer"),
    [("--unpatched", 1, "AFFECTED"), ("--patched", 0, "NOT AFFECTED")],
)
def test_a_check_tells_a_kernel_with_the_fault(gso_kernel, variant, status, answer):
    fault = "ipvs-gue-inner-mac-header"
    patch = [TOP / "patches" / f"{fault}.patch"] if variant == "--patched" else []
    shown = [word for folder in (TOP, sys.prefix, sys.base_prefix) for word in ("--show", folder)]
    check = [sys.executable, "-m", "gso.kernel", "check", "--json", "--only", fault]
    words = [variant, *patch, *shown, "--only", "default", "--timeout", "590"]
    done = gso_kernel("shell", *words, "--command", shlex.join(check))
    assert done.status == status, done.err
    (judged,) = json.loads(done.out)["faults"]
    assert (judged["fault"], judged["answer"]) == (fault, answer)
