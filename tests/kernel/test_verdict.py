from dataclasses import replace
from pathlib import Path

import pytest
from gso.kernel.judging.evidence import Cell, read_trace
from gso.kernel.judging.verdict import Outcome, Verdict, compare, judge, outcome, overall
from gso.kernel.judging.wire_check import Explanation
from gso.kernel.scenarios import SCENARIOS, TRAFFIC, select

DATA = Path(__file__).parent / "data"
FAULT = next(s for s in SCENARIOS if s.name == "gue-outer4-inner4-nocsum")
WHOLE = next(s for s in SCENARIOS if s.name == "gue-tunnel-offload-outer4-inner4-nocsum")
INCIDENT = next(t for t in TRAFFIC if t.name == "incident")
SMALL = next(t for t in TRAFFIC if t.name == "small")
PASS, FAIL, NOT_EXERCISED = Outcome.PASS, Outcome.FAIL, Outcome.NOT_EXERCISED
MATCHING = Explanation(1, 2, 2, False, ())
FINE = {"error": None, "upload_intact": True, "download_intact": True, "tx_dropped": 0}


def judged(kernel="patched", traffic=INCIDENT, wire=MATCHING, scenario=FAULT, **result):
    trace = read_trace(DATA / f"incident-{kernel}.trace")
    return judge(scenario, traffic, Cell({**FINE, **result}, trace, {}), wire)


def test_the_matrix_is_complete():
    faults = {(s.outer, s.inner, s.checksum) for s in select(["ipvs-gue"])}
    assert len(faults) == 12
    assert {s.outer for s in select((), ["fault"])} == {4, 6}
    assert INCIDENT.upload == 1448 + 12


def test_a_good_cell_has_no_problems():
    assert judged().problems == ()
    assert outcome([judged()]) is PASS


def test_drops_in_segmentation_name_the_segmenters_answer():
    cell = judged("unpatched", tx_dropped=1, wire=Explanation(1, 2, 0, False, ("never sent",)))
    assert cell.problems == (
        "1 packets dropped in segmentation: the segmenter returned -EINVAL",
        "the segmenter computed a tunnel header of -2 bytes, not 12",
    )
    assert outcome([judged(), cell]) is FAIL


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ({"error": "TimeoutError: timed out"}, "TimeoutError: timed out"),
        ({"upload_intact": False}, "the upload arrived damaged"),
        ({"download_intact": False}, "the answer arrived damaged"),
        ({"tx_dropped": 3}, "3 other transmit drops"),
    ],
)
def test_each_measure_can_fail_a_cell(result, problem):
    assert judged(**result).problems == (problem,)


def test_what_the_receiver_refuses_fails_the_cell_where_the_scenario_counts_it():
    counting = next(s for s in SCENARIOS if s.name == "ipvs-masq-sctp-inner4")
    problems = judged(scenario=counting, refusals={"SctpChecksumErrors": 3}).problems
    assert problems[0] == "3 packets of SCTP with a wrong checksum"
    assert not any("SCTP" in one for one in judged(scenario=counting).problems)
    # A guest that counts what nobody asked for changes nothing.
    assert judged(refusals={"SctpChecksumErrors": 3, "nonsense": 1}).problems == ()


def test_super_packets_that_no_packet_socket_shows_need_not_be_seen():
    unseen = Explanation(0, 0, 0, False, ())
    assert judged(scenario=replace(FAULT, protocol="sctp"), wire=unseen).exercised
    assert not judged(wire=unseen).exercised


def test_a_single_differing_byte_on_the_wire_fails_the_cell():
    wire = Explanation(1, 2, 1, False, ("segment 5: ttl: expected 64, actual 63",))
    assert judged(wire=wire).problems == (
        "1 of 2 segments differ",
        "segment 5: ttl: expected 64, actual 63",
    )


def test_traffic_that_needs_gso_must_meet_the_segmenter():
    nothing = Explanation(0, 0, 0, False, ())
    assert outcome([judged(wire=nothing)]) is NOT_EXERCISED
    assert outcome([judged(traffic=SMALL, wire=nothing)]) is PASS


