"""Build with AddressSanitizer and UBSan, run the tests, then fuzz: see README.md here.

Exits 1 if a test fails or the fuzzer finds something, and says where the input is that did it.
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shlex import quote

import dictionaries
import seeds
from layout import CORPUS, LONGEST_INPUT
from log_mutator import FORMATS
from targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "sanitize"
LIBRARY = BUILD / "lib"
WORK = BUILD / "fuzz"
PROGRAM = WORK / "fuzz"
CORES = len(os.sched_getaffinity(0))
SCRIPTS = {"logs": len(FORMATS), "batches": 30}
"""Fuzzers of our own, fuzz_NAME.py, and the rounds that are tried each time."""
MOST_KEPT = 400
# The flags with which OSS-Fuzz calls oss-fuzz/build.sh for a project in Python.
FLAGS = (
    "-O1 -fno-omit-frame-pointer -gline-tables-only -fsanitize=address"
    " -fsanitize-address-use-after-scope -fsanitize=fuzzer-no-link -fno-sanitize=function,leak,vptr"
)
# A fixed date, so that a corpus with the same inputs is the same file.
EPOCH = (1980, 1, 1, 0, 0, 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds",
        type=int,
        default=300,
        help="fuzzing time of all targets, as many of them at once as there are cores;"
        " with 0, only the inputs known are tried, the same ones each time",
    )
    parser.add_argument(
        "--target", choices=[*TARGETS, *SCRIPTS], action="append", help="default: every one"
    )
    parser.add_argument("--no-tests", action="store_true", help="do not run the unit tests first")
    parser.add_argument("--keep", action="store_true", help="put what was learnt into tests/corpus")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="lay the targets out in this folder as on OSS-Fuzz, and do nothing else",
    )
    options = parser.parse_args()
    if options.seconds < 0:
        parser.error(f"--seconds {options.seconds}: at least 0 is needed")
    missing = requirements()
    if missing:
        print(f"sanitize: {missing}", file=sys.stderr)
        return 2
    if options.out:
        return lay_out(options.out)
    build()
    WORK.mkdir(parents=True, exist_ok=True)
    failed = 0 if options.no_tests else run_tests()
    write_program()
    targets = options.target or [*TARGETS, *SCRIPTS]
    seconds = options.seconds and max(1, options.seconds // len(targets))

    def explore(target: str) -> int:
        if target in SCRIPTS:
            return run_script(target, seconds)
        status = fuzz(target, seconds)
        if options.keep:
            keep(target)
        return status

    with ThreadPoolExecutor(CORES) as side_by_side:
        failed |= max(side_by_side.map(explore, targets))
    return 1 if failed else 0


def requirements() -> str | None:
    if shutil.which("clang") is None:
        return "clang is missing: apt-get install clang libclang-rt-14-dev"
    if importlib.util.find_spec("atheris") is None:
        return "atheris is missing: pip install atheris"
    return None


def build() -> None:
    """The library, instrumented, beside the usual build."""
    environment = {
        **os.environ,
        "CC": "clang",
        "CXX": "clang++",
        "LDSHARED": "clang -shared",
        "SANITIZE": "address,undefined,fuzzer-no-link",
    }
    arguments = ["--build-base", str(BUILD), "--build-lib", str(LIBRARY), "--parallel", str(CORES)]
    print("sanitize: building with clang", flush=True)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build", *arguments],
        check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def lay_out(out: Path) -> int:
    """What OSS-Fuzz's container does: its variables, and then oss-fuzz/build.sh."""
    if importlib.util.find_spec("PyInstaller") is None:
        print("sanitize: PyInstaller is missing: pip install pyinstaller", file=sys.stderr)
        return 2
    work = BUILD / "oss-fuzz"
    sources = work / "src"
    for folder in (out, sources):
        folder.mkdir(parents=True, exist_ok=True)
    (sources / "gso").unlink(missing_ok=True)
    (sources / "gso").symlink_to(ROOT)
    shutil.copy(preloaded(), out / "sanitizer_with_fuzzer.so")
    if symbolizer := shutil.which("llvm-symbolizer"):
        shutil.copy(symbolizer, out)
    environment = {
        **os.environ,
        **{"CC": "clang", "CXX": "clang++", "CFLAGS": FLAGS, "CXXFLAGS": FLAGS},
        **{"SANITIZER": "address", "FUZZING_ENGINE": "libfuzzer", "FUZZING_LANGUAGE": "python"},
        **{"SRC": str(sources), "WORK": str(work), "OUT": str(out.resolve())},
        "LIB_FUZZING_ENGINE": "-fsanitize=fuzzer",
        # The "python3" of the script is this one.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    script = Path(__file__).with_name("oss-fuzz") / "build.sh"
    print(f"sanitize: laying the targets out in {out}", flush=True)
    return int(subprocess.run(["bash", "-eu", script], env=environment, check=False).returncode > 0)


def preloaded() -> Path:
    """LibFuzzer and the sanitizers, which have to be in the process before Python is."""
    spec = importlib.util.find_spec("atheris")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1] / "asan_with_fuzzer.so"


