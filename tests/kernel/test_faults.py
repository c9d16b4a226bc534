"""The faults as data: complete, and in agreement with their patches and the table for people."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator

import pytest
from gso.kernel.paths import patches_folder
from gso.kernel.scenarios import DEFAULT_FAULT, FAULTS, named, select
from gso.kernel.scenarios.faults import Change, Fault
from gso.kernel.trees.patches import Patch

README = (patches_folder() / "README.md").read_text()


def commit(change: Change | None, otherwise: str) -> str:
    if change is None:
        return otherwise
    versions = f": v{', '.join(change.versions)}" if change.versions else ""
    return f'`{change.commit}` ("{change.subject}"){versions}'


def rows(fault: Fault) -> Iterator[str]:
    introduced = commit(fault.introduced, "not known")
    commits = f"{introduced} | {commit(fault.fixed, 'not fixed upstream')}"
    yield f"| `{fault.patch}` | {fault.title} | {commits} | {fault.symptom} |"
    for one in fault.incomplete:
        yield f"| `{one.patch}` | {one.title} | | | {one.symptom} |"


def test_the_table_is_that_of_the_data():
    table = [line for line in README.splitlines() if line.startswith("| `")]
    assert table == [row for fault in FAULTS for row in rows(fault)]


def test_every_patch_belongs_to_a_fault():
    named = {fault.patch for fault in FAULTS}
    named |= {one.patch for fault in FAULTS for one in fault.incomplete}
    named |= {form for fault in FAULTS for form in fault.forms}
    assert named == {path.name for path in patches_folder().glob("*.patch")}


@pytest.mark.parametrize(
    ("fault", "path"),
    [(fault, path) for fault in FAULTS for path in fault.patch_paths],
    ids=lambda one: one.name,
)
def test_a_fault_is_where_its_patch_changes_the_kernel(fault, path):
    patch = Patch.read(path)
    text, introduced = patch.text.decode(), fault.introduced
    assert patch.touched == fault.files
    for hunk in re.split(r"^@@ .* @@ ", text, flags=re.MULTILINE)[1:]:
        # It is in one of them, adds one, or is in no function at all.
        head, _, body = hunk.partition("\n")
        added = re.findall(r"^\+\w.*?(\w+)\(", body, re.MULTILINE)
        assert "(" not in head or {*re.findall(r"(\w+)\(", head), *added} & {*fault.functions}
    assert introduced is None or f'Fixes: {introduced.commit} ("{introduced.subject}")' in text
    assert fault.fixed is None or f"Upstream: {fault.fixed.commit}" in text
    chosen = select(fault.scenarios, (), fault.roles)
    assert {fault.roles.of(scenario) for scenario in chosen} == {"fault", "control"}
    # No name and no glob of them is a mistake.
    assert all(select([word]) for word in fault.fails)


def test_what_is_not_fixed_upstream_can_be_shown_anywhere():
    folders = {path.parent.name: path for path in patches_folder().glob("*/reproduce.sh")}
    assert set(folders) == {fault.name for fault in FAULTS if fault.fixed is None}
    for path in folders.values():
        assert os.access(path, os.X_OK), path
        assert subprocess.run(["bash", "-n", path], check=False).returncode == 0


def test_nothing_is_expected_where_another_fault_may_be():
    roles = named("ipvs-gue-inner-mac-header").roles
    expected = {
        "gue-outer4-inner4-csum": "fault",
        "ipip-outer4-inner4": "control",
        # The kernel may lack the fix of bareudp, or that there is for no kernel.
        "bareudp-outer6-inner4": "open",
        "gre-external-outer4-inner4-seq": "open",
        # The fault of ip6_tunnel would show here, but the fault has chosen it as a control.
        "fou-outer6-inner6-nocsum": "control",
    }
    assert {s.name: roles.of(s) for s in select(list(expected))} == expected


def test_the_list_shows_the_faults(gso_kernel):
    shown = gso_kernel("list").out
    told = json.loads(gso_kernel("list", "--json").out)["faults"]
    assert [one["name"] for one in told] == [fault.name for fault in FAULTS]
    assert DEFAULT_FAULT.name in {one["name"] for one in told if one["default"]}
    assert all(f"{fault.name}: {fault.title}" in shown for fault in FAULTS)
