"""Parts of a run on several hosts, merged: equal to the whole run."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from gso.kernel import cli
from gso.kernel.judging.parts import Part
from hypothesis import given
from hypothesis import strategies as st

from fake_machines import FAILING, alike, fake_machines, results
from ktap_parser import parse
from testbed import MAIN


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 30))
def test_parts_have_everything_once(count, units, things):
    found = []
    for index in range(1, count + 1):
        ours = Part(index, count).of(units)
        assert ours
        assert len(ours) == 1 or count <= units
        found += [(u, t) for u, part in ours.items() for t in part.take(range(things))]
    assert sorted(found) == [(unit, thing) for unit in range(units) for thing in range(things)]


@pytest.fixture
def run(tmp_path, capsys):
    """Run a command with made-up machines; return its status and what it printed."""

    def command(*words: str, kernels: int = 1, broken=()) -> tuple[int, str]:
        with fake_machines(tmp_path / "images", kernels) as machines:
            machines.broken.update(broken)
            status = cli.main(list(words))
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return command


def verified(run, tmp_path, *words, parts=1, **given):
    """Verify in one run and in parts; return what both left, and the parts' exit statuses."""
    what = ["verify", "--image", "a", "b", *words, "--quiet"]
    whole, _ = run(*what, "--results", str(tmp_path / "whole"), **given)
    statuses = [
        run(*what, "--shard", f"{n}/{parts}", "--results", str(tmp_path / f"part{n}"), **given)[0]
        for n in range(1, parts + 1)
    ]
    places = [str(tmp_path / f"part{n}") for n in range(1, parts + 1)]
    merged, _ = run("report", "--merge", *places, "--results", str(tmp_path / "merged"))
    both = results(tmp_path / "whole"), results(tmp_path / "merged")
    assert (whole, merged) == tuple(found["exit_status"] for found in both)
    return *both, statuses


BROKEN = [(), ("patched",), ("unpatched", "patched")]


@pytest.mark.parametrize(
    ("kernels", "parts", "broken"),
    [
        *[(2, 2, broken) for broken in BROKEN],
        (1, 1, BROKEN[1]),
        (1, 3, BROKEN[2]),
        (3, 2, BROKEN[0]),
        (2, 5, BROKEN[1]),
        (1, 40, BROKEN[0]),
    ],
)
def test_merged_parts_equal_the_whole_run(run, tmp_path, kernels, parts, broken):
    bad = {(variant, "fou-outer4-inner4-nocsum") for variant in broken}
    whole, merged, statuses = verified(run, tmp_path, kernels=kernels, parts=parts, broken=bad)
    assert alike(merged) == alike(whole)
    assert whole["verdict"] == {0: "FIXED", 1: "REGRESSED", 2: "INCONCLUSIVE"}[len(broken)]
    assert (max(statuses) > 0) == bool(broken)
    (folder,) = (tmp_path / "merged").iterdir()
    for kernel in merged["kernels"]:
        for scenario in kernel["scenarios"]:
            for place in scenario["evidence"].values():
                assert list((folder / place).glob(f"{scenario['name']}-*.trace"))
    parse((folder / "results.ktap").read_text())


def test_applications_and_repetitions_are_merged(run, tmp_path):
    whole, merged, _ = verified(run, tmp_path, "--repeat", "2", parts=3)
    assert alike(merged) == alike(whole)
    assert all(s["runs"] in ({"FIXED": 2}, {"UNAFFECTED": 2}) for s in scenarios(merged))


def scenarios(found: dict) -> list[dict]:
    return [scenario for kernel in found["kernels"] for scenario in kernel["scenarios"]]


def in_parts(run, tmp_path, count: int, *words: str) -> list[Path]:
    folders = []
    for n in range(1, count + 1):
        place = tmp_path / f"part{n}"
        run(
            "verify",
            "--image",
            "a",
            "b",
            "--quiet",
            *words,
            *("--shard", f"{n}/{count}", "--results", str(place)),
        )
        folders.append(place)
    return folders


