"""What PyPI shows of the package."""

from __future__ import annotations

import re
import runpy
from importlib import metadata
from pathlib import Path

import pytest

import gso
from wheels import EXTRAS

ROOT = Path(__file__).parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text()
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def shown() -> str:
    pytest.importorskip("Cython", reason="setup.py needs Cython")
    return runpy.run_path(str(ROOT / "setup.py"))["readme"]()


def test_links_of_the_readme_lead_to_files_of_the_repository(shown):
    source = re.search(r'^Source = "(.*)"', PROJECT, re.MULTILINE)[1]
    links = LINK.findall((ROOT / "README.md").read_text())
    assert len(links) >= 7
    rewritten = LINK.findall(shown)
    assert len(rewritten) == len(links)
    for before, after in zip(links, rewritten, strict=True):
        if before.startswith(("https:", "#")):
            assert after == before
        else:
            kind = "raw" if before.endswith(".svg") else "blob"
            assert after == f"{source}/{kind}/v{gso.__version__}/{before}"
            assert (ROOT / before.partition("#")[0]).exists()
    assert LINK.sub("", shown) == LINK.sub("", (ROOT / "README.md").read_text())


def test_the_version_stands_in_one_place():
    (version,) = re.findall(r'^version = "(.*)"', PROJECT, re.MULTILINE)
    assert gso.__version__ == metadata.version("pygso") == version


def test_every_extra_is_for_users_or_for_those_who_work_on_it():
    found = re.search(r"^\[project.optional-dependencies\]\n(.*?)^\[", PROJECT, re.M | re.S)[1]
    extras = set(re.findall(r"^(\w+) = ", found, re.MULTILINE))
    assert extras == {*EXTRAS, "test", "bench", "lint", "fuzz", "docs", "release"}


def test_code_and_patches_have_licences_of_their_own():
    assert metadata.metadata("pygso")["License-Expression"] == "MIT AND GPL-2.0-only"
    assert "MIT" in (ROOT / "LICENSE").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in (ROOT / "patches" / "LICENSE").read_text()
