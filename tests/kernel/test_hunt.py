"""The hunt: its rules, its stacks, what is made smaller, the judge, and what a machine tells."""

from __future__ import annotations

import ast
import fnmatch
import json
import re
import struct
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
from gso.kernel import cli
from gso.kernel.bootable import Bootable
from gso.kernel.commands import hunt as command
from gso.kernel.errors import UsageError
from gso.kernel.guest import bench, features, judge, push
from gso.kernel.guest import hunt as guest
from gso.kernel.guest.complaints import COUNTED
from gso.kernel.guest.draws import Draws, interactions
from gso.kernel.guest.stacks import (
    ARRIVALS,
    OFFLOADS,
    RESTORED,
    TRAFFICS,
    Layer,
    Stack,
    as_data,
    contains,
    draw,
    explains,
    simpler,
    way,
)
from gso.kernel.guest.stacks import WHOLE as WHOLE_ARRIVAL
from gso.kernel.guest.traffic import PROTOCOLS
from gso.kernel.guest_files import GuestFileError
from gso.kernel.hunting import drawing, rules, run
from gso.kernel.hunting.findings import SCHEMA, name
from gso.kernel.hunting.known import read, recognised
from gso.kernel.hunting.script import script
from gso.kernel.machine import messages, vm
from gso.kernel.machine.vm import VmLostError

RULES = rules.read()
DATA = Path(__file__).with_name("data")
DRAWS = Draws(RULES, 7)
MANY = [DRAWS[number] for number in range(2000)]
LAYERS = {layer for stack in MANY for layer in (*stack.near, *stack.far)}
GUE = Layer("ipvs-gue", 4, 4, ("csum",))
INCIDENT = Stack((), (Layer("vlan", 4, 4), GUE), 4, offload="tx off", traffic="udp", local=True)
SMALLEST = Stack((), (replace(GUE, options=()),), 4)


def test_every_rule_is_drawn_with_each_of_its_options_over_both_versions():
    layers = [layer for stack in MANY for layer in (*stack.near, *stack.far)]
    drawn = {(layer.kind, layer.outer, layer.inner) for layer in layers}
    wanted = {
        (kind, outer, inner)
        for kind, rule in RULES.items()
        for outer in rule["outer"]
        for inner in rule["inner"]
        if outer == inner or not rule.get("same")
    }
    assert drawn == wanted
    options = {(layer.kind, option) for layer in layers for option in layer.options}
    assert options == {(kind, o) for kind, rule in RULES.items() for o in rule.get("options", {})}


def test_stacks_can_be_made_of_any_kind_alone():
    for kind in RULES:
        draws = Draws(rules.chosen([kind]), 7)
        for number in range(20):
            stack = draws[number]
            assert {layer.kind for layer in (*stack.near, *stack.far)} == {kind}


def test_a_seed_makes_its_stacks_again():
    again, other = Draws(RULES, 7), Draws(RULES, 8)
    assert [again[150], *(again[number] for number in range(150))] == [MANY[150], *MANY[:150]]
    assert [other[number] for number in range(150)] != MANY[:150]
    assert len(set(map(str, MANY))) > 200


def test_commands_have_no_gap_and_no_device_twice():
    for stack in MANY:
        there = way(stack, RULES)
        lines = [*there.cables, *there.lines]
        assert not [line for _, line in lines if re.search(r"{\w|\w}|None|  ", line)]
        made = [(m, re.search(r"(?:\bname|link add) (t\d+|g\d+) ", line)) for m, line in lines]
        devices = [(machine, found[1]) for machine, found in made if found]
        assert len(devices) == len(set(devices))
        assert there.source != there.target


def routes_back(stack: Stack) -> list[str]:
    return [line for who, line in way(stack, RULES).lines if who == "worker" and " via " in line]


def test_gateways_are_of_the_version_that_ip_takes():
    """An IPv4 route over an IPv6 gateway wants ``inet6``; an IPv6 route never has one of IPv4."""
    for line in (line for stack in MANY for line in routes_back(stack)):
        target, _, gateway = line.removeprefix("ip route add ").partition(" via ")
        if ":" in target.split()[0]:
            assert ":" in gateway.split()[0], line
        elif ":" in gateway:
            assert gateway.startswith("inet6 "), line


def near_routes() -> list[Stack]:
    return [one for one in MANY if one.near and RULES[one.near[0].kind]["place"] == "route"]


