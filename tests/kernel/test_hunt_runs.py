"""The hunt: runs with made-up machines, their shards, workers and folders."""

from __future__ import annotations

import json
import platform
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import jsonschema
import pytest
from gso.kernel import cli
from gso.kernel.bootable import Bootable
from gso.kernel.commands import hunt as command
from gso.kernel.errors import UsageError
from gso.kernel.guest.draws import Draws
from gso.kernel.guest.stacks import (
    Stack,
    as_data,
)
from gso.kernel.guest_files import GuestFileError
from gso.kernel.hunting import rules, run
from gso.kernel.hunting.findings import SCHEMA
from gso.kernel.machine import vm
from gso.kernel.machine.jobs import Result
from gso.kernel.machine.vm import VmLostError

import fake_guests
from hunts import RULES, SMALLEST


@pytest.fixture
def machines(monkeypatch, tmp_path):
    """Machines that judge the stacks that they are asked for, and die of some."""
    plans = []
    deadly = set()

    def boot(_kernel, plan, folder, **_):
        wanted = plan["hunt"]
        plans.append(wanted)
        folder.mkdir(parents=True)
        fake_guests.hunt(wanted, folder, deadly)

    monkeypatch.setattr(vm, "boot", boot)
    monkeypatch.setattr(run, "make", lambda *_: Bootable(tmp_path / "vmlinuz-6.12.117"))
    boot.plans, boot.deadly = plans, deadly
    return boot


def hunted(tmp_path, capsys, *words: str):
    status = cli.main(["hunt", "--json", "--quiet", "--results", str(tmp_path / "r"), *words])
    result = json.loads(capsys.readouterr().out)
    jsonschema.validate(result, json.loads(SCHEMA.read_text()))
    assert result["exit_status"] == status
    return result


def test_findings_become_folders_with_a_report_and_a_script(machines, tmp_path, capsys):
    result = hunted(tmp_path, capsys, "--seed", "3")
    assert result["exit_status"] == 1
    assert result["stacks"] == 40
    assert len(machines.plans) == 1
    assert result["findings"]
    for finding in result["findings"]:
        assert [layer["kind"] for layer in finding["stack"]["far"]] == ["ipvs-gue"]
    (folder, *_) = (tmp_path / "r").glob("*/*-ipvs-gue*")
    assert "12 packets dropped" in (folder / "report.md").read_text()
    assert (folder / "trace.txt").read_text() == "a trace"
    subprocess.run(["bash", "-n", folder / "reproduce.sh"], check=True)


def test_a_machine_that_dies_costs_one_stack(machines, tmp_path, capsys):
    machines.deadly.update({4, 11})
    result = hunted(tmp_path, capsys, "--except", "ipvs*")
    assert result["stacks"] == 40
    assert [lost["number"] for lost in result["lost"]] == [4, 11]
    assert all(lost["why"].endswith("without results; BUG: it died") for lost in result["lost"])
    assert {lost["host"] for lost in result["lost"]} == {platform.node()}
    assert result["hosts"] == {platform.node(): 3}
    assert [plan["first"] for plan in machines.plans] == [0, 5, 12]
    assert result["exit_status"] == 1
    for lost in result["lost"]:
        (folder,) = (tmp_path / "r").glob(f"*/{lost['number']}-machine-lost-*")
        assert folder.name.endswith(lost["name"])
        report = (folder / "report.md").read_text()
        assert f"**{lost['text']}**" in report
        assert "    BUG: it died" in report
        assert subprocess.run(["bash", "-n", folder / "reproduce.sh"], check=False).returncode == 0
        assert Stack.of(lost["stack"]).far or Stack.of(lost["stack"]).near


def test_the_last_words_of_a_kernel_are_told(tmp_path):
    (tmp_path / "console.log").write_text(
        "[ 3.2] BUG: unable to handle page fault for address: ff41148302644840\r\n"
        "[ 3.3] Oops: 0003 [#1]\n[ 3.4] RIP: 0010:inet_gso_segment+0x330/0x3f0\n"
        "[ 3.5] RIP: 0033:0x7ff19cdf7c4d\n[ 3.6] Kernel panic - not syncing: Fatal exception\n"
    )
    assert list(run._last_words(tmp_path / "console.log")) == [
        "BUG: unable to handle page fault for address: ff41148302644840",
        "inet_gso_segment+0x330/0x3f0",
        "Kernel panic - not syncing: Fatal exception",
    ]
    assert list(run._last_words(tmp_path / "none")) == []