def test_runs_of_one_second_have_folders_of_their_own(run, tmp_path, monkeypatch):
    then, strftime = time.gmtime(0), time.strftime
    monkeypatch.setattr("time.strftime", lambda form, *_: strftime(form, then))
    what = ["verify", "--image", "a", "b", "--quiet", "--results", str(tmp_path / "r")]
    assert [run(*what)[0] for _ in range(3)] == [0, 0, 0]
    names = sorted(
        path.name.removeprefix("19700101-000000-") for path in (tmp_path / "r").iterdir()
    )
    assert [name[-2:] for name in names[1:]] == ["-2", "-3"]
    assert all((path / "results.json").exists() for path in (tmp_path / "r").iterdir())


def test_a_part_that_is_missing_is_no_verdict(run, tmp_path):
    folders = in_parts(run, tmp_path, 3)
    status, said = run(
        "report", "--merge", *map(str, folders[:2]), "--results", str(tmp_path / "m")
    )
    assert status == 125
    assert "part 3 of 3 is not there" in said
    assert results(tmp_path / "m")["verdict"] == "INCONCLUSIVE"


def test_a_part_says_that_it_is_one(run, tmp_path):
    what = ["verify", "--image", "a", "b", "--shard", "2/3", "--results", str(tmp_path / "r")]
    status, said = run(*what)
    assert status == 0
    assert "part 2 of 3" in said
    assert "report --merge" in said
    assert results(tmp_path / "r")["shard"]["index"] == 2


def test_what_does_not_belong_together_is_refused(run, tmp_path):
    two = in_parts(run, tmp_path / "two", 2)
    three = in_parts(run, tmp_path / "three", 3)
    other = in_parts(run, tmp_path / "other", 2, "--only", "vxlan")
    for folders, said in (
        ([two[0], three[1]], "two ways to divide"),
        ([two[0], two[0].parent / "part1" / "..", two[1]], "FIXED"),
        ([two[0], other[1]], "not of one run"),
        ([tmp_path / "images"], "none of results.json"),
        ([tmp_path / "nowhere"], "no folder"),
    ):
        status, text = run(
            "report", "--merge", *map(str, folders), "--results", str(tmp_path / "m")
        )
        assert said in text
        assert status == (0 if said == "FIXED" else 2)
    shutil.copytree(two[0], tmp_path / "again")
    status, text = run("report", "--merge", *map(str, [*two, tmp_path / "again"]))
    assert (status, "are both part 1 of 2" in text) == (2, True)


def test_links_and_hidden_folders_are_not_followed(run, tmp_path):
    folders = in_parts(run, tmp_path, 2)
    (place,) = folders[0].iterdir()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (next(path for path in place.iterdir() if path.is_dir()) / "leak").symlink_to(secret)
    (place / ".hidden").mkdir()
    shutil.copy(place / "results.json", place / ".hidden" / "results.json")
    status, _ = run("report", "--merge", *map(str, folders), "--results", str(tmp_path / "m"))
    assert status == 0
    assert not list((tmp_path / "m").rglob("leak"))


def test_a_parts_file_may_be_anything(run, tmp_path):
    folders = in_parts(run, tmp_path, 2)
    (path,) = folders[1].glob("*/results.json")
    good = json.loads(path.read_text())
    for bad in (
        {},
        {"shard": None},
        {"shard": {"index": 0, "count": 2, "run": ""}},
        {"kernels": [1]},
    ):
        path.write_text(json.dumps({**good, **bad} if bad else [good]))
        status, said = run(
            "report", "--merge", *map(str, folders), "--results", str(tmp_path / "m")
        )
        assert status == 2, said
        assert "results.json" in said or "which part" in said


@pytest.mark.vm
@pytest.mark.xdist_group("shards")
def test_parts_in_real_machines_equal_the_whole_run(verify, gso_kernel, tmp_path):
    only = ("--only", "gue-outer4-*-nocsum", "--only", "fou-outer4-inner4-*")
    whole = verify(MAIN, *only, "--results", tmp_path / "whole")
    for part in ("1/2", "2/2"):
        done = verify(MAIN, *only, "--shard", part, "--results", tmp_path / part[0])
        assert done.status == 0, done.err
    merged = gso_kernel("report", "--merge", tmp_path / "1", tmp_path / "2", "--json")
    found = json.loads(merged.out)
    assert (merged.status, found["verdict"]) == (whole.status, whole.report["verdict"])
    assert verdicts(found) == verdicts(whole.report)
    assert FAILING & verdicts(found).keys()


def verdicts(found: dict) -> dict[str, tuple[str, str]]:
    return {s["name"]: (s["role"], s["verdict"]) for s in scenarios(found)}