def test_a_route_of_the_near_leg_leads_to_the_worker():
    assert len(near_routes()) > 50
    for stack in near_routes():
        there = way(stack, RULES)
        client = [line for who, line in there.lines if who == "client"]
        assert any(there.target in line for line in client), stack
        assert not [
            line
            for who, line in there.lines
            if who == "director"
            and line.startswith(f"ip addr add {there.target}/")
            and not any(RULES[one.kind]["place"] == "service" for one in stack.far)
        ], stack


def test_the_control_cuts_nothing():
    """The message sets gso_max_segs of one device, and nothing else."""
    message = features.set_link(7, features._IFLA_GSO_MAX_SEGS, bench.MOST_SEGMENTS["without"])
    length, kind = struct.unpack_from("=IH", message)
    assert (length, kind) == (len(message), 19)
    assert struct.unpack_from("=i", message, 16 + 4) == (7,)
    assert struct.unpack("=HHI", message[32:]) == (8, 40, 1)
    text = script(SMALLEST, RULES)
    assert "features director up0 1 tso off" in text
    assert "features director up0 65535 " in text


def test_a_stack_is_the_same_after_a_file():
    assert [Stack.of(json.loads(json.dumps(as_data(stack)))) for stack in MANY] == MANY


def size(stack: Stack) -> tuple[int, int, int]:
    layers = (*stack.near, *stack.far)
    odd = (stack.traffic != "tcp") + (stack.offload != "tso off") + stack.local
    odd += stack.arrival != WHOLE_ARRIVAL
    return len(layers), sum(len(layer.options) for layer in layers), odd


def test_what_is_simpler_is_smaller_and_can_be_built():
    for stack in MANY:
        for smaller in simpler(stack, RULES):
            assert size(smaller) < size(stack) or sum(size(smaller)) < sum(size(stack))
            assert way(smaller, RULES)


def test_what_is_left_of_a_stack_is_in_it():
    for stack in MANY:
        assert contains(stack, stack)
        for smaller in simpler(stack, RULES):
            if len(smaller.far) == len(stack.far):
                assert contains(stack, smaller)
    assert contains(INCIDENT, SMALLEST)
    # What needs datagrams is another fault than what TCP shows.
    assert contains(INCIDENT, replace(SMALLEST, traffic="udp", offload="tx off", local=True))
    assert not contains(replace(INCIDENT, traffic="tcp"), replace(SMALLEST, traffic="udp"))
    assert not contains(INCIDENT, replace(SMALLEST, offload="txvlan off"))
    assert not contains(replace(INCIDENT, local=False), replace(SMALLEST, local=True))
    assert not contains(SMALLEST, INCIDENT)


# --- the judge ------------------------------------------------------------------------------------


def exchange(*, error: str | None = None, drops: dict[str, int] | None = None, **counters):
    return {
        **{"upload_intact": error is None, "download_intact": error is None, "error": error},
        **{"seconds": 0.1, "mss": 1200, "retransmits": 0, "drops": drops or {}},
        **{"counters": {**dict.fromkeys(COUNTED, 0), **counters}, "segmented": 7},
    }


WHOLE, DROPS = (
    exchange(),
    exchange(drops={"drops in validate_xmit_skb, NOT_SPECIFIED": 12}, tx_dropped=12),
)
DEAF = exchange(error="TimeoutError: timed out")
FOUND = {"controls": [WHOLE] * 2, "runs": [DROPS] * 2, "words": "12 drops", "trace": "a trace"}
CLEAN = {"controls": [WHOLE], "runs": [WHOLE], "words": "", "trace": ""}


@pytest.mark.parametrize(
    ("measured", "outcome"),
    [
        (CLEAN, "clean"),
        ({**CLEAN, "runs": [{**WHOLE, "segmented": 0}]}, "not exercised"),
        ({"refused": "Unknown device type"}, "refused"),
        ({"controls": [DEAF], "runs": []}, "illegal"),
        ({**FOUND, "controls": [WHOLE, DEAF]}, "illegal"),
        # Once is not enough, and neither is what the control has, too.
        ({**FOUND, "runs": [DROPS, WHOLE]}, "clean"),
        ({**FOUND, "controls": [WHOLE, DROPS]}, "clean"),
        ({**FOUND, "runs": [DROPS, DEAF]}, "clean"),
        ({**FOUND, "runs": [{**WHOLE, "retransmits": 3}] * 2}, "clean"),
    ],
)
def test_what_is_no_finding(measured, outcome):
    assert not judge.suspicious(measured)
    assert judge.outcome(measured) == outcome


