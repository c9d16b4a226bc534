"""Whether this host's kernel has the known faults: the judge, its words, and runs of it."""

from __future__ import annotations

import json

import jsonschema
import pytest
from gso.kernel.errors import UsageError
from gso.kernel.guest.complaints import COUNTED
from gso.kernel.guest_files import GuestFileError
from gso.kernel.judging.check import TRAFFIC, Answer, judge, scenarios_of
from gso.kernel.report.check import SCHEMA, Check
from gso.kernel.runs.check import check, judged
from gso.kernel.scenarios import FAULTS, named

INCIDENT = named("ipvs-gue-inner-mac-header")
# As measured in a VM of Debian 6.12.117 without the fix, with 100,000 bytes of TCP.
LOST = {"tx_dropped": 30}


def exchange(*, error: str | None = None, super_packets: int = 0, retransmits: int = 0, **counters):
    return {
        **{"upload_intact": error is None, "download_intact": error is None, "error": error},
        **{"seconds": 0.1, "mss": 1448, "retransmits": retransmits},
        **{"super_packets": super_packets, "counters": {**dict.fromkeys(COUNTED, 0), **counters}},
    }


CONTROL, CLEAN = exchange(), exchange(super_packets=9)
DROPS = exchange(super_packets=20, retransmits=49, **LOST)
LATE = exchange(super_packets=9, retransmits=2)
DEAF = exchange(error="TimeoutError: timed out", super_packets=9)
AFFECTED = {"controls": [CONTROL] * 2, "runs": [DROPS] * 2}


def answer(controls, runs) -> Answer:
    return answered({"controls": controls, "runs": runs}).answer


def answered(*given):
    """Judge the incident's scenarios: what is given first, and clean ones for the rest."""
    names = [scenario.name for scenario in scenarios_of(INCIDENT)]
    clean = {"controls": [CONTROL], "runs": [CLEAN]}
    measured = [*given, *[clean] * (len(names) - len(given))]
    return judge(INCIDENT, dict(zip(names, measured, strict=True)))


@pytest.mark.parametrize(
    ("controls", "runs", "expected"),
    [
        ([CONTROL], [CLEAN], Answer.NOT_AFFECTED),
        ([CONTROL] * 2, [DROPS, DROPS], Answer.AFFECTED),
        ([CONTROL] * 2, [DEAF, DEAF], Answer.AFFECTED),
        ([CONTROL] * 2, [DEAF, DROPS], Answer.AFFECTED),
        # A busy host: it went well once, or there is no more than packets sent again.
        ([CONTROL], [LATE, CLEAN], Answer.NOT_AFFECTED),
        ([CONTROL], [DROPS, CLEAN], Answer.NOT_AFFECTED),
        ([CONTROL] * 2, [LATE, LATE], Answer.CANNOT_TELL),
        ([CONTROL] * 2, [LATE, DROPS], Answer.CANNOT_TELL),
        # What is wrong without segmentation, too, says nothing of it.
        ([DEAF], [CLEAN], Answer.CANNOT_TELL),
        ([CONTROL, DEAF], [DEAF, DEAF], Answer.CANNOT_TELL),
        ([exchange(**LOST), CONTROL], [DROPS, DROPS], Answer.CANNOT_TELL),
        # Where nothing had to be segmented, nothing was tried.
        ([CONTROL], [exchange()], Answer.CANNOT_TELL),
        ([CONTROL] * 2, [exchange(**LOST)] * 2, Answer.CANNOT_TELL),
    ],
)
def test_what_arrives_without_segmentation_must_arrive_with_it(controls, runs, expected):
    assert answer(controls, runs) is expected


@pytest.mark.parametrize("counter", COUNTED)
def test_any_counter_that_grows_with_segmentation_only_counts(counter):
    run = exchange(super_packets=9, **{counter: 1})
    assert answer([CONTROL] * 2, [run] * 2) is Answer.AFFECTED
    assert answer([exchange(**{counter: 1})] * 2, [run] * 2) is Answer.NOT_AFFECTED


