"""One scenario of each family in real kernels, and the same topology to look around in by hand."""

from __future__ import annotations

import pytest
from gso.kernel.scenarios import DEFAULT_FAULT, SCENARIOS, select

from testbed import MAIN, ONE_OF_EACH_FAMILY


@pytest.mark.vm
@pytest.mark.xdist_group("fixed")
def test_each_family_shows_what_its_data_say(fixed):
    assert (fixed.status, fixed.report["verdict"]) == (0, "FIXED"), fixed.out + fixed.err
    found = {s["name"]: s for s in fixed.report["kernels"][0]["scenarios"]}
    assert set(found) == {*ONE_OF_EACH_FAMILY, *(s.name for s in select())}
    for scenario in SCENARIOS:
        if scenario.name in ONE_OF_EACH_FAMILY:
            check(scenario, found[scenario.name])


def check(scenario, found) -> None:
    role = DEFAULT_FAULT.roles.of(scenario)
    verdict = "FIXED" if role == "fault" else "UNAFFECTED"
    assert found["verdict"] == verdict, scenario.name
    for traffic, before, after in zip(
        scenario.traffic, found["unpatched"], found["patched"], strict=True
    ):
        assert after["upload_intact"]
        assert after["download_intact"]
        assert after["wire"]["matching"] == after["wire"]["segments"]
        if not traffic.segmented:
            continue
        assert after["wire"]["segments"] >= 1
        assert after["segmenter_ran"] == (scenario.segmenter is not None)
        expected = [scenario.tnl_hlen] if scenario.segmenter and scenario.tnl_hlen else []
        assert after["tnl_hlen"] == expected, scenario.name
        if role == "fault" and scenario.faulty_tnl_hlen is not None:
            assert before["tnl_hlen"] == [scenario.faulty_tnl_hlen]
        if role == "fault":
            assert before["segmentation_drops"] > 0


@pytest.mark.vm
@pytest.mark.usefixtures("test_bed", "nothing_is_left_behind")
def test_a_command_runs_in_the_topology_of_a_vm(gso_kernel):
    name = "gue-outer4-inner4-csum"
    command = f"send {name} bulk; ip netns exec director ipvsadm -Ln; exit 3"
    done = gso_kernel("shell", "--patched", MAIN, "--only", name, "--command", command)
    assert done.status == 3, done.out + done.err
    assert "bulk: intact" in done.out
    assert "0 retransmits" in done.out
    assert "Tunnel" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nonsense", "--command", "true"], "no scenario or group 'nonsense'"),
        ([], "needs a terminal"),
        (["--source", "/nonexistent", "--command", "true"], "is not a kernel tree"),
        (["--topology", "--kernel", "6.1"], "not allowed with argument"),
    ],
)
def test_wrong_usage_of_the_shell(gso_kernel, arguments, message):
    done = gso_kernel("shell", *arguments)
    assert done.status == 2
    assert message in done.err