@pytest.mark.parametrize("bad", [DROPS, DEAF, {**WHOLE, "upload_intact": False}])
def test_what_is_a_finding(bad):
    assert judge.suspicious({**FOUND, "runs": [bad] * 2})


class Kernel(guest.Hunt):
    """A kernel that drops super-packets wherever a stack has this layer."""

    def __init__(self, faulty: str, folder, known=()):
        plan = {"rules": RULES, "seed": 1, "seconds": 60, "known": list(known)}
        super().__init__(plan, lambda **_: None, folder)
        self.faulty, self.tried = faulty, 0

    def measured(self, stack: Stack, offloads=()):  # noqa: ARG002
        self.tried += 1
        kinds = [layer.kind for layer in (*stack.near, *stack.far)]
        return dict(FOUND) if self.faulty in kinds else CLEAN


def test_a_finding_is_made_smaller_until_nothing_can_go(tmp_path):
    kernel = Kernel("ipvs-gue", tmp_path)
    assert kernel.judged(INCIDENT, 5)["text"] == str(SMALLEST)
    told = json.loads((tmp_path / "finding-5.json").read_text())
    assert Stack.of(told["stack"]) == SMALLEST
    assert (tmp_path / "finding-5.trace").read_text() == "a trace"
    assert kernel.tried < 30


def test_what_was_found_before_is_the_same(tmp_path):
    kernel = Kernel("ipvs-gue", tmp_path)
    first = kernel.judged(INCIDENT, 5)
    tried = kernel.tried
    assert kernel.judged(INCIDENT, 6)["same_as"] == str(SMALLEST)
    assert kernel.tried == tried + 1
    # A machine that is booted later knows it, too.
    told = json.loads((tmp_path / "finding-5.json").read_text())
    later = Kernel("ipvs-gue", tmp_path, known=[told])
    assert later.judged(INCIDENT, 7)["same_as"] == str(SMALLEST)
    assert Kernel("vlan", tmp_path).judged(INCIDENT, 8)["text"] != first["text"]


def test_a_finding_explains_those_of_stacks_that_contain_it_or_look_like_it():
    six = replace(SMALLEST, far=(replace(GUE, options=(), outer=6, inner=4),), inner=4)
    within = replace(six, far=(replace(six.far[0], inner=6),), inner=6)
    assert explains(SMALLEST, INCIDENT)
    assert explains(six, within)
    assert not explains(SMALLEST, six)
    assert not explains(INCIDENT, SMALLEST)


def test_drops_of_segmenters_are_told_from_others():
    trace = """
 python3-9 [000] b..1. 1.5: kfree_skb: skbaddr=0 rx_sk=0 protocol=2048 location=validate_xmit_skb+0x1a2/0x330 reason: NOT_SPECIFIED
 python3-9 [000] b..1. 1.5: kfree_skb: skbaddr=0 rx_sk=0 protocol=2048 location=__dev_queue_xmit+0x1a2/0x330 reason: SKB_BAD_GSO
 python3-9 [000] b..1. 1.5: kfree_skb: skbaddr=0 rx_sk=0 protocol=2048 location=xfrm_output_gso.isra.0+0x5/0x330 reason: NOT_SPECIFIED
 python3-9 [000] b..1. 1.5: kfree_skb: skbaddr=0 rx_sk=0 protocol=2048 location=tcp_v4_rcv+0x12/0x330 reason: NO_SOCKET
"""  # noqa: E501
    assert bench._drops(trace) == {
        "drops in validate_xmit_skb, NOT_SPECIFIED": 1,
        "drops in __dev_queue_xmit, SKB_BAD_GSO": 1,
    }


# --- machines -------------------------------------------------------------------------------------


