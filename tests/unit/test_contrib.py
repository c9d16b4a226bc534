"""Patches for other projects fit what is installed of them."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

PATCHES = sorted((Path(__file__).parents[2] / "contrib/virtme-ng").glob("*.patch"))


@pytest.mark.skipif(version("virtme-ng") != "1.42", reason="the patches are for virtme-ng 1.42")
@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: path.stem)
def test_a_patch_for_virtme_ng_applies_and_compiles(patch, tmp_path):
    (source,) = find_spec("virtme").submodule_search_locations
    shutil.copytree(source, tmp_path / "virtme")
    subprocess.run(["git", "apply", patch], cwd=tmp_path, check=True)
    changed = tmp_path / "virtme/mkinitramfs.py"
    assert changed.read_text() != Path(source, "mkinitramfs.py").read_text()
    compile(changed.read_text(), changed, "exec")
