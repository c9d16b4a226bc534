"""Lay out the targets as OSS-Fuzz wants them: oss-fuzz/build.sh calls this.

    python tests/fuzz/layout.py WORK OUT       WORK/lib has the package, compiled for fuzzing

OUT gets of each target an executable, NAME_seed_corpus.zip, NAME.dict and NAME.options, and one
folder with the interpreter and all modules, which the executables start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import dictionaries
import seeds
from targets import TARGETS

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
CORPUS = TESTS / "corpus"
BUNDLE = "gso-fuzz"
LONGEST_INPUT = 1 << 16
# Reached by what takes or gives objects of these packages, which no target does.
_LEFT_OUT = ("backports", "dask", "distributed", "hypothesis", "pyarrow", "scapy", "tkinter")
_OPTIONS = f"[libfuzzer]\nmax_len = {LONGEST_INPUT}\ntimeout = 20\n"
_PROGRAM = """#!/bin/sh
# LLVMFuzzerTestOneInput: the word by which OSS-Fuzz knows a target.
here=$(cd "$(dirname "$0")" && pwd)
export FUZZ_TARGET={target} FUZZ_PROGRAM="$here/{target}"
own=detect_leaks=0:allocator_may_return_null=1
own=$own:symbolize=1:external_symbolizer_path=$here/llvm-symbolizer
export ASAN_OPTIONS="${{ASAN_OPTIONS:+$ASAN_OPTIONS:}}$own"
export LD_PRELOAD="$here/sanitizer_with_fuzzer.so"
exec "$here/{bundle}/{bundle}" "$@"
"""


def main() -> None:
    """Write everything into OUT."""
    work, out = (Path(argument).resolve() for argument in sys.argv[1:])
    for target in TARGETS:
        pack(target, out / f"{target}_seed_corpus.zip")
        dictionaries.write(target, out / f"{target}.dict")
        (out / f"{target}.options").write_text(_OPTIONS)
        program = out / target
        program.write_text(_PROGRAM.format(target=target, bundle=BUNDLE))
        program.chmod(0o755)
    bundle(work, out)


def pack(target: str, archive: Path) -> None:
    """Write the first inputs, and those that were kept, into an archive."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for number, seed in enumerate(seeds.seeds(target)):
            packed.writestr(f"seed-{number:03}", seed)
        if (kept := CORPUS / f"{target}.zip").exists():
            with zipfile.ZipFile(kept) as source:
                for name in source.namelist():
                    packed.writestr(name, source.read(name))


def bundle(work: Path, out: Path) -> None:
    """Put the interpreter, the modules and their data into one folder, by PyInstaller."""
    library = work / "lib"
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--onedir", "--name", BUNDLE]
    command += ["--log-level", "ERROR", "--distpath", out]
    command += ["--workpath", work / "bundle", "--specpath", work]
    for folder in (library, TESTS, HERE):
        command += ["--paths", folder]
    for module in _LEFT_OUT:
        command += ["--exclude-module", module]
    for module in imported(library):
        command += ["--hidden-import", module]
    for path in data(library):
        command += ["--add-data", f"{path}:{path.parent.relative_to(library)}"]
    for folder in ("vectors", "kernel/data"):
        command += ["--add-data", f"{TESTS / folder}:{folder}"]
    command.append(HERE / "fuzz.py")
    # PyInstaller starts programs that need not be watched for errors of memory.
    unwatched = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    subprocess.run(command, check=True, env=unwatched)


def imported(library: Path) -> list[str]:
    """Name all modules of the package, and what they import here.

    PyInstaller sees neither what compiled modules import, nor a module named in a text.
    """
    own = [path.relative_to(library) for kind in ("*.py", "*.so") for path in library.rglob(kind)]
    names = {".".join(path.with_name(path.name.split(".")[0]).parts) for path in own}
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if spec and spec.has_location and spec.name == name and name != Path(__file__).stem:
            names.add(name)
    return sorted(name.removesuffix(".__init__") for name in names)


def data(library: Path) -> list[Path]:
    """Return the files of the package that are no modules."""
    code = {".py", ".so", ".pyx", ".pyi", ".pxd", ".h", ".pyc"}
    files = (path for path in (library / "gso").rglob("*") if path.is_file())
    return sorted(path for path in files if path.suffix not in code)


if __name__ == "__main__":
    main()
