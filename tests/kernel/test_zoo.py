"""The zoo, with runs of verify that are made up: what is asked of it, its table, its status."""

from __future__ import annotations

import json

import jsonschema
import pytest
from gso.kernel import cli
from gso.kernel.errors import TestBedError
from gso.kernel.judging.results import KernelReport, Report
from gso.kernel.judging.verdict import Verdict
from gso.kernel.report.zoo import SCHEMA
from gso.kernel.runs import verify as runs_verify
from gso.kernel.runs import zoo as runs_zoo
from gso.kernel.scenarios import FAULTS
from gso.kernel.trees import debian

KERNELS = {
    release: debian.DebianKernel(f"{release}-amd64", f"{release}-1", f"linux-source-{release[:4]}")
    for release in ("6.12.117", "6.1.170")
}
IDS = [f"debian-{release}" for release in KERNELS]
NAMES = [fault.name for fault in FAULTS]


class Runs:
    """Stands for verify: each kernel gets its verdict of this fault, FIXED where none is given."""

    def __init__(self) -> None:
        self.asked: list[runs_verify.Options] = []
        self.pairs: dict[tuple[str, str], Verdict] = {}
        self.given: dict[str, list[Verdict] | Exception] = {}

    def __call__(self, options, _screen, _executor) -> Report:
        self.asked.append(options)
        targets = options.targets()
        given = self.given.get(options.asked.fault, [Verdict.FIXED] * len(targets))
        if isinstance(given, Exception):
            raise given
        given = [
            self.pairs.get((options.asked.fault, target.id), verdict)
            for target, verdict in zip(targets, given, strict=False)
        ]
        kernels = [
            KernelReport(target.id, target.label, verdict, seconds={"prepare": 1.5, "boot": 2.0})
            for target, verdict in zip(targets, given, strict=True)
        ]
        return Report([], "", "", {}, folder=options.results / options.asked.fault, kernels=kernels)


@pytest.fixture
def runs(monkeypatch):
    made = Runs()
    monkeypatch.setattr(runs_zoo, "verify", made)
    monkeypatch.setattr(debian, "choose", lambda wanted: KERNELS[wanted or "6.12.117"])
    return made


@pytest.fixture
def visit(runs, tmp_path, capsys):  # noqa: ARG001
    def run(*words: str):
        status = cli.main(["zoo", "--results", str(tmp_path / "results"), *words])
        return status, capsys.readouterr()

    return run


def both(*words: str) -> list[str]:
    return [*words, *(word for release in KERNELS for word in ("--kernel", release))]


def rows(text: str) -> dict[str, list[str]]:
    found = [line.split("  ") for line in text.splitlines()]
    return {line[0]: [word.strip() for word in line[1:] if word] for line in found if line[1:]}


def test_every_fault_is_verified_by_its_own_fix_on_every_kernel(visit, runs):
    status, said = visit(*both())
    assert status == 0
    assert rows(said.out) == {"fault": IDS, **{name: ["FIXED"] * 2 for name in NAMES}}
    assert [(o.asked.fault, *o.patches) for o in runs.asked] == [
        (fault.name, fault.patch_path) for fault in FAULTS
    ]
    assert {tuple(options.kernels) for options in runs.asked} == {tuple(KERNELS)}
    assert f"{2 * len(FAULTS)} of {2 * len(FAULTS)} FIXED" in said.out
    assert f"fault {len(FAULTS)} of {len(FAULTS)}" in said.err


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ([Verdict.FIXED, Verdict.FIXED], 0),
        ([Verdict.FIXED, Verdict.NOT_REPRODUCED], 1),
        ([Verdict.INCONCLUSIVE, Verdict.NOT_REPRODUCED], 1),
        ([Verdict.REGRESSED, Verdict.FIXED], 1),
        ([Verdict.INCOMPLETE, Verdict.NO_EFFECT], 1),
        ([Verdict.FIXED, Verdict.INCONCLUSIVE], 125),
    ],
)
def test_the_status_is_that_of_the_worst_news(visit, runs, given, status):
    runs.given[NAMES[0]] = given
    found, said = visit(*both())
    assert found == status
    assert rows(said.out)[NAMES[0]] == [verdict.value for verdict in given]
    for kernel, verdict in zip(IDS, given, strict=True):
        line = f"{NAMES[0]} on {kernel}: {verdict.value}"
        assert (line in said.out) == (verdict is not Verdict.FIXED)


