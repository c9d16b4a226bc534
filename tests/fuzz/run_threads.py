"""Build with ThreadSanitizer, and look for races between threads: see README.md here.

First a race on purpose has to be reported, or nothing said afterwards would mean anything. Then
races.py calls each door from several threads, and the tests with threads, signals and forks run.
Exits 1 if a race is reported or a test fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BUILD = ROOT / "build" / "sanitize-threads"
LIBRARY = BUILD / "lib"
WORK = BUILD / "run"
REPORTED = 66
"""The exit status of a process in which there was a race."""
TESTS = ("test_races", "test_batch", "test_plan_reuse", "test_signals", "test_thread_work")
CHOSEN = "not test_signals or threads"
"""Of the tests with signals those that have threads: the others take minutes here."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for all doors, after the build")
    options = parser.parse_args()
    build()
    WORK.mkdir(parents=True, exist_ok=True)
    races = [sys.executable, str(HERE / "races.py")]
    print("sanitize-threads: a race on purpose", flush=True)
    if run([*races, "--seeded"], suppress=False) != REPORTED:
        print("sanitize-threads: it was not reported, so no race would be")
        return 1
    failed = run([*races, "--seconds", str(options.seconds)])
    failed |= run([*pytest(), *(str(ROOT / "tests/unit" / f"{name}.py") for name in TESTS)])
    print(f"sanitize-threads: {'FAILED' if failed else 'no race'}")
    return 1 if failed else 0


def build() -> None:
    """The library, instrumented, beside the usual build."""
    print("sanitize-threads: building with gcc", flush=True)
    folders = ["--build-base", str(BUILD), "--build-lib", str(LIBRARY)]
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build", *folders, "--parallel", str(os.cpu_count())],
        check=True, cwd=ROOT, stdout=subprocess.DEVNULL,
        env={**os.environ, "CC": "gcc", "CFLAGS": "-O1 -g1", "SANITIZE": "thread"},
    )  # fmt: skip


def pytest() -> list[str]:
    """The command and not the module, which would look into the current directory first."""
    command = [str(Path(sys.executable).with_name("pytest")), "-q", "-p", "no:cacheprovider"]
    return [*command, "-k", CHOSEN, "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]


def run(command: list[str], *, suppress: bool = True) -> int:
    """Run it with the sanitizer in front of the interpreter, which is not instrumented itself."""
    runtime = ["gcc", "-print-file-name=libtsan.so"]
    # Locks of the interpreter are seen; what it and other libraries write is not judged.
    settings = ["ignore_noninstrumented_modules=1", f"exitcode={REPORTED}", "history_size=7"]
    settings += ["die_after_fork=0"]
    if suppress:
        settings.append(f"suppressions={HERE / 'races.supp'}")
    environment = {
        **os.environ,
        "PYTHONPATH": str(LIBRARY),
        "PYTHONMALLOC": "malloc",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "LD_PRELOAD": subprocess.check_output(runtime, text=True).strip(),
        "TSAN_OPTIONS": " ".join(settings),
    }
    quiet = None if suppress else subprocess.DEVNULL
    return subprocess.run(
        # Where the sanitizer wants its own memory, addresses chosen at random may be in the way.
        ["setarch", "-R", *command],
        cwd=WORK, env=environment, check=False, stdout=quiet, stderr=quiet,
    ).returncode  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
