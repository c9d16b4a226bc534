"""Boots of earlier runs in place of new ones: taken where all is the same, and not in doubt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from gso.kernel import cli
from gso.kernel.machine import tools
from gso.kernel.paths import SEAL
from gso.kernel.runs import reuse, verify
from gso.kernel.scenarios import select

from fake_machines import alike, fake_machines, results

VERIFY = ("verify", "--image", "a", "b")
SOME = ("gue-outer4-*-nocsum", "fou-outer4-inner4-nocsum")
ALL = {scenario.name for scenario in select(SOME)}


@pytest.fixture
def run(tmp_path, capsys):
    """Run verify with made-up machines; return its jobs, its results, and what it printed."""

    def command(name: str, *words: str, kernels: int = 1, broken=(), reuse: str = "first"):
        given = ["--reuse", str(tmp_path / reuse)] if reuse else []
        if "--only" not in words:
            given += [word for name in SOME for word in ("--only", name)]
        place = tmp_path / name
        with fake_machines(tmp_path / "images", kernels) as machines:
            machines.broken.update(broken)
            cli.main([*VERIFY, *words, *given, "--results", str(place)])
        said = capsys.readouterr()
        return machines.jobs, results(place), said.out + said.err

    return command


def first(run, *words: str, **given):
    jobs, found, _ = run("first", *words, reuse="", **given)
    assert jobs
    return found


def booted(jobs) -> dict[str, set[str]]:
    """The scenarios that were booted now, by variant."""
    found: dict[str, set[str]] = {}
    for job in jobs:
        variant = job.kernel.image.name.partition("-")[0]
        found.setdefault(variant, set()).update(s["name"] for s in job.plan["scenarios"])
    return found


@pytest.mark.parametrize("broken", [(), [("patched", "fou-outer4-inner4-nocsum")]])
def test_the_same_run_boots_nothing_and_says_so(run, tmp_path, broken):
    whole = first(run, kernels=2, broken=broken)
    jobs, again, said = run("second", kernels=2)
    assert not jobs
    assert alike(again) == alike(whole)
    assert whole["verdict"] == ("REGRESSED" if broken else "FIXED")
    (earlier,) = (tmp_path / "first").iterdir()
    for kernel in again["kernels"]:
        assert all(boot["reused"].startswith(str(earlier)) for boot in kernel["boots"])
        assert f"{kernel['id']}: {len(kernel['boots'])} of {len(kernel['boots'])} boots" in said
        for scenario in kernel["scenarios"]:
            assert scenario["reused"].keys() == {"unpatched", "patched"}
    assert f"reused from {earlier}" in said
    (later,) = (tmp_path / "second").iterdir()
    assert "not booted now, but reused from" in (later / "report.html").read_text()
    # What was taken can be taken again, and the first folder may be gone.
    shutil.rmtree(tmp_path / "first")
    jobs, third, _ = run("third", kernels=2, reuse="second")
    assert (jobs, alike(third)) == ([], alike(whole))


def test_another_patch_boots_the_patched_kernel_alone(run, monkeypatch):
    whole = first(run)
    monkeypatch.setattr(Path, "write_text", other_patch(Path.write_text))
    jobs, again, _ = run("second", broken=[("patched", "fou-outer4-inner4-nocsum")])
    assert booted(jobs) == {"patched": ALL}
    assert (whole["verdict"], again["verdict"]) == ("FIXED", "REGRESSED")
    (kernel,) = again["kernels"]
    assert {s["verdict"] for s in kernel["scenarios"]} == {"FIXED", "REGRESSED"}
    assert all(s["reused"].keys() == {"unpatched"} for s in kernel["scenarios"])


def other_patch(write):
    def changed(path: Path, text: str, *rest) -> int:
        return write(path, text + "." * (text == "patched-0"), *rest)

    return changed


def test_more_scenarios_boot_those_that_are_new(run):
    some = "gue-outer4-*-nocsum"
    (kernel,) = first(run, "--only", some)["kernels"]
    known = set(kernel["planned"])
    jobs, again, _ = run("second", "--only", some, "--only", "vxlan")
    new = {scenario.name for scenario in select(("vxlan",))} - known
    assert booted(jobs) == {"unpatched": new, "patched": new}
    assert {s["name"] for s in again["kernels"][0]["scenarios"]} == known | new
    # A warning in the log of the boot might be any scenario's.
    jobs, _, _ = run("third", "--only", sorted(known)[0])
    assert booted(jobs)["patched"] == {sorted(known)[0]}


def test_repetitions_are_measured_each(run):
    first(run)
    jobs, again, _ = run("second", "--repeat", "2")
    assert booted(jobs) == {"unpatched": ALL, "patched": ALL}
    assert all(sum(s["runs"].values()) == 2 for s in again["kernels"][0]["scenarios"])


def _seals(tmp_path) -> list[Path]:
    found = sorted((tmp_path / "first").rglob(SEAL))
    assert found
    return found


def _change(path: Path, **words) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **words}))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def _link(seal: Path) -> None:
    trace = next(seal.parent.rglob("*.trace"))
    other = trace.with_name("elsewhere")
    trace.rename(other)
    trace.symlink_to(other)


DAMAGE = {
    "no JSON": lambda seal: seal.write_text("{"),
    "another program's": lambda seal: _change(seal, schema="other/1"),
    "no object": lambda seal: seal.write_text("[]"),
    "a changed seal": lambda seal: _change(seal, guest={"ok": True, "modules": {"x": "y"}}),
    "a changed key": lambda seal: _change(seal, key="0" * 24),
    "a flipped bit of progress": lambda seal: _flip(seal.with_name("progress.jsonl")),
    "a flipped bit of the log": lambda seal: _flip(seal.with_name("console.log")),
    "a trace that is gone": lambda seal: next(seal.parent.rglob("*.trace")).unlink(),
    "a file more": lambda seal: (seal.parent / "cells" / "more.trace").touch(),
    "a link": _link,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_damaged_is_told_and_booted_again(run, tmp_path, name):
    whole = first(run)
    seals = _seals(tmp_path)
    for seal in seals:
        DAMAGE[name](seal)
    jobs, again, said = run("second")
    assert booted(jobs) == {"unpatched": ALL, "patched": ALL}
    assert alike(again) == alike(whole)
    assert said.count("not reused: ") == len(seals)
    assert all(not boot.get("reused") for boot in again["kernels"][0]["boots"])


def test_a_seal_that_fits_makes_no_event_good(run, tmp_path):
    first(run)
    for seal in _seals(tmp_path):
        forged = json.loads(seal.read_text())
        log = seal.with_name("progress.jsonl")
        log.write_text('{"stage": "cell", "result": 7}\n')
        forged["files"]["progress.jsonl"] = reuse._digest(log.read_bytes())
        del forged["digest"]
        seal.write_text(json.dumps({**forged, "digest": reuse._digest_of(forged)}))
    jobs, _, said = run("second")
    assert booted(jobs) == {"unpatched": ALL, "patched": ALL}
    assert "no proper 'result'" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"key": []}, "no proper key"),
        ({"seconds": "1"}, "no proper seconds"),
        ({"guest": []}, "no proper guest"),
        ({"files": ["a"]}, "no proper files"),
        ({"files": {"a": 1}}, "is not as it was sealed"),
        ({"scenarios": None}, "is damaged"),
        ({"more": 1}, "is damaged"),
    ],
)
def test_a_seal_with_something_else_in_it_is_refused(run, tmp_path, words, said):
    first(run)
    for path in _seals(tmp_path):
        _fit(path, **words)
    jobs, _, printed = run("second")
    assert booted(jobs) == {"unpatched": ALL, "patched": ALL}
    assert said in printed


@pytest.mark.parametrize("change", [lambda lines: lines[1:], lambda lines: lines[::-1]])
def test_a_seal_of_other_exchanges_is_refused(run, tmp_path, change):
    first(run)
    for path in _seals(tmp_path):
        log = path.with_name("progress.jsonl")
        log.write_text("".join(change(log.read_text().splitlines(keepends=True))))
        files = json.loads(path.read_text())["files"]
        _fit(path, files={**files, log.name: reuse._digest(log.read_bytes())})
    jobs, _, printed = run("second")
    assert booted(jobs) == {"unpatched": ALL, "patched": ALL}
    assert "does not tell of each exchange in its order" in printed


def _fit(seal: Path, **words) -> None:
    """Change a seal, and its digest with it."""
    sealed = {**json.loads(seal.read_text()), **words}
    del sealed["digest"]
    seal.write_text(json.dumps({**sealed, "digest": reuse._digest_of(sealed)}))


@pytest.mark.parametrize("what", ["edition", "library", "equipment"])
def test_what_another_program_or_host_measured_is_not_taken(run, monkeypatch, what):
    first(run)
    place, name = {
        "edition": (reuse, "edition"),
        "library": (reuse, "_library"),
        "equipment": (verify.tools, "equipment"),
    }[what]
    assert getattr(place, name)
    monkeypatch.setattr(place, name, lambda: "another")
    jobs, _, _ = run("second")
    assert booted(jobs) == {"unpatched": ALL, "patched": ALL}


def test_a_machine_of_unknown_means_is_not_sealed(run, tmp_path, monkeypatch):
    monkeypatch.setattr("fake_machines.equipment", lambda: "")
    first(run)
    assert not list((tmp_path / "first").rglob(SEAL))


def test_the_equipment_is_that_of_the_programs(tmp_path, monkeypatch):
    def digest() -> str:
        tools.equipment.cache_clear()
        return tools.equipment()

    monkeypatch.setattr(tools, "SEARCH_PATH", str(tmp_path))
    lacking = tools.lacking(tools.MACHINE)
    assert {"busybox", "python3", "ip"} < {tool.program for tool in lacking}
    seen = {digest()}
    for content in ("one", "two"):
        (tmp_path / "ip").write_text(content)
        (tmp_path / "ip").chmod(0o755)
        seen.add(digest())
    assert len(seen) == 3
    (found,) = set(lacking) - set(tools.lacking(tools.MACHINE))
    assert found.program == "ip"
    tools.equipment.cache_clear()


def test_folders_that_are_none(tmp_path, capsys):
    assert cli.main([*VERIFY, "--reuse", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is none" in capsys.readouterr().err
    # The results folder itself need not be there before the first run.
    with fake_machines(tmp_path / "images"):
        assert cli.main([*VERIFY, "--results", str(tmp_path / "new"), "--reuse"]) == 0
        before = len(list((tmp_path / "new").iterdir()))
        assert cli.main([*VERIFY, "--results", str(tmp_path / "new"), "--reuse"]) == 0
    assert before == 1
    assert "reused from" in capsys.readouterr().out


def test_parts_reuse_and_are_merged(run, tmp_path):
    whole = first(run)
    for part in ("1", "2"):
        run(part, "--shard", f"{part}/2", reuse="")
        jobs, _, _ = run(f"again{part}", "--shard", f"{part}/2", reuse=part)
        assert not jobs
    merged = tmp_path / "merged"
    places = [str(tmp_path / f"again{part}") for part in ("1", "2")]
    cli.main(["report", "--merge", *places, "--results", str(merged)])
    found = results(merged)
    assert alike(found) == alike(whole)
    assert all(boot["reused"] for boot in found["kernels"][0]["boots"])