@pytest.fixture
def machines(monkeypatch, tmp_path):
    """Machines that judge the stacks that they are asked for, and die of some."""
    plans = []
    deadly = set()

    def boot(_kernel, plan, folder, **_):
        wanted = plan["hunt"]
        plans.append(wanted)
        folder.mkdir(parents=True)
        kernel = Kernel("ipvs-gue", folder, known=wanted["known"])
        draws = Draws(wanted["rules"], wanted["seed"])
        with (folder / "progress.jsonl").open("w") as log:
            for number in wanted["stacks"] or range(wanted["first"], 40, wanted["step"]):
                stack = draws[number]
                event = {"stage": "stack", "number": number, "text": str(stack)}
                log.write(json.dumps(event) + "\n")
                if number in deadly:
                    (folder / "console.log").write_text("BUG: it died\n")
                    log.close()
                    raise VmLostError("the VM ended without results", folder)
                event = {"stage": "done", "number": number, **kernel.judged(stack, number)}
                line = json.dumps(event)
                messages.read(line.encode())
                log.write(line + "\n")

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
    assert [plan["first"] for plan in machines.plans] == [0, 5, 12]
    assert result["exit_status"] == 1


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


def test_names_of_findings_are_names_of_files():
    def named(stack: Stack) -> str:
        return name({"stack": as_data(stack), "complaints": ["lost"]})

    assert named(SMALLEST) == "ipvs-gue4"
    assert all(re.fullmatch(r"[\w-]+", named(stack)) for stack in MANY)


SEG6 = Layer("seg6", 6, 6)


@pytest.mark.parametrize(
    ("stack", "complaint", "known"),
    [
        (Stack((), (SEG6, Layer("vxlan", 6, 4)), 4), "tx_dropped", "seg6-encap-over-tunnel"),
        (Stack((), (SEG6, Layer("vxlan", 6, 4)), 4), "rx_errors", None),
        (Stack((), (SEG6,), 6), "tx_dropped", None),
        (Stack((), (Layer("bpf-ipip", 4, 4),), 4), "lost", "bpf-push-ipip"),
        (Stack((), (Layer("bpf-ipip", 4, 4),), 4, traffic="udp"), "lost", "bpf-push-datagrams"),
        (Stack((), (Layer("bpf-gre", 4, 4),), 4), "lost", None),
        (
            Stack((), (Layer("bpf-ipip", 6, 6), Layer("ipvs-gre", 6, 6)), 6),
            "drops in validate_xmit_skb, NOT_SPECIFIED",
            "bpf-push-over-tunnel",
        ),
        (
            Stack(
                *((), (Layer("gre-external", 4, 6), Layer("ipvs-masq", 6, 6)), 6),
                traffic="udp",
                arrival="gro list",
            ),
            "lost",
            "fraglist-in-gre",
        ),
        (Stack((), (Layer("gre", 4, 6),), 6, traffic="udp"), "lost", None),
        (
            Stack((), (Layer("tc-csum", 4, 4), Layer("geneve", 4, 6), Layer("vxlan", 6, 6)), 6),
            "Udp6InCsumErrors",
            "csum-action-forgets-partial",
        ),
        (Stack((), (Layer("gre-external", 4, 4, ("seq",)),), 4), "rx_errors", "gre-external-seq"),
        (Stack((), (Layer("gre-external", 4, 4),), 4), "rx_errors", None),
        (Stack((Layer("gretap-external", 6, 6, ("seq",)),), (), 6), "lost", "gre-external-seq"),
        (
            Stack((), (Layer("gretap-external", 4, 4, ("csum",)),), 4, "tx off", "udp"),
            "lost",
            "gre-external-csum",
        ),
        (
            Stack((), (Layer("vlan", 4, 6), Layer("fou", 6, 6)), 6, offload="txvlan off"),
            "tx_dropped",
            "vlan-in-band-fou",
        ),
        (Stack((), (Layer("vlan", 4, 6), Layer("fou", 6, 6)), 6), "tx_dropped", None),
        (
            Stack((Layer("vxlan", 4, 4),), (Layer("tc-mpls", 4, 4),), 4),
            "tx_dropped",
            "stale-inner-protocol",
        ),
    ],
)
def test_findings_with_the_marks_of_a_known_fault_have_its_name(stack, complaint, known):
    found = recognised(stack, [complaint])
    assert (found and found["name"]) == known


def test_known_faults_have_marks_of_kinds_that_there_are():
    for fault in read():
        for leg in ("near", "far"):
            for glob in fault.get(leg, ()):
                marks = {" ".join((f"{one.kind}{one.outer}", *one.options)) for one in LAYERS}
                assert fnmatch.filter(marks, glob), glob


# --- drawings -------------------------------------------------------------------------------------