def sanitized() -> dict[str, str]:
    """The environment in which the instrumented library can be loaded and complains."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(LIBRARY), str(ROOT / "tests" / "fuzz")]),
        "PYTHONMALLOC": "malloc",  # so that overruns of Python's own buffers are seen
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # the same inputs in the same order, but for the time they take
        "LD_PRELOAD": str(preloaded()),
        # The interpreter itself leaks on purpose, and a huge allocation is to be a MemoryError.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


def run_tests() -> int:
    print("sanitize: unit and property tests", flush=True)
    # The pytest command, and another current directory: "python -m" and "python -c" look there
    # first, where the usual build of the library may be.
    command = [Path(sys.executable).with_name("pytest"), "-q", "-p", "no:cacheprovider"]
    command += ["-c", ROOT / "pyproject.toml", "--rootdir", ROOT, "-n", str(CORES)]
    # The sanitizer's own memory is many times what this one allows.
    command += ["--ignore", ROOT / "tests" / "unit" / "test_memory.py"]
    command += [ROOT / "tests" / "unit", ROOT / "tests" / "property"]
    return int(subprocess.run(command, cwd=WORK, env=sanitized(), check=False).returncode != 0)


def fuzz(target: str, seconds: int) -> int:
    folder = unpack(target)
    print(f"sanitize: fuzzing {target} for {seconds} s, {count(folder)} inputs known", flush=True)
    found = WORK / "found"
    found.mkdir(exist_ok=True)
    words = WORK / f"{target}.dict"
    dictionaries.write(target, words)
    log = WORK / f"{target}.log"
    with log.open("wb") as output:
        status = run_fuzzer(
            target,
            [
                "-seed=1",
                f"-max_total_time={seconds}" if seconds else "-runs=0",
                f"-artifact_prefix={found}/{target}-",
                f"-dict={words}",
                str(folder),
            ],
            output,
        )
    end = log.read_text("utf-8", "replace").splitlines()[-1:]
    print(f"sanitize: {target}: {' '.join(end)}, {count(folder)} inputs known now", flush=True)
    if status:
        print(log.read_text("utf-8", "replace")[-6000:])
        print(f"sanitize: {target} failed: inputs in {found}, log in {log}")
        show(sorted(found.glob(f"{target}-*")))
    return int(status != 0)


def run_script(target: str, seconds: int) -> int:
    """Mutated logs, each read in several ways; or batches of packets, cut in several ways."""
    print(f"sanitize: fuzzing {target} for {seconds} s", flush=True)
    found = WORK / "found"
    script = Path(__file__).with_name(f"fuzz_{target}.py")
    extent = ["--seconds", str(seconds)] if seconds else ["--rounds", str(SCRIPTS[target])]
    command = [sys.executable, script, *extent, "--folder", found]
    status = subprocess.run(command, cwd=WORK, env=sanitized(), check=False).returncode
    if status:
        print(f"sanitize: {target} failed with status {status}: inputs in {found}")
        # The input read last is the culprit of a crash; otherwise it is longer than the one found.
        show(sorted(found.glob(f"{target}-*-*")) or sorted(found.glob(f"{target}-*")))
    return int(status != 0)


def show(inputs: list[Path]) -> None:
    """The inputs themselves, as a log may be all that is left of this machine."""
    for path in inputs:
        data = path.read_bytes()
        print(f"sanitize: {path.name}, {len(data)} bytes, in base64:")
        print(base64.b64encode(data).decode())


def write_program() -> None:
    """LibFuzzer starts itself again to merge, so there has to be one file that can be executed."""
    script = Path(__file__).with_name("fuzz.py")
    PROGRAM.write_text(f'#!/bin/sh\nexec {quote(sys.executable)} {quote(str(script))} "$@"\n')
    PROGRAM.chmod(0o755)


def run_fuzzer(target: str, arguments: list[str], output: io.BufferedWriter | int) -> int:
    limits = ["-timeout=20", "-rss_limit_mb=3072", f"-max_len={LONGEST_INPUT}"]
    environment = {**sanitized(), "FUZZ_PROGRAM": str(PROGRAM), "FUZZ_TARGET": target}
    return subprocess.run(
        [PROGRAM, *limits, *arguments],
        cwd=WORK, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False,
    ).returncode  # fmt: skip


def count(folder: Path) -> int:
    return len(list(folder.iterdir()))


def unpack(target: str) -> Path:
    """The target's corpus and seeds as libFuzzer wants them: one file an input."""
    folder = WORK / target
    folder.mkdir(parents=True, exist_ok=True)
    seeds.write(target, folder)
    archive = CORPUS / f"{target}.zip"
    if archive.exists():
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
    return folder


def keep(target: str) -> None:
    """Store the smallest set of inputs that reaches what all of them reach."""
    small = WORK / f"{target}-small"
    shutil.rmtree(small, ignore_errors=True)
    small.mkdir()
    with (WORK / f"{target}-merge.log").open("wb") as log:
        if run_fuzzer(target, ["-merge=1", str(small), str(WORK / target)], log):
            print(f"sanitize: {target} not merged, see {log.name}")
            return
    inputs = sorted(small.iterdir(), key=lambda path: (path.stat().st_size, path.name))
    CORPUS.mkdir(exist_ok=True)
    with zipfile.ZipFile(CORPUS / f"{target}.zip", "w", zipfile.ZIP_LZMA) as packed:
        for path in sorted(inputs[:MOST_KEPT], key=lambda path: path.name):
            packed.writestr(zipfile.ZipInfo(path.name, EPOCH), path.read_bytes())
    print(f"sanitize: kept {min(len(inputs), MOST_KEPT)} inputs of {target}")


if __name__ == "__main__":
    sys.exit(main())
