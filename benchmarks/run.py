"""Run the suites one after another, then make the page.

    python benchmarks/run.py [--quick] [--testbed] [SUITE...]

Each suite writes results/SUITE.json; one that fails leaves the others' results alone, is named at
the end, and makes the run fail.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import page
from results import FOLDER

HERE = Path(__file__).parent
PATIENCE = 3600
"""Seconds after which a suite hangs; a peer may."""
SUITES = (
    "segment",
    "ways",
    "coalesce",
    "checksum",
    "parse",
    "trace",
    "validate",
    "capture",
    "growth",
    "gateway",
)


def run(suite: str, options: list[str]) -> bool:
    """Run one suite in a process of its own; whether it went well."""
    target = FOLDER / f"{suite}.json"
    target.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "-W", "default",
        f"--benchmark-json={target}", "--benchmark-columns=min", "--benchmark-quiet",
        *options, HERE / f"test_{suite}.py",
    ]  # fmt: skip
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=HERE.parent, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        print(f"{suite}: not done after {PATIENCE} s, ended", file=sys.stderr)
        return False
    print(f"{suite}: {time.monotonic() - start:.0f} s", flush=True)
    return done.returncode == 0


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description="Run the benchmarks and make the page.")
    parser.add_argument("--quick", action="store_true", help="about a minute, for a look only")
    parser.add_argument("--testbed", action="store_true", help="build and boot kernels too")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}")
    options = parser.parse_args()
    suites = options.suites or [*SUITES, *(["testbed"] if options.testbed else [])]
    FOLDER.mkdir(exist_ok=True)
    flags = ["--quick"] if options.quick else []
    failed = [suite for suite in suites if not run(suite, flags)]
    status = page.main([])
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return status or int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
