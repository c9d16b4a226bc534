"""Count the core's instructions under callgrind, and tell on what the counts depend."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import gso
from guard.callgrind import read_profiles

HERE = Path(__file__).parent
HEADER = Path("/usr/include/valgrind/callgrind.h")


class UnableError(Exception):
    """The counts cannot be taken on this machine; the message says what is missing."""


def identity() -> dict[str, str]:
    """Everything that decides which instructions a source becomes: only equal builds compare."""
    compiler = sysconfig.get_config_var("CC").split()[0]
    done = subprocess.run(
        [compiler, "-dumpfullversion"], capture_output=True, text=True, check=False
    )
    python = platform.python_version_tuple()
    return {
        "machine": platform.machine(),
        "compiler": f"{Path(compiler).name} {done.stdout.strip()}",
        "flags": sysconfig.get_config_var("CFLAGS"),
        "cython": ".".join(version("cython").split(".")[:2]),
        "python": f"{python[0]}.{python[1]}",
    }


def check_machine() -> None:
    """Raise `UnableError` where this cannot work."""
    if platform.machine() != "x86_64":
        raise UnableError(f"the counts are for x86_64, this is {platform.machine()}")
    if not shutil.which("valgrind") or not HEADER.exists():
        raise UnableError("valgrind is not installed (Debian: apt-get install valgrind)")
    if " avx2 " not in Path("/proc/cpuinfo").read_text():
        raise UnableError("this processor has no AVX2, and valgrind emulates only what there is")


def _number(dump: Path) -> int:
    return int(dump.suffix[1:])


def measure(*dearer: str) -> dict[str, Counter[str]]:
    """Instructions of each function of ours in all cases, and in some that do a tenth more."""
    check_machine()
    with tempfile.TemporaryDirectory(prefix="guard-") as folder:
        client, out = Path(folder, "client.so"), Path(folder, "out")
        subprocess.run(
            ["cc", "-O2", "-shared", "-fPIC", HERE / "client.c", "-o", client], check=True
        )
        command = [
            "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}",
            sys.executable, HERE / "workload.py", client, *dearer,
        ]  # fmt: skip
        settings = {
            "PYTHONPATH": str(HERE.parent), "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1",
            "TMPDIR": folder,
        }  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **settings}
        )
        if done.returncode:
            raise RuntimeError(f"the workload failed under valgrind:\n{done.stderr[-3000:]}")
        return read_profiles(
            sorted(Path(folder).glob("out.*"), key=_number), f"{Path(gso.__file__).parent}/"
        )
