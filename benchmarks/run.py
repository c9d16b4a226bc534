"""Run the suites one after another, then make the page.

    python benchmarks/run.py [--quick] [--testbed] [--machine VERSION] [SUITE...]

Each suite writes results/SUITE.json; one that fails leaves the others' results alone, is named at
the end, and makes the run fail. With --machine both sides of each race run in a virtual machine
of the test bed, which has devices that this host's kernel may lack.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

import page
from results import FOLDER

HERE = Path(__file__).parent
PATIENCE = 3600
"""Seconds after which a suite hangs; a peer may."""
MODULES = "fou ipip veth tun"
WITHIN = Path("/dev/shm/results.json")
"""Where a machine writes results: what it says on its output is all that leaves it."""
SCENARIO = "gue-outer4-inner4-nocsum"
"""Of the topology that a machine sets up; the suites use none of it."""
SUITES = (
    "segment",
    "ways",
    "coalesce",
    "encapsulate",
    "checksum",
    "parse",
    "trace",
    "validate",
    "capture",
    "growth",
    "gateway",
)


def tests(suite: str, target: Path, options: list[str]) -> list[str]:
    """The command that runs one suite and writes its results there."""
    return [
        sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "-W", "default",
        f"--benchmark-json={target}", "--benchmark-columns=min", "--benchmark-quiet",
        *options, str(HERE / f"test_{suite}.py"),
    ]  # fmt: skip


def run(suite: str, options: list[str], kernel: str | None) -> bool:
    """Run one suite in a process of its own, or in a machine of a kernel; whether it went well."""
    target = FOLDER / f"{suite}.json"
    target.unlink(missing_ok=True)
    start = time.monotonic()
    try:
        if kernel:
            well = in_machine(suite, target, options, kernel)
        else:
            command = tests(suite, target, options)
            done = subprocess.run(command, cwd=HERE.parent, check=False, timeout=PATIENCE)
            well = done.returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{suite}: not done after {PATIENCE} s, ended", file=sys.stderr)
        return False
    print(f"{suite}: {time.monotonic() - start:.0f} s", flush=True)
    return well


def in_machine(suite: str, target: Path, options: list[str], kernel: str) -> bool:
    """Run one suite in a machine with one of Debian's kernels, which sees this folder and Python.

    What must be compiled is compiled before, here: run the suite here first.
    """
    script = (
        f"for module in {MODULES}; do modprobe $module; done; cd {shlex.quote(str(HERE.parent))}; "
        f"{shlex.join(tests(suite, WITHIN, options))} >&2 && tr -d '\\n' <{WITHIN}"
    )
    # The virtual environment may be elsewhere, and the Python that it was made with is.
    folders = (str(HERE.parent), sys.prefix, sys.base_prefix)
    done = subprocess.run(
        [
            sys.executable, "-m", "gso.kernel", "shell", "--kernel", kernel, "--only", SCENARIO,
            *(word for folder in folders for word in ("--show", folder)),
            "--command", script, "--timeout", str(PATIENCE - 60),
        ],
        stdout=subprocess.PIPE, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    # What pytest says comes before it.
    results = done.stdout.rpartition("\n")[2]
    if done.returncode or not results.startswith("{"):
        print(done.stdout, file=sys.stderr)
        return False
    target.write_text(results)
    return True


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description="Run the benchmarks and make the page.")
    parser.add_argument("--quick", action="store_true", help="about a minute, for a look only")
    parser.add_argument("--testbed", action="store_true", help="build and boot kernels too")
    parser.add_argument(
        "--machine", metavar="VERSION", help="in a virtual machine with this kernel of Debian"
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}")
    options = parser.parse_args()
    suites = options.suites or [*SUITES, *(["testbed"] if options.testbed else [])]
    FOLDER.mkdir(exist_ok=True)
    flags = ["--quick"] if options.quick else []
    failed = [suite for suite in suites if not run(suite, flags, options.machine)]
    status = page.main([])
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return status or int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
