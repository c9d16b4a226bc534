"""Installed as users do: from a clean checkout on every supported Python, and from a wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from gso.kernel.trees import apt

from papers import blocks
from wheels import VERSIONS, interpreter

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "release" / "smoke.py"


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
    run(environment / "bin/python", SMOKE, cwd=folder)
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
    """Whether it builds and runs, not optimised (`make wheels` tries optimised ones)."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    source = checkout(tmp_path / "source")
    environment = tmp_path / "venv"
    run(python, "-m", "venv", environment, cwd=tmp_path)
    pip = [environment / "bin/pip", "install", "-q", f"{source}[kernel]"]
    run(*pip, cwd=tmp_path, CC=str(quick_compiler(tmp_path)))
    check_installed(environment, tmp_path)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The sdist of a checkout that is there no more, and what the checkout had."""
    folder = tmp_path_factory.mktemp("sdist")
    source = checkout(folder / "source")
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    run(sys.executable, "-c", build, cwd=source)
    tracked = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    shutil.rmtree(source)
    (built,) = folder.glob("pygso-*.tar.gz")
    return built, tracked


def build_wheel(source: Path, folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    made = {"SOURCE_DATE_EPOCH": "1700000000", "CC": str(quick_compiler(folder))}
    run(*pip, "-w", folder, source, cwd=folder, **made)
    (wheel,) = folder.glob("pygso-*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    return build_wheel(sdist[0], tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_an_sdist_has_the_sources_and_no_more(sdist):
    built, tracked = sdist
    with tarfile.open(built) as archive:
        names = {one.name.partition("/")[2] for one in archive.getmembers() if one.isfile()}
    assert {name for name in names if name.startswith("gso/")} == {
        name for name in tracked if name.startswith("gso/") and not re.search(r"/_\w+\.c$", name)
    }
    assert not any(name.startswith(("tests", "benchmarks")) for name in names)


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_a_wheel_has_all_that_is_needed_elsewhere(wheel, tmp_path):
    share = f"pygso-{wheel.name.split('-')[1]}.data/data/share"
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        f"{share}/man/man1/gso-kernel.1",
        f"{share}/bash-completion/completions/gso",
        f"{share}/zsh/site-functions/_gso",
        f"{share}/fish/vendor_completions.d/gso-kernel.fish",
        "gso/py.typed",
        "gso/kernel/guest/__main__.py",
        "gso/kernel/guest/segmenter/Kbuild",
        "gso/kernel/guest/receiver/Kbuild",
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
    assert not any(name.endswith(".pyc") for name in names)
    # No sources but those of the modules that are built for the guest's kernel
    assert {name for name in names if name.endswith((".c", ".pyx"))} == {
        "gso/kernel/guest/receiver/receiver.c",
        "gso/kernel/guest/segmenter/segmenter.c",
    }
    environment = tmp_path / "venv"
    run(sys.executable, "-m", "venv", environment, cwd=tmp_path)
    run(environment / "bin/pip", "install", "-q", f"{wheel}[kernel]", cwd=tmp_path)
    check_installed(environment, tmp_path)


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_the_modules_of_a_wheel_are_stripped(wheel):
    with zipfile.ZipFile(wheel) as archive:
        modules = [archive.read(n) for n in archive.namelist() if n.endswith(".so")]
    assert len(modules) > 20
    assert not any(b".symtab\0" in module or b".debug_info\0" in module for module in modules)


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_pypi_would_take_the_wheel(wheel, sdist, tmp_path):
    """auditwheel finds nothing in it that a host may lack; twine reads what it says of itself."""
    pytest.importorskip("auditwheel", reason="requirements/release.lock is not installed")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    audit = [sys.executable, "-m", "auditwheel", "repair", "-w", tmp_path, wheel]
    run(*audit, cwd=tmp_path, PATH=path)
    (repaired,) = tmp_path.glob("*.whl")
    assert re.search(r"-manylinux_2_(\d+)_", repaired.name)
    run(sys.executable, "-m", "twine", "check", "--strict", repaired, sdist[0], cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_two_builds_are_equal(wheel, tmp_path):
    """One of an sdist and one of a checkout, in folders of other names."""
    other = build_wheel(checkout(tmp_path / "source"), tmp_path)
    assert other.name == wheel.name
    assert contents(other) == contents(wheel)
    assert sha256(other.read_bytes()).digest() == sha256(wheel.read_bytes()).digest()


def contents(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


SUITES = {(3, 11): ("bookworm", "2.36"), (3, 13): ("trixie", "2.41")}
"""For each Python the suite of Debian that has it, and the suite's C library."""
BARE = "python3-minimal,python3-venv,python3-numpy"


@pytest.fixture(scope="module")
def bare(wheel, debootstrap, bwrap, tmp_path_factory):
    """A minimal Debian with Python and NumPy, without a compiler and without a network.

    Returns a function that runs a program in it, in a folder with what the README reads.
    """
    if os.geteuid() != 0:
        pytest.skip("debootstrap needs root")
    if sys.version_info[:2] not in SUITES:
        pytest.skip(f"no suite of Debian has Python {sys.version_info[0]}.{sys.version_info[1]}")
    suite, newest = SUITES[sys.version_info[:2]]
    ours = os.confstr("CS_GNU_LIBC_VERSION").split()[1]
    if [*map(int, ours.split("."))] > [*map(int, newest.split("."))]:
        pytest.skip(f"wheels built here need glibc {ours}; {suite} has {newest}")
    folder = tmp_path_factory.mktemp("bare")
    root, mirror = folder / "root", apt._archive("debian")
    setup = [debootstrap, "--variant=minbase", f"--include={BARE}", suite, root, mirror]
    run(*setup, cwd=folder)
    shutil.copytree(ROOT / "tests/kernel/data", root / "home/tests/kernel/data")
    shutil.copy(wheel, root / "home")

    def inside(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(bwrap, "--unshare-all", "--clearenv", "--bind", root, "/", "--dev", "/dev"),
                *("--proc", "/proc", "--chdir", "/home", "--setenv", "COLUMNS", "100"),
                *("--setenv", "PATH", "/home/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
                *command,
            ],
            capture_output=True,
            text=True,
            check=False,
        )

    for compiler in ("cc", "gcc", "c++", "cython3", "make"):
        assert inside("sh", "-c", f"command -v {compiler}").returncode != 0
    for command in (
        ("python3", "-m", "venv", "--system-site-packages", "venv"),
        ("venv/bin/pip", "install", "--quiet", "--no-index", "--no-compile", wheel.name),
    ):
        done = inside(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    yield inside
    shutil.rmtree(root)


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_a_wheel_does_what_the_readme_says_without_a_compiler(bare):
    """Each program of the library and each command ``gso`` that the README shows."""
    programs = commands = 0
    shown = blocks(ROOT / "README.md")
    for block, answer in zip(shown, [*shown[1:], None], strict=True):
        if block.language == "python":
            done = bare("python", "-c", block.text)
            assert (done.returncode, done.stderr, done.stdout) == (0, "", answer.text)
            programs += 1
        elif block.language == "sh" and not block.reason:
            for command, status, _ in block.commands():
                done = bare("sh", "-c", command)
                assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
                commands += 1
    assert programs >= 1
    assert commands >= 6
    assert "/home/venv/" in bare("python", "-c", "import gso; print(gso.__file__)").stdout