def test_every_stack_can_be_drawn_with_all_its_layers():
    for stack in MANY[:300]:
        root = ET.fromstring(drawing.layers(stack, RULES, "a <b>"))
        told = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
        names = [" ".join((layer.kind, *layer.options)) for layer in stack.far]
        assert [one.partition(":")[0] for one in told if one.partition(":")[0] in names] == names
        assert told[0].startswith("Ethernet")
        assert told[-1].startswith("payload")
        assert root.get("aria-label") == "a <b>"
        assert len(told) <= 4 + 2 * 3


def test_a_dropped_super_packet_is_drawn_with_its_offsets(tmp_path):
    drawn = drawing.offsets(DATA / "incident-unpatched.trace")
    assert "inner_mac_header should be" in drawn
    ET.fromstring(drawn)
    (tmp_path / "odd").write_text("no trace")
    assert drawing.offsets(tmp_path / "odd") == ""
    assert drawing.offsets(tmp_path / "none") == ""


@pytest.mark.parametrize(
    "odd", [{"far": [as_data(SMALLEST)["far"][0]] * 4}, {"offload": "x"}, {"inner": 6}]
)
def test_a_stack_that_no_hunt_draws_is_not_taken_from_a_guest(odd):
    with pytest.raises((ValueError, KeyError)):
        run._buildable(Stack.of({**as_data(SMALLEST), **odd}), RULES)


# --- BPF ------------------------------------------------------------------------------------------


def test_a_pushed_header_lies_on_the_programs_stack():
    header = bytes(range(1, 25))
    code = push._code(0, header, 128)
    stack = bytearray(512)
    for operation, _, offset, value in struct.iter_unpack("<BBhi", code):
        if operation == 0x62:
            struct.pack_into("<i", stack, 512 + offset, value)
    assert stack[-24:] == header
    assert len(code) == 8 * (6 + 10)


@pytest.mark.parametrize(("header", "at"), [("45" + "00" * 19, 2), ("60" + "00" * 43, 4)])
def test_a_pushed_ip_header_gets_the_length_of_the_packet(header, at):
    """The program's stores and additions, run for a packet of 1000 bytes."""
    header, registers, stack = bytes.fromhex(header), [0] * 11, bytearray(512)
    for operation, which, offset, value in struct.iter_unpack("<BBhi", push._code(2, header, 0)):
        to, source = which & 15, which >> 4
        if operation == 0x61:
            registers[to] = 1000
        elif operation == 0x07 and to == 2:
            registers[to] += value
        elif operation == 0x6B:
            struct.pack_into(">H", stack, 512 + offset, registers[source])
    (length,) = struct.unpack_from(">H", stack, 512 - len(header) + at)
    assert length == (1020 if at == 2 else 1004)


@pytest.mark.parametrize("refused", [0, 50, 9])
def test_a_program_of_tc_stores_a_header_that_has_the_length_of_what_follows(refused):
    """The program, run for a packet of 1014 bytes, in the room that it asked for, if it gets it."""
    header = bytes.fromhex("6000000000002f40") + bytes(range(1, 33)) + bytes.fromhex("000086dd")
    code = list(struct.iter_unpack("<BBhi", push._egress(12, header)))
    registers, stack, packet, calls = [0] * 11, bytearray(512), bytearray(1014), []
    registers[1] = -1  # the packet
    at = 0
    while code[at][0] != 0x95:
        operation, which, offset, value = code[at]
        to, source, at = which & 15, which >> 4, at + 1
        if operation == 0x62:
            struct.pack_into("<i", stack, 512 + offset, value)
        elif operation == 0xB7:
            registers[to] = value
        elif operation == 0xBF:
            registers[to] = registers[source] if source != 10 else 512
        elif operation == 0x61:
            assert registers[source] == -1
            registers[to] = len(packet)
        elif operation == 0x07:
            registers[to] += value
        elif operation == 0x6B:
            struct.pack_into(">H", stack, 512 + offset, registers[source])
        elif operation == 0x05 or (operation == 0xC5 and registers[to] < 0):
            at += offset
        elif operation == 0x85:
            calls.append((value, *registers[2:5]))
            assert registers[1] == -1
            if value == 50:
                packet[14:14] = bytes(registers[2])
                registers[1] = registers[2] = 0  # a call spoils them
            else:
                assert value == 9
                start, size = registers[3], registers[4]
                packet[registers[2] : registers[2] + size] = stack[start : start + size]
            registers[0] = -22 if value == refused else 0
    assert calls[0] == (50, 44, 1, 12)
    if refused:
        assert registers[0] == 2  # TC_ACT_SHOT
        assert calls[-1][0] == refused
        return
    assert packet[14:58] == header[:4] + (1004).to_bytes(2, "big") + header[6:]
    assert len(packet) == 1014 + 44
    assert registers[0] == 0


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


