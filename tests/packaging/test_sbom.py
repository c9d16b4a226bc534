"""The bill of materials of a release says what its files have."""

from __future__ import annotations

import json
import zipfile
from hashlib import sha256

import pytest

pytest.importorskip("cyclonedx", reason="requirements/release.lock is not installed")

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import sbom

ABOUT = """\
Metadata-Version: 2.4
Name: pygso
Version: {}
Summary: s
License-Expression: MIT AND GPL-2.0-only
Requires-Dist: numpy>=1.23
Requires-Dist: tomli>=2; python_version < "3.11" and extra == "kernel"
Requires-Dist: scapy>=2.6; extra == "scapy"
Requires-Dist: scapy>=2.6; extra == "test"
Requires-Dist: pytest>=8; extra == "test"
"""


def made(folder, tag="cp311", version="1.2.3"):
    with zipfile.ZipFile(folder / f"pygso-{version}-{tag}.whl", "w") as wheel:
        wheel.writestr(zipfile.ZipInfo("pygso.dist-info/METADATA"), ABOUT.format(version))
        wheel.writestr(zipfile.ZipInfo("gso/kernel/patches/one.patch"), "--- a\n+++ b\n")
        wheel.writestr(zipfile.ZipInfo("gso/kernel/patches/one.toml"), "")


@pytest.fixture
def bill(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    made(tmp_path)
    (tmp_path / "pygso-1.2.3.tar.gz").write_bytes(b"sdist")
    sbom.main(str(tmp_path))
    assert capsys.readouterr().out == f"{tmp_path / 'pygso-1.2.3.cdx.json'}\n"
    return (tmp_path / "pygso-1.2.3.cdx.json").read_text()


def test_it_is_what_the_standard_says(bill):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None


def test_code_and_patches_have_licences_apart(bill):
    whole = json.loads(bill)["metadata"]["component"]
    assert whole["purl"] == "pkg:pypi/pygso@1.2.3"
    assert whole["licenses"] == [{"expression": "MIT AND GPL-2.0-only"}]
    parts = {part["name"]: part for part in whole["components"]}
    licences = {name: part["licenses"][0]["license"]["id"] for name, part in parts.items()}
    assert licences == {"pygso-code": "MIT", "pygso-kernel-patches": "GPL-2.0-only"}
    (diff,) = parts["pygso-kernel-patches"]["components"]
    assert diff["name"] == "one.patch"
    assert diff["hashes"][0]["content"] == sha256(b"--- a\n+++ b\n").hexdigest()


def test_it_has_each_file_with_its_hash(bill, tmp_path):
    listed = json.loads(bill)["metadata"]["component"]["externalReferences"]
    files = [*tmp_path.glob("*.whl"), *tmp_path.glob("*.tar.gz")]
    assert len(files) == 2
    assert {one["url"]: one["hashes"][0]["content"] for one in listed} == {
        file.name: sha256(file.read_bytes()).hexdigest() for file in files
    }


def test_it_has_what_users_need_and_nothing_of_developers(bill):
    needed = {one["name"]: one for one in json.loads(bill)["components"]}
    assert {name: one["scope"] for name, one in needed.items()} == {
        "numpy": "required",
        "scapy": "optional",
        "tomli": "optional",
    }
    assert [one["value"] for one in needed["numpy"]["properties"]] == ["numpy>=1.23"]


def test_the_same_files_give_the_same_bytes(bill, tmp_path):
    (tmp_path / "pygso-1.2.3.cdx.json").unlink()
    sbom.main(str(tmp_path))
    assert (tmp_path / "pygso-1.2.3.cdx.json").read_text() == bill


def test_what_is_no_release_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="has no wheel"):
        sbom.main(str(tmp_path))
    made(tmp_path)
    made(tmp_path, version="1.2.4")
    with pytest.raises(SystemExit, match=r"several versions: 1\.2\.3, 1\.2\.4"):
        sbom.main(str(tmp_path))
