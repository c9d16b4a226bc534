"""The scenarios as data: complete, consistent, and chosen by name, glob or group."""

import json
import re

import pytest
from gso.kernel.errors import UsageError
from gso.kernel.judging.evidence import SEGMENTERS
from gso.kernel.scenarios import DEFAULT_FAULT, FAULTS, SCENARIOS, plan, select

import gso


def names(scenarios) -> set[str]:
    return {scenario.name for scenario in scenarios}


def test_without_a_word_the_default_group_is_chosen():
    assert select() == select(["default"]) == select(DEFAULT_FAULT.scenarios)
    assert {s.kind for s in select()} >= {"ipvs-gue", "fou-direct-routing", "ipvs-ipip", "ipvs-gre"}
    assert len(select()) < 24


def test_all_is_everything():
    assert select(["all"]) == SCENARIOS


@pytest.mark.parametrize(
    ("only", "without", "expected"),
    [
        (["vxlan"], [], {s.name for s in SCENARIOS if s.kind == "vxlan"}),
        (["gue-outer4-inner6-csum"], [], {"gue-outer4-inner6-csum"}),
        (["gue-outer?-inner4-csum"], [], {"gue-outer4-inner4-csum", "gue-outer6-inner4-csum"}),
        (["sit", "ipip"], [], {"sit-outer4-inner6", "ipip-outer4-inner4"}),
        (["ip6tnl"], ["*-inner4"], {"ip6tnl-outer6-inner6"}),
    ],
)
def test_names_globs_and_groups(only, without, expected):
    assert names(select(only, without)) == expected


def test_an_exception_alone_is_from_the_default_group():
    faults = {s.name for s in select() if DEFAULT_FAULT.roles.of(s) == "fault"}
    assert names(select((), ["control"])) == faults


@pytest.mark.parametrize("option", ["only", "without"])
def test_a_word_that_matches_nothing_is_an_error_that_shows_the_groups(option):
    with pytest.raises(UsageError, match=r"'vxlna'.*vxlan"):
        select(**{option: ["vxlna"]})


def test_nothing_left_is_an_error():
    with pytest.raises(UsageError, match="no scenario is left of 1 chosen and"):
        select(["sit"], ["all"])


def test_names_ports_and_numbers_are_unique():
    for values in (
        [s.name for s in SCENARIOS],
        [s.number for s in SCENARIOS],
        [s.service_port for s in SCENARIOS],
        [s.tunnel_port for s in SCENARIOS if s.kind != "ipvs-gue"],
    ):
        assert len(set(values)) == len(values)


def test_each_is_consistent():
    for scenario in SCENARIOS:
        assert scenario.segmenter in (None, *SEGMENTERS), scenario.name
        assert scenario.tunnel in gso.Tunnel.__members__
        assert len(scenario.reason) > 20
        # Where no segmenter may run, no traffic needs one: that one runs at all is the fault then.
        roles = {fault.roles.of(scenario) for fault in FAULTS}
        needs = any(traffic.segmented for traffic in scenario.traffic)
        assert not (scenario.segmenter is None and needs and "fault" in roles)
        assert len({bool(traffic.datagram) for traffic in scenario.traffic}) == 1


def test_the_plan_is_plain_data_with_every_name_filled_in():
    planned = plan(SCENARIOS)
    text = json.dumps(planned)
    assert json.loads(text) == planned
    assert not re.search(r"\{\w+\}", text)


def test_a_tunnel_is_planned_between_its_own_addresses():
    (planned,) = plan(select(["vxlan-outer6-inner4-csum"]))
    assert planned["there"].startswith("2001:db8:2::")
    assert planned["target"] == planned["server"]
    assert planned["target"].startswith("192.0.2.")
    assert f"remote {planned['there']} " in planned["director"][0]
    assert planned["director"][-1].startswith(f"route add {planned['target']} dev t")


def test_ipvs_sends_tunnelled_packets_to_the_outer_address_and_others_to_the_inner():
    tunnelled, routed = plan(select(["gue-outer6-inner4-csum", "fou-outer6-inner4-nocsum"]))
    assert tunnelled["server"] == tunnelled["there"]
    assert routed["server"].startswith("192.0.2.")
    assert tunnelled["target"] == routed["target"] == "192.0.2.1"
