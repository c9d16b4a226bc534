"""The table of the zoo: made of what runs said, and shown as it is kept."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from gso.kernel.judging.verdict import Verdict
from gso.kernel.scenarios import FAULTS

from making import zoo

README = (zoo.ROOT / "README.md").read_text()


def result(kernel: str, *found: tuple[str, str]):
    faults = [{"fault": f, "kernel": kernel, "verdict": v, "seconds": 90.0} for f, v in found]
    return {"kernels": {kernel: f"Debian {kernel}_x"}, "faults": faults}


def test_the_readme_shows_what_is_kept():
    assert zoo.placed(README, zoo.verdicts()) == README


def test_what_is_kept_is_of_faults_that_there_are():
    names = {fault.name for fault in FAULTS}
    for kernel in zoo.read().values():
        assert set(kernel["faults"]) <= names
        assert {said for said, _ in kernel["faults"].values()} <= {one.value for one in Verdict}


def test_a_later_run_replaces_what_it_says_itself_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "ROOT", tmp_path)
    monkeypatch.setattr(zoo, "KEPT", tmp_path / "zoo.json")
    monkeypatch.setattr(zoo, "FAULTS", [SimpleNamespace(name=name) for name in "cab"])
    (tmp_path / "README.md").write_text(f"# A\n\n{zoo.BEGIN}\nold\n{zoo.END}\n\nB\n")
    runs = [
        result("one", ("b", "FIXED"), ("a", "NO EFFECT")),
        result("two", ("a", "FIXED")),
        result("one", ("a", "FIXED")),
    ]
    for number, run in enumerate(runs):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(run))
        assert zoo.main([str(path)]) == 0
    said = (tmp_path / "README.md").read_text()
    assert said.startswith("# A\n\n")
    assert said.endswith("\n\nB\n")
    assert "old" not in said
    rows = ["| `a` | FIXED | FIXED |", "| `b` | FIXED | - |", "| `c` | - | - |"]
    assert "\n".join([*rows, "| half of them took at most | 90 s each | 90 s each |"]) in said
    assert r"| fault | Debian one\_x | Debian two\_x |" in said


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="it needs one line"):
        zoo.placed("no mark", "table")


def test_another_package_of_a_kernel_keeps_nothing_of_the_one_before():
    kept = zoo.added({}, [result("one", ("a", "FIXED"), ("b", "FIXED"))])
    later = result("one", ("a", "NO EFFECT"))
    later["kernels"]["one"] = "Debian one-2"
    assert zoo.added(kept, [later])["one"]["faults"] == {"a": ["NO EFFECT", 90]}