def test_scripts_are_shell(tmp_path):
    """Each kind of layer, in scripts that bash reads."""
    text = "\n".join(f"f{i}() {{\n{script(stack, RULES)}\n}}" for i, stack in enumerate(MANY[:60]))
    path = tmp_path / "scripts.sh"
    path.write_text(text)
    subprocess.run(["bash", "-n", path], check=True)


def test_scripts_count_the_segments_that_are_sent_again(tmp_path):
    (program,) = re.findall(
        r"^resent\(\) {\n.*?awk '(.*?)' /proc", script(SMALLEST, RULES), re.S | re.M
    )
    snmp = tmp_path / "snmp"
    snmp.write_text(
        "Ip: A B\nIp: 1 2\nTcp: InSegs RetransSegs InErrs\nTcp: 3 42 5\nUdp: C\nUdp: 6\n"
    )
    done = subprocess.run(["awk", program, snmp], capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"


def test_a_rule_that_lacks_something_is_refused(tmp_path, monkeypatch):
    (tmp_path / "odd.toml").write_text(
        'place = "device"\ngroup = "ip"\nouter = [4]\ninner = 4\nmodules = []\n'
    )
    monkeypatch.setattr(rules, "_FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"odd.toml: inner is 4, not a list"):
        rules.read()


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


# --- what is sent, and how it comes ---------------------------------------------------------------


def test_every_traffic_arrival_and_offload_is_drawn():
    assert {stack.traffic for stack in MANY} == set(TRAFFICS) == set(bench.TRAFFIC)
    assert {stack.arrival for stack in MANY} == set(ARRIVALS)
    assert {stack.offload for stack in MANY} == set(OFFLOADS)
    assert not [stack for stack in MANY if stack.local and stack.arrival != WHOLE_ARRIVAL]


def test_layers_that_encapsulate_are_drawn_more_often_than_those_that_change_no_header():
    drawn = Counter(RULES[layer.kind]["group"] for stack in MANY for layer in stack.far)
    assert min(drawn.values()) > sum(drawn.values()) / len(drawn) / 4
    assert min(drawn[group] for group in ("ether-in-udp", "gre")) > drawn["passing"]


def test_what_an_offload_changes_is_undone_before_the_next():
    undone = {f"{feature} off" for feature in RESTORED.removesuffix(" on").split(" on ")}
    for words in OFFLOADS.values():
        assert {f"{feature} off" for feature in words.split()[::2]} <= undone


def test_a_client_that_cuts_and_a_director_that_merges():
    merged = replace(SMALLEST, arrival="gro list")
    assert bench.with_segmentation("c0", merged) == "gso on tso off"
    assert bench.with_segmentation("d0", merged).endswith("gro on")
    assert ("director", "ethtool -K d0 rx-gro-list on") in way(merged, RULES).lines
    assert "on director ethtool -K d0 rx-gro-list on" in script(merged, RULES)
    assert contains(merged, SMALLEST)
    assert not contains(SMALLEST, merged)


@pytest.mark.parametrize("traffic", TRAFFICS)
def test_scripts_send_each_traffic(tmp_path, traffic):
    text = script(replace(SMALLEST, traffic=traffic), RULES)
    (peer,) = re.findall(r"^cat >peer.py <<'PYTHON'\n(.*?)^PYTHON", text, re.S | re.M)
    compile(peer, "peer.py", "exec")
    assert f'protocol = ("{way(SMALLEST, RULES).target}", 5000), {PROTOCOLS.get(traffic, 0)}' in (
        peer.replace("listens, ", "")
    )
    (tmp_path / "s.sh").write_text(text)
    subprocess.run(["bash", "-n", tmp_path / "s.sh"], check=True)


def test_a_masqueraded_service_is_where_the_layer_ends():
    stack = Stack((), (Layer("vlan", 4, 6), Layer("ipvs-masq", 6, 6)), 6)
    there = way(stack, RULES)
    assert there.listens == "fd0a:1::2"
    assert there.target == "fd0a:2::2"
    assert f'listens, protocol = ("{there.listens}", 5000), 0' in script(stack, RULES)


@pytest.mark.parametrize("kind", ["pppoe", "tap"])
def test_scripts_keep_programs_of_our_own_running(kind):
    text = script(Stack((), (Layer(kind, 4, 4),), 4), RULES)
    word = {"pppoe": "pppoe", "tap": "relay"}[kind]
    assert f"cat >{word}.py <<'PYTHON'" in text
    assert re.search(rf"^on director python3 {word}.py t1 up0.* &$", text, re.M)
    # What comes next needs the device.
    assert "ip -n director link show t1" in text


class Measured(bench.Bench):
    """A stack that is not built; some of its offloads are complained of."""

    def __init__(self, stack: Stack, bad: str = "", deaf: str = "") -> None:
        self.stack, self._wire, self.bad, self.deaf = stack, Path("none"), bad, deaf
        self._seconds = 2.5
        self.sent: list[tuple[str, bool]] = []
        self.switched: list[str] = []
        self._switches = {"director": self}

    def set(self, device: str, words: str) -> None:
        assert device == "up0"
        self.switched.append(words)

    def without(self):
        return self._run(1, segmented=False)

    def _captured(self):
        return nullcontext()

    def _run(self, seconds, *, segmented):  # noqa: ARG002
        self.sent.append((self.stack.offload, segmented))
        if self.stack.offload == self.deaf and not segmented:
            return DEAF
        return DROPS if segmented and self.stack.offload == self.bad else WHOLE


def test_other_offloads_are_measured_until_one_is_complained_of(monkeypatch, tmp_path):
    """A stack is built once and has one control; what is found names its offload, with its own."""
    monkeypatch.setattr(bench, "TRACEFS", tmp_path)
    (tmp_path / "trace").write_text("a trace")
    one = Measured(SMALLEST, bad="tunnel features off")
    found = one.measured(tuple(OFFLOADS))
    assert found["offload"] == "tunnel features off"
    assert one.sent == [
        ("tso off", False),
        ("tso off", True),
        ("tx off", True),
        ("tunnel features off", True),
        ("tunnel features off", False),
        ("tunnel features off", True),
    ]
    assert one.switched == [
        *(RESTORED, OFFLOADS["tx off"]),
        *(RESTORED, OFFLOADS["tunnel features off"]),
    ]
    assert len(found["controls"]) == len(found["runs"]) == 2


def test_an_offload_whose_own_control_carries_nothing_is_not_judged(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "TRACEFS", tmp_path)
    (tmp_path / "trace").write_text("")
    one = Measured(SMALLEST, bad="tx off", deaf="tx off")
    found = one.measured(tuple(OFFLOADS))
    assert not judge.suspicious(found)
    assert judge.outcome(found) == "clean"
    assert one.stack.offload == list(OFFLOADS)[-1]


def test_what_carries_nothing_is_sent_once():
    one = Measured(SMALLEST, deaf="tso off")
    assert judge.outcome(one.measured(tuple(OFFLOADS))) == "illegal"
    assert one.sent == [("tso off", False)]


def test_layers_of_each_group_are_drawn_over_those_of_each_that_can_carry_them():
    groups = {rule["group"] for rule in RULES.values()}
    upon_anything = {rule["group"] for rule in RULES.values() if not rule.get("on_ether")}
    carriers = {
        rule["group"]
        for rule in RULES.values()
        if rule["place"] != "service" and not rule.get("forwards")
    }
    drawn = {
        (RULES[lower.kind]["group"], RULES[upper.kind]["group"])
        for stack in MANY
        for lower, upper in pairwise(stack.far)
    }
    missing = {(a, b) for a in carriers for b in upon_anything} - drawn
    assert not missing
    assert {("vlan", group) for group in groups} <= drawn


def test_stacks_meet_more_than_independent_draws_would():
    """Of the same number, and of the same shapes; and what is met least is met more often."""
    plain = [draw(RULES, f"7/{number}") for number in range(400)]
    met, drawn = (
        Counter(one for stack in some for one in interactions(stack, RULES))
        for some in (MANY[:400], plain)
    )
    assert len(met) > 1.1 * len(drawn)
    shapes = [Counter((len(s.near), len(s.far)) for s in some) for some in (MANY[:400], plain)]
    assert shapes[0] == shapes[1]


def test_interactions_are_of_neighbours_on_a_packets_way():
    stack = Stack((Layer("vxlan", 4, 4),), (Layer("seg6", 6, 6), Layer("gre", 6, 4)), 4)
    found = interactions(stack, RULES)
    assert {("vxlan", "gre"), ("gre", "seg6"), ("seg6", "cable"), ("forwarded", "vxlan")} < found
    assert {("group ether-in-udp", "gre"), ("gre", "group ipv6-routing")} < found
    assert not {("vxlan", "seg6"), ("seg6", "gre"), ("gre", "cable")} & found
    assert ("sent", "gre") in interactions(replace(stack, near=()), RULES)


def test_a_stack_that_was_not_asked_for_is_no_answer(tmp_path):
    """A guest that names any other number costs nothing, whatever the number is."""
    event = {"stage": "stack", "number": 10**12, "text": "x"}
    (tmp_path / "progress.jsonl").write_text(json.dumps(event) + "\n")
    found = run.Hunt(run.Options())
    with pytest.raises(GuestFileError, match="was not asked for"):
        run._gather(found, Draws(RULES, 1), iter([0]), tmp_path, None)


def test_features_are_bits_by_their_names():
    asked: list[bytes] = []

    class Told(features.Switches):
        def __init__(self) -> None:
            names = [f"feature-{at}" for at in range(33)]
            names[1], names[32] = "tx-tcp-segmentation", "tx-tcp6-segmentation"
            names[3] = "rx-gro"
            self._known = {name: bit for bit, name in enumerate(names)}

        def _ask(self, device: str, words: bytes) -> bytes:
            assert device == "up0"
            asked.append(words)
            return words

    Told().set("up0", "tso off gro on nothing on")
    assert struct.unpack("=6I", asked[0]) == (0x3B, 2, 1 << 1 | 1 << 3, 1 << 3, 1, 0)


_SWITCHED = """
import subprocess, sys
from pathlib import Path
from gso.kernel.guest.features import Switches
from gso.kernel.guest.netns import Kept, devices, isolate

isolate(["one", "two"])
subprocess.run("ip -n one link add v1 type veth peer name v2 netns two".split(), check=True)
switches = Switches("one")
counted = devices(Kept("one", "dev").read())
print(sorted(switches.devices), sorted(Switches("two").devices), sorted(counted))
def state():
    command = "ip netns exec one ethtool -k v1".split()
    shown = subprocess.run(command, capture_output=True, text=True)
    return {line.split(":")[0].strip(): line.split()[1] for line in shown.stdout.splitlines()[1:]}
for words in ("tso off tx-gre-segmentation off no-such off", "gro on", "tso on gro off"):
    before = state()
    switches.set("v1", words)
    print(sorted({name for name, value in state().items() if value != before[name]}))
switches.allow_segments("v1", 7)
shown = subprocess.run("ip -n one -d link show v1".split(), capture_output=True, text=True).stdout
print("gso_max_segs 7" in shown)
"""


def test_features_are_switched_as_ethtool_does_in_namespaces_that_nobody_else_sees():
    isolated = ["unshare", "--mount", "--net", "--map-root-user", "--propagation", "private"]
    probe = "mkdir -p /run/netns && mount -t tmpfs t /run/netns && ip link add v type veth"
    if subprocess.run([*isolated, "sh", "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces, or no veth, for this user")
    done = subprocess.run(
        [*isolated, sys.executable, "-c", _SWITCHED], capture_output=True, text=True, check=True
    )
    devices, off, gro_on, on, segments = done.stdout.splitlines()
    assert devices == "['lo', 'v1'] ['lo', 'v2'] ['lo', 'v1']"
    switched = set(ast.literal_eval(off))
    tso = {"tcp-segmentation-offload", "tx-tcp-segmentation", "tx-tcp6-segmentation"}
    assert tso | {"tx-gre-segmentation"} <= switched
    assert gro_on == "['generic-receive-offload']"
    changed = switched - {"tx-gre-segmentation"} | {"generic-receive-offload"}
    assert set(ast.literal_eval(on)) == changed
    assert segments == "True"
    assert not Path("/run/netns/one").exists()


def test_a_measurement_that_takes_long_gives_signs_of_life_and_ends(monkeypatch):
    monkeypatch.setattr(guest, "_SIGN_SECONDS", 0.05)
    signs: list[int] = []

    def slow():
        time.sleep(0.4)
        return CLEAN

    assert guest._in_child(slow, lambda: signs.append(1)) == CLEAN
    assert len(signs) > 2
    monkeypatch.setattr(guest, "_STACK_SECONDS", 0.2)
    assert "did not end" in guest._in_child(slow, lambda: None)["refused"]
