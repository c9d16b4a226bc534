"""The command where it boots nothing."""

import json

import pytest

from gso.kernel.paths import patches_folder
from gso.kernel.scenarios import SCENARIOS


def test_list(gso_kernel):
    done = gso_kernel("list")
    assert done.status == 0
    for scenario in SCENARIOS:
        assert scenario.name in done.out
    names = {path.name for path in patches_folder().glob("*.patch")}
    assert names == set(json.loads(gso_kernel("list", "--json").out)["patches"])
    assert len(names) >= 2


def test_doctor_reports_as_json(gso_kernel):
    done = gso_kernel("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(done.out)}
    assert findings["virtme-ng"]["present"]
    missing = [f for f in findings.values() if f["required"] and not f["present"]]
    assert done.status == bool(missing)


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("no diff\n", "not a unified diff"), (None, "No such file")],
)
def test_what_is_no_patch_is_wrong_usage(gso_kernel, tmp_path, content, message):
    path = tmp_path / "x.patch"
    if content is not None:
        path.write_text(content)
    done = gso_kernel("verify", path)
    assert done.status == 2
    assert message in done.err
    assert not (tmp_path / "results").exists()


def test_a_directory_is_no_patch(gso_kernel, tmp_path):
    done = gso_kernel("verify", tmp_path)
    assert done.status == 2
    assert "is a directory" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "x.patch", "--timeout", "0"],
        ["verify", "x.patch", "--timeout", "nan"],
        ["verify", "x.patch", "--timeout", "soon"],
        ["nonsense"],
        [],
    ],
)
def test_wrong_usage_is_explained(gso_kernel, arguments):
    done = gso_kernel(*arguments) if arguments else gso_kernel("--nonsense")
    assert done.status == 2
    assert "usage:" in done.err


@pytest.mark.parametrize("option", ["--json", "--results"])
def test_places_that_cannot_be_written_are_found_at_once(gso_kernel, tmp_path, option):
    (tmp_path / "file").touch()
    patch = patches_folder() / "ipvs-gue-inner-mac-header.patch"
    done = gso_kernel("verify", patch, option, tmp_path / "file" / "x")
    assert done.status == 2
    assert "cannot" in done.err


def test_a_tree_that_is_no_kernel(gso_kernel, tmp_path):
    patch = patches_folder() / "ipvs-gue-inner-mac-header.patch"
    done = gso_kernel("verify", patch, "--source", tmp_path)
    assert done.status == 2
    assert "not a kernel tree" in done.err