def test_shards_share_the_stacks(machines, tmp_path, capsys):
    counts = [hunted(tmp_path / i, capsys, "--shard", f"{i}/3")["stacks"] for i in "123"]
    assert counts == [14, 13, 13]
    assert [(plan["first"], plan["step"]) for plan in machines.plans] == [(0, 3), (1, 3), (2, 3)]


class Cluster(ThreadPoolExecutor):
    """Stands for the machines of a cluster."""

    slots = 3
    ended = False

    def end(self) -> None:
        self.ended = True


@pytest.fixture
def cluster(monkeypatch):
    made = Cluster(3)
    monkeypatch.setattr(command, "executor", lambda *_: nullcontext(made))
    return made


def sums(result: dict) -> dict:
    kinds = {
        kind: counts["clean"] for kind, counts in result["kinds"].items() if counts.get("clean")
    }
    return {key: result[key] for key in ("stacks", "legal", "judged", "shard", "outcomes")} | kinds


def test_workers_share_the_stacks_and_find_what_one_host_finds(machines, tmp_path, capsys, request):
    alone = hunted(tmp_path / "alone", capsys, "--seed", "3")
    before = len(machines.plans)
    request.getfixturevalue("cluster")
    together = hunted(tmp_path / "together", capsys, "--seed", "3")
    ways = sorted((plan["first"], plan["step"]) for plan in machines.plans[before:])
    assert ways == [(0, 3), (1, 3), (2, 3)]
    assert sums(together) == sums(alone)
    assert [one["text"] for one in together["findings"]] == [
        one["text"] for one in alone["findings"]
    ]
    assert not together["missing"]
    (folder,) = (tmp_path / "together" / "r").iterdir()
    assert {path.name for path in folder.iterdir()} == {"hunt.json", "part-1", "part-2", "part-3"}
    assert list(folder.glob("part-*/*-ipvs-gue*/reproduce.sh"))


@pytest.mark.usefixtures("cluster")
def test_workers_share_a_part(machines, tmp_path, capsys):
    result = hunted(tmp_path, capsys, "--shard", "2/2")
    assert sorted((plan["first"], plan["step"]) for plan in machines.plans) == [
        (1, 6),
        (3, 6),
        (5, 6),
    ]
    assert (result["stacks"], result["shard"], result["missing"]) == (20, [2, 2], [])
    assert hunted(tmp_path / "2", capsys, "--stack", "7", "--stack", "9")["stacks"] == 2


def test_a_part_without_machines_is_missing_and_nothing_is_called_whole(
    machines, tmp_path, capsys, monkeypatch, cluster
):
    real = vm.boot

    def boot(kernel, plan, folder, **rest):
        if plan["hunt"]["first"] in broken:
            raise VmLostError("it never started", folder)
        real(kernel, plan, folder, **rest)

    broken = {1}
    monkeypatch.setattr(vm, "boot", boot)
    result = hunted(tmp_path, capsys, "--only", "vxlan")
    assert (result["exit_status"], result["missing"], result["stacks"]) == (125, [2], 27)
    broken |= {0, 2}
    assert cli.main(["hunt", "--results", str(tmp_path / "none")]) == 125
    assert "machines measured nothing" in capsys.readouterr().err
    assert cluster.ended is False
    assert machines.plans