@pytest.mark.parametrize(
    "error", [TestBedError("build", "make ended with 2"), ZeroDivisionError("no segments")]
)
def test_a_fault_that_dies_costs_no_other_its_verdict(visit, runs, error):
    runs.given[NAMES[1]] = error
    status, said = visit(*both("--json"))
    assert status == 125
    told = json.loads(said.out)
    verdicts = {(one["fault"], one["kernel"]): one["verdict"] for one in told["faults"]}
    died = {(NAMES[1], kernel) for kernel in IDS}
    assert verdicts == {
        (name, kernel): "INCONCLUSIVE" if (name, kernel) in died else "FIXED"
        for name in NAMES
        for kernel in IDS
    }
    whys = {one["why"] for one in told["faults"] if one["verdict"] == "INCONCLUSIVE"}
    assert whys == {f"{type(error).__name__}: {error}"}


def test_json_follows_its_schema(visit, runs):
    runs.given[NAMES[0]] = [Verdict.NO_EFFECT, Verdict.INCONCLUSIVE]
    runs.given[NAMES[1]] = TestBedError("vm", "lost\x1b[2J")
    status, said = visit(*both("--json"))
    told = json.loads(said.out)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(told, schema)
    assert (status, told["exit_status"]) == (1, 1)
    assert list(told["kernels"]) == IDS
    assert {one["seconds"] for one in told["faults"] if one["folder"]} == {3.5}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**told, "exit_status": 2}, schema)


def test_what_is_said_of_a_fault_is_safe_to_print(visit, runs):
    runs.given[NAMES[1]] = TestBedError("vm", "lost\x1b[2J")
    _, said = visit()
    assert "\x1b" not in said.out
    assert "vm: lost" in said.out


def test_some_faults_alone(visit, runs):
    status, said = visit("--only", NAMES[0], "--only", "ipvs-gue-*")
    chosen = [name for name in NAMES if name == NAMES[0] or name.startswith("ipvs-gue-")]
    assert status == 0
    assert [options.asked.fault for options in runs.asked] == chosen
    assert list(rows(said.out)) == ["fault", *chosen]


@pytest.mark.parametrize("words", [["--only", "nonsense"], ["--results", "/proc/none"]])
def test_wrong_usage_runs_nothing(visit, runs, words):
    status, _ = visit(*words)
    assert (status, runs.asked) == (2, [])


def test_what_is_reused_is_asked_for_and_told(visit, runs, tmp_path, monkeypatch):
    words = ["2 of 4 boots reused from results/earlier"]
    monkeypatch.setattr(KernelReport, "reused", lambda _: words)
    status, said = visit("--only", NAMES[0], "--reuse", str(tmp_path))
    assert (status, runs.asked[0].reuse) == (0, tmp_path)
    assert f"{NAMES[0]} on {IDS[0]}: {words[0]}" in said.out
    _, said = visit("--only", NAMES[0], "--json", "--reuse")
    found = json.loads(said.out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert found["faults"][0]["reused"] == words[0]
    assert runs.asked[1].reuse == tmp_path / "results"
    visit("--only", NAMES[0])
    assert runs.asked[2].reuse is None


@pytest.mark.vm
@pytest.mark.usefixtures("test_bed", "nothing_is_left_behind")
def test_faults_with_a_fix_upstream_and_without_one_in_real_kernels(gso_kernel):
    names = ["gre-external-seq", "mpls-iptunnel-inner-headers"]
    done = gso_kernel("zoo", "--json", *(word for name in names for word in ("--only", name)))
    assert done.status == 0, done.out + done.err
    told = json.loads(done.out)
    assert {one["fault"]: one["verdict"] for one in told["faults"]} == dict.fromkeys(names, "FIXED")


@pytest.mark.parametrize("worst", [Verdict.FIXED, Verdict.NO_EFFECT, Verdict.INCONCLUSIVE])
def test_merged_parts_of_a_zoo_equal_the_whole_one(visit, runs, tmp_path, capsys, worst):
    for parts in (2, 3, 40):
        check_parts(visit, runs, tmp_path / str(parts), capsys, parts, worst)


def check_parts(visit, runs, tmp_path, capsys, parts, worst):  # noqa: PLR0917
    runs.pairs[NAMES[1], IDS[0]] = worst
    status, said = visit(*both("--json"))
    whole = json.loads(said.out)
    folders = [str(tmp_path / str(number)) for number in range(1, parts + 1)]
    for number, folder in enumerate(folders, 1):
        visit(*both("--shard", f"{number}/{parts}", "--results", folder))
    assert cli.main(["report", "--merge", "--json", *folders]) == status == worst.exit_status
    merged = json.loads(capsys.readouterr().out)
    jsonschema.validate(merged, json.loads(SCHEMA.read_text()))
    keys = ("fault", "kernel", "verdict", "why")
    assert [[one[key] for key in keys] for one in merged["faults"]] == [
        [one[key] for key in keys] for one in whole["faults"]
    ]
    assert cli.main(["report", "--merge", *folders[1:]])
    assert "part 1 of" in capsys.readouterr().out
