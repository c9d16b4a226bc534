"""Lock files have all that pyproject.toml asks for, for every Python; nothing comes unhashed."""

import re
import runpy
import sys
from itertools import combinations
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "requirements"
SCRIPT = FOLDER / "lock.py"
PYTHONS = ("3.10.4", "3.11.2", "3.12.0", "3.13.1")
SHA256 = re.compile(r"--hash=sha256:[0-9a-f]{64}")

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="no tomllib before Python 3.11")


def project() -> dict:
    import tomllib  # noqa: PLC0415  (Python 3.11)

    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def entries(name: str) -> list[tuple[Requirement, list[str]]]:
    """Each release of a lock file, and its hashes."""
    lines = (FOLDER / f"{name}.lock").read_text().replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        if line and not line.lstrip().startswith("#"):
            requirement, *hashes = line.split(" --")
            found.append((Requirement(requirement), [f"--{one.strip()}" for one in hashes]))
    return found


def environment(python: str) -> dict[str, str]:
    short = ".".join(python.split(".")[:2])
    return {**default_environment(), "python_full_version": python, "python_version": short}


def locked(name: str, python: str) -> dict[str, Version]:
    """The releases that are installed for this Python: one for each name."""
    found: dict[str, Version] = {}
    for requirement, _ in entries(name):
        if requirement.marker is None or requirement.marker.evaluate(environment(python)):
            (pin,) = requirement.specifier
            assert pin.operator == "=="
            assert canonicalize_name(requirement.name) not in found
            found[canonicalize_name(requirement.name)] = Version(pin.version)
    return found


LOCKS = (
    runpy.run_path(str(SCRIPT))["LOCKS"]
    if sys.version_info >= (3, 11)
    else {"make": (), "fuzz": ()}
)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_what_the_project_asks_for(name, python):
    facts = project()
    wanted = [*facts["project"]["dependencies"]]
    for extra in LOCKS[name]:
        wanted += facts["project"]["optional-dependencies"][extra]
    if name == "make":
        wanted += facts["build-system"]["requires"]
    releases = locked(name, python)
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate(environment(python)):
            assert releases[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.parametrize("python", PYTHONS)
def test_locks_agree(python):
    """All of them are installed into one environment."""
    for one, other in combinations(LOCKS, 2):
        first, second = locked(one, python), locked(other, python)
        both = first.keys() & second.keys()
        assert {name: first[name] for name in both} == {name: second[name] for name in both}


@pytest.mark.parametrize("name", LOCKS)
def test_every_file_is_known_by_its_hash_and_by_no_place(name):
    assert entries(name)
    for requirement, hashes in entries(name):
        assert requirement.url is None
        assert hashes
        assert all(SHA256.fullmatch(one) for one in hashes), requirement


def test_make_installs_by_hash_only():
    text = (ROOT / "Makefile").read_text()
    installs = [line for line in text.splitlines() if "pip install" in line]
    assert len(installs) == 2
    assert "--require-hashes --only-binary :all:" in installs[0]
    assert "--no-deps" in installs[1]
    assert "--no-build-isolation" in installs[1]