def test_damage_counts_though_all_bytes_are_there():
    run = {**CLEAN, "upload_intact": False}
    found = answered({"controls": [CONTROL] * 2, "runs": [run] * 2})
    assert found.answer is Answer.AFFECTED
    assert "damaged" in found.why


def test_one_scenario_is_enough_to_be_affected_and_not_to_be_not_affected():
    refused = {"refused": "Unknown device type"}
    assert answered().answer is Answer.NOT_AFFECTED
    assert answered(refused).answer is Answer.CANNOT_TELL
    assert answered(refused, AFFECTED).answer is Answer.AFFECTED
    assert "30 packets dropped on their way out" in answered(refused, AFFECTED).why
    assert "Unknown device type" in answered(refused).why


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ([answered()], 0),
        ([answered(), answered({"refused": "no"})], 125),
        (
            [
                answered({"refused": "no"}),
                answered({"controls": [CONTROL] * 2, "runs": [DROPS] * 2}),
            ],
            1,
        ),
        ([], 125),
    ],
)
def test_exit_status_and_schema(found, status):
    result = Check("6.12.117", found, 1.5)
    assert result.exit_status == status
    summary = json.loads(json.dumps(result.summary()))
    jsonschema.validate(summary, json.loads(SCHEMA.read_text()))
    assert summary["exit_status"] == status


def test_what_mends_it_is_named():
    text = Check("6.12.117", [answered(AFFECTED)], 1.0).text()
    assert "AFFECTED      ipvs-gue-inner-mac-header" in text
    assert "d7fce52fdf96" in text
    assert "6.1.36" in text


def test_no_fault_of_which_the_kernel_dies_is_tried_here():
    deadly = [fault for fault in FAULTS if fault.deadly]
    assert deadly
    for fault in deadly:
        assert not scenarios_of(fault)
        with pytest.raises(UsageError, match="of which the kernel would die: gso-kernel zoo"):
            check([fault.name])


def test_every_fault_of_what_is_segmented_has_scenarios_here():
    """Each has its bulk traffic, sent by the client."""
    without = [fault.name for fault in FAULTS if not scenarios_of(fault)]
    assert without == ["fraglist-in-tunnel", "ip_gre-small-packets", "sctp-over-seg6"]
    for scenario in (scenario for fault in FAULTS for scenario in scenarios_of(fault)):
        assert any(traffic.name == TRAFFIC for traffic in scenario.traffic)
        assert not scenario.from_director


def test_a_word_that_names_no_fault_is_refused():
    with pytest.raises(UsageError, match="no fault 'nothing'"):
        check(["nothing"])
    with pytest.raises(UsageError, match="no fault 'ip_gre-small-packets' of what is segmented"):
        check(["ip_gre-small-packets"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found.clear(),
        lambda found: found[next(iter(found))].clear(),
        lambda found: found[next(iter(found))]["runs"].append(7),
        lambda found: found[next(iter(found))]["runs"][0].update(retransmits="1"),
        lambda found: found[next(iter(found))]["runs"][0].update(seconds=float("inf")),
    ],
)
def test_damaged_measurements_are_no_answer(tmp_path, damage):
    run = {"controls": [CONTROL], "runs": [CLEAN]}
    found = {s.name: json.loads(json.dumps(run)) for s in scenarios_of(INCIDENT)}
    path = tmp_path / "check.json"
    path.write_text(json.dumps(found))
    assert judged([INCIDENT], path)[0].answer is Answer.NOT_AFFECTED
    damage(found)
    path.write_text(json.dumps(found))
    with pytest.raises(GuestFileError, match=r"check\.json of the guest is damaged"):
        judged([INCIDENT], path)


@pytest.mark.usefixtures("nothing_is_left_behind")
def test_on_this_host(gso_kernel):
    done = gso_kernel("check", "--json", "--only", "ipvs-gue*", "--only", "act_csum*")
    assert "Traceback" not in done.err
    if done.out:
        summary = json.loads(done.out)
        jsonschema.validate(summary, json.loads(SCHEMA.read_text()))
        assert summary["exit_status"] == done.status
        for fault in summary["faults"]:
            assert fault["why"] or fault["answer"] == "NOT AFFECTED"
    else:
        assert done.status == 125
        assert "set-up" in done.err