@pytest.mark.usefixtures("machines")
def test_an_interrupt_ends_the_machines_of_the_cluster(tmp_path, monkeypatch, cluster):
    def boot(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(vm, "boot", boot)
    assert cli.main(["hunt", "--results", str(tmp_path)]) == 130
    assert cluster.ended


def test_one_stack_can_be_asked_for_alone(machines, tmp_path, capsys):
    assert hunted(tmp_path, capsys, "--stack", "7", "--stack", "9")["stacks"] == 2
    assert machines.plans[0]["stacks"] == [7, 9]


def test_without_findings_it_is_well(machines, tmp_path, capsys):  # noqa: ARG001
    assert hunted(tmp_path, capsys, "--only", "vxlan", "--only", "gr*")["exit_status"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "nothing"], "no kind 'nothing'"),
        (["--except", "*"], "no kind is left"),
        (["--shard", "3/2"], "I/N"),
        (["--for", "soon"], "no time"),
        (["--for", "0m"], "no time"),
    ],
)
def test_wrong_usage_is_told(words, said, capsys, monkeypatch):
    monkeypatch.setattr(run, "make", lambda *_: pytest.fail("a kernel was made"))
    try:
        status = cli.main(["hunt", *words])
    except SystemExit as refused:
        status = refused.code
    assert status == 2
    assert said in capsys.readouterr().err


def test_a_word_may_be_a_glob():
    assert {"ipvs-gue", "ipvs-gre", "ipvs-ipip", "ipvs-dr", "ipvs-masq"} == set(
        rules.chosen(["ipvs-*"])
    )
    with pytest.raises(UsageError):
        rules.chosen(["vxlan"], ["vxlan"])


def test_merged_parts_of_a_hunt_equal_the_whole_one(machines, tmp_path, capsys):  # noqa: ARG001
    whole = hunted(tmp_path / "whole", capsys, "--seed", "3")
    parts = [hunted(tmp_path / i, capsys, "--seed", "3", "--shard", f"{i}/3") for i in "123"]
    folders = [str(tmp_path / i) for i in "123"]
    status = cli.main(["report", "--merge", "--json", *folders])
    merged = json.loads(capsys.readouterr().out)
    jsonschema.validate(merged, json.loads(SCHEMA.read_text()))
    for key in ("stacks", "legal", "judged", "unjudged", "lost", "kernel", "seed", "exit_status"):
        assert merged[key] == whole[key]
    assert merged["hosts"] == {platform.node(): 3}
    for key in ("outcomes", "kinds"):
        assert {k: v for k, v in merged[key].items() if v} == whole[key]
    seen = [finding["seen"] for part in parts for finding in part["findings"]]
    assert sum(finding["seen"] for finding in merged["findings"]) == sum(seen)
    assert [f["text"] for f in merged["findings"]] == [f["text"] for f in whole["findings"]]
    assert status == whole["exit_status"] == 1
    for words, said in ((folders[:2], "part 3 is not there"), ([*folders, folders[0]], "FINDING")):
        cli.main(["report", "--merge", *words])
        assert said in capsys.readouterr().out


def test_a_hunt_without_one_of_its_parts_is_not_whole(machines, tmp_path, capsys):  # noqa: ARG001
    only = ("--only", "vxlan", "--only", "gr*")
    for i in "12":
        hunted(tmp_path / i, capsys, *only, "--shard", f"{i}/2")
    assert cli.main(["report", "--merge", str(tmp_path / "1"), str(tmp_path / "2")]) == 0
    assert cli.main(["report", "--merge", str(tmp_path / "1")]) == 125
    capsys.readouterr()
    hunted(tmp_path / "other", capsys, *only, "--seed", "9", "--shard", "2/2")
    assert cli.main(["report", "--merge", str(tmp_path / "1"), str(tmp_path / "other")]) == 2
    assert "not parts of one hunt" in capsys.readouterr().err


def test_a_stack_that_was_not_asked_for_is_no_answer(tmp_path):
    """A guest that names any other number costs nothing, whatever the number is."""
    event = {"stage": "stack", "number": 10**12, "text": "x"}
    (tmp_path / "progress.jsonl").write_text(json.dumps(event) + "\n")
    found = run.Hunt(run.Options())
    with pytest.raises(GuestFileError, match="was not asked for"):
        run._gather(found, Draws(RULES, 1), iter([0]), tmp_path, Result("done", 1.0))


@pytest.mark.parametrize(
    "odd", [{"far": [as_data(SMALLEST)["far"][0]] * 4}, {"offload": "x"}, {"inner": 6}]
)
def test_a_stack_that_no_hunt_draws_is_not_taken_from_a_guest(odd):
    with pytest.raises((ValueError, KeyError)):
        run._buildable(Stack.of({**as_data(SMALLEST), **odd}), RULES)
