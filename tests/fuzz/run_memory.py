"""Look for memory that leaks, and for bytes that are read before they are written.

LeakSanitizer and valgrind's memcheck both work with the usual build: the one stands in for malloc,
the other runs the machine code. MemorySanitizer would need an interpreter of its own. What has to
be reported is tried first; without that, silence would mean nothing. Exits 1 if something is found.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = HERE.parents[1] / "build" / "sanitize-memory"
PROGRAM = [sys.executable, str(HERE / "written.py")]
SUPPRESSED = (HERE / "valgrind.supp", Path("/usr/lib/valgrind/python3.supp"))
ROUNDS = (1, 3)
REPORTED = 9
LEAKED = re.compile(r"SUMMARY: LeakSanitizer: \d+ byte\(s\) leaked in (\d+) allocation")


def main() -> int:
    if shutil.which("valgrind") is None:
        print("sanitize-memory: valgrind is missing: apt-get install valgrind", file=sys.stderr)
        return 2
    WORK.mkdir(parents=True, exist_ok=True)
    failed = check("leaks", leaks("--seeded"), leaks())
    failed |= check("bytes that nobody wrote", unwritten("--seeded"), unwritten())
    return int(failed)


def check(what: str, seeded: bool, found: bool) -> bool:
    """Say what was found; true if that is a fault of the library, or of this search."""
    if not seeded:
        print(f"sanitize-memory: {what}: those on purpose were not reported")
        return True
    print(f"sanitize-memory: {what}: {'FOUND' if found else 'none'}", flush=True)
    return found


def environment(**more: str) -> dict[str, str]:
    settings = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **settings, "OPENBLAS_NUM_THREADS": "1", **more}


def leaks(*options: str) -> bool:
    """Tell whether more rounds leave more behind; the interpreter leaves some, whatever it runs."""
    command = ["gcc", "-print-file-name=liblsan.so"]
    runtime = subprocess.check_output(command, text=True).strip()
    left = []
    for rounds in ROUNDS:
        done = subprocess.run(
            [*PROGRAM, "--rounds", str(rounds), *options],
            cwd=WORK, check=False, text=True, capture_output=True,
            env=environment(LD_PRELOAD=runtime),
        )  # fmt: skip
        told = LEAKED.search(done.stderr)
        if told is None and "LeakSanitizer" in done.stderr:
            raise SystemExit(f"sanitize-memory: LeakSanitizer does not work:\n{done.stderr}")
        left.append(int(told[1]) if told else 0)
    print(f"sanitize-memory: after {ROUNDS} rounds {left} blocks are left", flush=True)
    return left[-1] > left[0]


def unwritten(*options: str) -> bool:
    """Tell whether valgrind reports anything."""
    command = ["valgrind", "-q", "--num-callers=20", f"--error-exitcode={REPORTED}"]
    command += [f"--suppressions={path}" for path in SUPPRESSED if path.exists()]
    status = subprocess.run(
        [*command, *PROGRAM, *options],
        cwd=WORK, env=environment(), check=False,
        stdout=None, stderr=subprocess.DEVNULL if options else None,
    ).returncode  # fmt: skip
    if status not in (0, REPORTED):
        raise SystemExit(f"sanitize-memory: the program ended with status {status}")
    return status == REPORTED


if __name__ == "__main__":
    sys.exit(main())
