"""Installed as users do: from a clean checkout on every supported Python, and from a wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.10", "3.11", "3.12", "3.13")

# Run far from the checkout, so that only what was installed can be found.
PROGRAM = """
import gso, gso.kernel.paths as paths
frame = bytes.fromhex(
    "020000000002020000000001080045000bc400014000400600000a0000010a000002"
    "04d20050000000010000000050180200142e0000") + bytes(2972)
sizes = [len(s) for s in gso.segment(frame, 1448)]
assert sizes == [1502, 1502, 130], sizes
assert len(list(paths.patches_folder().glob("*.patch"))) >= 2
assert (paths.GUEST / "main.py").is_file()
import gso.kernel.report.page, gso.kernel.report.load as load
assert load.SCHEMA.is_file()
"""


def checkout(target: Path) -> Path:
    """Copy what git tracks or would track: no build leftovers."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def interpreter(version: str) -> str | None:
    """Return a Python of this version that runs (the shims of pyenv may not)."""
    candidates = [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")]
    if found := shutil.which(f"python{version}"):
        candidates.append(Path(found))
    for candidate in candidates:
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(candidate)
    return None


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def check_installed(environment: Path, folder: Path) -> None:
    run(environment / "bin/python", "-c", PROGRAM, cwd=folder)
    assert "ipvs-gue-inner-mac-header.patch" in run(
        environment / "bin/gso-kernel", "list", cwd=folder
    )
    assert "segment" in run(environment / "bin/gso", "--help", cwd=folder)
    assert ".SS gso segment" in (environment / "share/man/man1/gso.1").read_text()


def quick_compiler(folder: Path) -> Path:
    """Make a compiler that does not optimise, whatever it is told: a fifth of the time."""
    compiler = folder / "quick-gcc"
    compiler.write_text('#!/bin/sh\nexec gcc "$@" -O0\n')
    compiler.chmod(0o755)
    return compiler


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_pip_install_from_a_clean_checkout(version, tmp_path):
    """Whether it builds and runs; the code that users get is in the wheel of the next test."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    source = checkout(tmp_path / "source")
    environment = tmp_path / "venv"
    run(python, "-m", "venv", environment, cwd=tmp_path)
    pip = [environment / "bin/pip", "install", "-q", f"{source}[kernel]"]
    run(*pip, cwd=tmp_path, CC=str(quick_compiler(tmp_path)))
    check_installed(environment, tmp_path)


@pytest.mark.slow
def test_an_sdist_and_its_wheel_have_all_that_is_needed_elsewhere(tmp_path):
    source = checkout(tmp_path / "source")
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    run(sys.executable, "-c", build, cwd=source)
    (sdist,) = tmp_path.glob("pygso-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {one.name.partition("/")[2] for one in archive.getmembers() if one.isfile()}
    tracked = {
        str(path.relative_to(source)) for path in (source / "gso").rglob("*") if path.is_file()
    }
    assert {name for name in names if name.startswith("gso/")} == {
        name for name in tracked if not re.search(r"/_\w+\.c$", name)
    }
    assert not any(name.startswith(("tests", "benchmarks")) for name in names)
    shutil.rmtree(source)
    pip = [sys.executable, "-m", "pip"]
    wheel_options = ["--no-deps", "--no-build-isolation", "-w", tmp_path]
    run(*pip, "wheel", "-q", *wheel_options, sdist, cwd=tmp_path)
    (wheel,) = tmp_path.glob("pygso-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    version = wheel.name.split("-")[1]
    share = f"pygso-{version}.data/data/share"
    for needed in (
        f"{share}/man/man1/gso-kernel.1",
        f"{share}/bash-completion/completions/gso",
        f"{share}/zsh/site-functions/_gso",
        f"{share}/fish/vendor_completions.d/gso-kernel.fish",
        "gso/py.typed",
        "gso/kernel/guest/__main__.py",
        "gso/kernel/guest/segmenter/Kbuild",
        "gso/kernel/config/machine.config",
        "gso/kernel/patches/ipvs-gue-inner-mac-header.patch",
        "gso/kernel/patches/ipvs-gue-inner-mac-header.toml",
        "gso/kernel/patches/LICENSE",
    ):
        assert needed in names
    stubs = {name for name in names if name.endswith(".pyi")}
    compiled = {name.split(".")[0] for name in names if name.endswith(".so")}
    assert "gso/segmentation/_segment" in compiled
    assert {f"{name}.pyi" for name in compiled - {"gso/_cyutility"}} <= stubs
    assert not any(name.startswith(("tests", "benchmarks", "kernel/")) for name in names)
    # No sources but those of the module that is built for the guest's kernel
    assert {name for name in names if name.endswith((".c", ".pyx"))} == {
        "gso/kernel/guest/segmenter/segmenter.c"
    }
    environment = tmp_path / "venv"
    run(sys.executable, "-m", "venv", environment, cwd=tmp_path)
    run(environment / "bin/pip", "install", "-q", f"{wheel}[kernel]", cwd=tmp_path)
    check_installed(environment, tmp_path)
