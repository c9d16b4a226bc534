"""What real tracers recorded in a kernel with the fault of the incident, and with its fix."""

from pathlib import Path

import pytest

import gso
from gso.diagnosis import SET_INNER_MAC
from gso.recorders import RECORDED

TRACES = Path(__file__).parents[1] / "vectors/traces"
FORMATS = {"bpftrace": "ftrace", "ftrace": "ftrace", "perf": "perf"}


@pytest.fixture(params=FORMATS)
def tracer(request):
    return request.param


def test_the_fault_is_found(tracer):
    trace = gso.read_trace(TRACES / f"{tracer}-unpatched.txt.xz")
    assert trace.format == FORMATS[tracer]
    assert (trace.damaged, trace.lost) == (0, 0)
    diagnosis = gso.diagnose(trace)
    case = diagnosis.cases[0]
    assert case.rules[0] == "tunnel-header-negative"
    assert case.fields["tnl_hlen"] == -2
    assert (case.function, case.evidence) == ("ip_vs_tunnel_xmit", "it is in the stack")
    assert case.missing_call == SET_INNER_MAC
    assert case.dropped > 0
    assert case.drop[2] == "validate_xmit_skb"
    assert diagnosis.record == {}
    # The test bed's mirror copies each packet, and ftrace recorded no stacks of theirs.
    assert len(diagnosis.cases) == 1 + (tracer == "ftrace")


def test_the_fixed_kernel_is_clean(tracer):
    trace = gso.read_trace(TRACES / f"{tracer}-patched.txt.xz")
    assert (trace.damaged, trace.lost) == (0, 0)
    diagnosis = gso.diagnose(trace)
    assert diagnosis.clean
    assert diagnosis.judged["tunnel-header-negative"] > 0


def test_bpftrace_records_every_field_that_it_is_asked_for():
    trace = gso.read_trace(TRACES / "bpftrace-patched.txt.xz")
    seen = trace.function == "__dev_queue_xmit"
    first = trace.skb_state(int(seen.nonzero()[0][0]))
    assert set(RECORDED) <= set(first.known)
    assert first.tnl_hlen == 12
    assert first.protocol == 0x0800
    assert first.gso_type == gso.GsoType.TCPV4 | gso.GsoType.UDP_TUNNEL | gso.GsoType.IPXIP4


def test_call_chains_and_places_are_read_from_perf():
    trace = gso.read_trace(TRACES / "perf-unpatched.txt.xz")
    drops = (trace.function == "kfree_skb") & (trace.location == "validate_xmit_skb")
    assert drops.sum() > 10
    for index in drops.nonzero()[0].tolist():
        chain = trace.text("stack", index).split("\n")
        assert chain[1:3] == ["validate_xmit_skb", "validate_xmit_skb_list"]
        assert trace.text("reason", index) == "NOT_SPECIFIED"
    assert set(trace.process) >= {"swapper", "python3"}