def test_where_the_device_segments_the_kernel_must_not():
    assert judged(scenario=WHOLE).problems == (
        "the segmenter ran, although nothing was to be segmented here",
    )


@pytest.mark.parametrize(
    ("role", "unpatched", "patched", "verdict"),
    [
        ("fault", FAIL, PASS, Verdict.FIXED),
        ("fault", FAIL, FAIL, Verdict.NO_EFFECT),
        ("fault", PASS, PASS, Verdict.NOT_REPRODUCED),
        ("fault", PASS, FAIL, Verdict.REGRESSED),
        ("fault", NOT_EXERCISED, PASS, Verdict.INCONCLUSIVE),
        ("fault", FAIL, NOT_EXERCISED, Verdict.INCONCLUSIVE),
        ("control", PASS, PASS, Verdict.UNAFFECTED),
        ("control", PASS, FAIL, Verdict.REGRESSED),
        ("control", FAIL, PASS, Verdict.INCONCLUSIVE),
        ("control", FAIL, FAIL, Verdict.INCONCLUSIVE),
        ("open", PASS, PASS, Verdict.UNAFFECTED),
        ("open", PASS, FAIL, Verdict.REGRESSED),
        ("open", FAIL, PASS, Verdict.FIXED),
        ("open", FAIL, FAIL, Verdict.NO_EFFECT),
        ("open", NOT_EXERCISED, NOT_EXERCISED, Verdict.INCONCLUSIVE),
    ],
)
def test_one_scenario(role, unpatched, patched, verdict):
    assert compare(role, unpatched, patched) is verdict


@pytest.mark.parametrize(
    ("role", "verdict"),
    [
        ("fault", Verdict.NO_EFFECT),
        ("control", Verdict.INCONCLUSIVE),
        ("open", Verdict.UNRELATED),
    ],
)
def test_what_fails_both_times_without_the_changed_code_is_not_the_patchs(role, verdict):
    assert compare(role, FAIL, FAIL, touched=False) is verdict


@pytest.mark.parametrize(
    ("role", "touched", "verdict"),
    [
        ("fault", False, Verdict.INCONCLUSIVE),
        ("control", False, Verdict.UNRELATED),
        ("open", False, Verdict.UNRELATED),
        ("control", True, Verdict.INCONCLUSIVE),
    ],
)
def test_what_a_kernel_has_not_is_no_matter_of_other_code(role, touched, verdict):
    refused = Outcome.REFUSED
    assert compare(role, refused, refused, touched=touched) is verdict
    assert compare(role, PASS, refused, touched=touched) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("verdicts", "verdict", "status"),
    [
        ([Verdict.FIXED, Verdict.UNAFFECTED], Verdict.FIXED, 0),
        ([Verdict.FIXED, Verdict.UNRELATED], Verdict.FIXED, 0),
        ([Verdict.UNRELATED, Verdict.UNAFFECTED], Verdict.NOT_REPRODUCED, 1),
        ([Verdict.FIXED, Verdict.NOT_REPRODUCED], Verdict.FIXED, 0),
        ([Verdict.FIXED, Verdict.NO_EFFECT, Verdict.UNAFFECTED], Verdict.INCOMPLETE, 1),
        ([Verdict.NO_EFFECT, Verdict.UNAFFECTED], Verdict.NO_EFFECT, 1),
        ([Verdict.NOT_REPRODUCED, Verdict.UNAFFECTED], Verdict.NOT_REPRODUCED, 1),
        ([Verdict.FIXED, Verdict.REGRESSED], Verdict.REGRESSED, 1),
        ([Verdict.FIXED, Verdict.INCONCLUSIVE], Verdict.INCONCLUSIVE, 125),
        ([Verdict.REGRESSED, Verdict.INCONCLUSIVE], Verdict.REGRESSED, 1),
    ],
)
def test_the_patch_as_a_whole(verdicts, verdict, status):
    assert overall(verdicts) is verdict
    assert verdict.exit_status == status
