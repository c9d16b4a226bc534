"""The hunt: its rules, and the stacks that are drawn by them."""

from __future__ import annotations

import json
import re
import struct
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from gso.kernel.guest import bench, features
from gso.kernel.guest.draws import Draws, interactions
from gso.kernel.guest.stacks import (
    ARRIVALS,
    OFFLOADS,
    TRAFFICS,
    Layer,
    Stack,
    as_data,
    contains,
    draw,
    simpler,
    way,
)
from gso.kernel.guest.stacks import WHOLE as WHOLE_ARRIVAL
from gso.kernel.hunting import rules
from gso.kernel.hunting.script import script

from hunts import (
    INCIDENT,
    MANY,
    RULES,
    SMALLEST,
)


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


def test_every_traffic_arrival_and_offload_is_drawn():
    assert {stack.traffic for stack in MANY} == set(TRAFFICS) == set(bench.TRAFFIC)
    assert {stack.arrival for stack in MANY} == set(ARRIVALS)
    assert {stack.offload for stack in MANY} == set(OFFLOADS)
    assert not [stack for stack in MANY if stack.local and stack.arrival != WHOLE_ARRIVAL]


def test_layers_that_encapsulate_are_drawn_more_often_than_those_that_change_no_header():
    drawn = Counter(RULES[layer.kind]["group"] for stack in MANY for layer in stack.far)
    assert min(drawn.values()) > sum(drawn.values()) / len(drawn) / 4
    assert min(drawn[group] for group in ("ether-in-udp", "gre")) > drawn["passing"]


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


def test_a_rule_that_lacks_something_is_refused(tmp_path, monkeypatch):
    (tmp_path / "odd.toml").write_text(
        'place = "device"\ngroup = "ip"\nouter = [4]\ninner = 4\nmodules = []\n'
    )
    monkeypatch.setattr(rules, "_FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"odd.toml: inner is 4, not a list"):
        rules.read()
