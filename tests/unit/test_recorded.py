"""Logs that real tracers recorded in a kernel with the fault of the incident, and with its fix."""

import io
import lzma
from pathlib import Path

import pytest

import gso
from gso.diagnosis import SET_INNER_MAC
from gso.diagnosis.recorders import RECORDED
from gso.drawing.diagnosis_json import log_json

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
    # The test bed's mirror copies each packet, and ftrace recorded no stacks of the copies.
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


# --- the kernel's own skb_dump ---

DUMPED = {
    **{"len": 1524, "data_len": 1460, "protocol": 0x0800, "ip_summed": 3},
    **{
        "gso_size": 1448,
        "gso_type": gso.GsoType.TCPV4 | gso.GsoType.UDP_TUNNEL | gso.GsoType.IPXIP4,
    },
    **{"mac_header": 222, "network_header": 236, "transport_header": 256, "headroom": 256},
}
INNER = {
    **{"inner_network_header": 268, "inner_transport_header": 288, "encapsulation": 1},
    **{"csum_start": 288, "csum_offset": 16},
    # from the packet's bytes
    **{"l4": 6, "payload": 1460, "ihl": 5, "doff": 8},
}


def dumps(name):
    return lzma.open(TRACES / f"dmesg-{name}.txt.xz", "rt").read()


@pytest.fixture(params=["dmesg", "console", "journal"])
def printed(request):
    """The log as a program prints it: only dmesg indents the further lines of one message."""

    def read(name):
        found = []
        for line in dumps(name).splitlines():
            if line.startswith("["):
                time = line[: line.index("]") + 1]
            text = line if line.startswith("[") else line.replace(" " * len(time), time, 1)
            found.append(
                {
                    "dmesg": line,
                    "console": text,
                    "journal": text.replace(time, "Nov 23 22:10:31 lb kernel:"),
                }[request.param]
            )
        return gso.read_trace(io.BytesIO("\n".join(found).encode()))

    return read


# Before 6.12 the start and the offset are one word.
CSUM_WORD = {"csum_start": 288, "csum_offset": 16}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("6.12-unpatched", {**DUMPED, **INNER, "inner_mac_header": 254, "tnl_hlen": -2}),
        ("6.12-patched", {**DUMPED, **INNER, "inner_mac_header": 268, "tnl_hlen": 12}),
        ("6.1-unpatched", {**DUMPED, **CSUM_WORD}),
        ("6.1-patched", {**DUMPED, **CSUM_WORD}),
    ],
)
def test_every_field_of_a_dump_is_read(printed, name, expected):
    trace = printed(name)
    assert trace.format == "dmesg"
    assert (trace.damaged, trace.lost) == (0, 0)
    assert len(trace) == dumps(name).count("skb len=") == 9
    assert trace.skb_state(0).known == expected
    assert set(trace.device) == {"up0"}
    for index in range(9):
        assert set(trace.skb_state(index).known) == set(expected)
    for stack in trace.stack:
        calls = stack.split("\n")
        assert calls[0] == "dump_stack_lvl"
        assert "skb_udp_tunnel_segment" in calls
        assert calls.index("skb_udp_tunnel_segment") < calls.index("ip_vs_tunnel_xmit")


def test_the_fault_is_found_in_dumps(printed):
    (case,) = gso.diagnose(printed("6.12-unpatched")).cases
    assert case.rules == ("tunnel-header-negative",)
    assert case.packets == 9
    assert case.fields["tnl_hlen"] == -2
    assert (case.function, case.evidence) == ("ip_vs_tunnel_xmit", "it is in the stack")
    assert case.missing_call == SET_INNER_MAC


def test_dumps_of_the_fixed_kernel_are_clean(printed):
    diagnosis = gso.diagnose(printed("6.12-patched"))
    assert diagnosis.clean
    assert diagnosis.judged["tunnel-header-negative"] == 9


@pytest.mark.parametrize("kind", ["unpatched", "patched"])
def test_dumps_without_inner_offsets_cannot_be_judged(printed, kind):
    """Of 6.1 the packets look alike with the fault and without: neither is called clean."""
    diagnosis = gso.diagnose(printed(f"6.1-{kind}"))
    assert not diagnosis.clean
    assert diagnosis.not_judged.startswith("9 events of super-packets that may be in tunnels")
    assert log_json("dmesg", diagnosis)["unseen_tunnels"] == 9
    assert "tunnel-header-negative" not in diagnosis.judged
    assert diagnosis.judged["outer-header-order"] == 9
    assert set(diagnosis.record) == {"pwru", "bpftrace", "perf", "perf-debug-symbols"}


# --- tools that show few fields ---

TOOLS = {
    # (format, events, packets of the case, drops with a place of their own or none)
    "perf-trace-stacks": ("perf-trace", 97, 23, {"ip_rcv_core": 73, "tcp_v4_rcv": 1}),
    "dropwatch-summary": ("dropwatch", 2, 5, {"ip_rcv_core": 7}),
    "dropwatch-packet": ("dropwatch", 120, 23, {"ip_rcv_core": 96, "tcp_v4_do_rcv": 1}),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_drops_in_the_segmenter_are_found_without_offsets(tool):
    kind, events, packets, others = TOOLS[tool]
    trace = gso.read_trace(TRACES / f"tools/{tool}.txt.xz")
    assert trace.format == kind
    assert (trace.damaged, trace.lost) == (0, 0)
    assert len(trace) == events
    diagnosis = gso.diagnose(trace, kernel="6.12.117+deb12-amd64")
    (case,) = diagnosis.cases
    assert case.rules == ("dropped-in-segmentation",)
    assert case.packets == case.dropped == packets
    assert case.drop[2] == "validate_xmit_skb"
    assert {place: count for (_, place), count in diagnosis.drops.items()} == others
    assert diagnosis.record


def test_perf_trace_names_the_encapsulator_where_it_has_stacks():
    trace = gso.read_trace(TRACES / "tools/perf-trace-stacks.txt.xz")
    (case,) = gso.diagnose(trace).cases
    assert (case.function, case.evidence) == ("ip_vs_tunnel_xmit", "it is in the stack")
    # A process may have colons in its name; its stack is its own.
    director = trace.process == "ipvs-e:2:0"
    assert director.sum() == 5
    for index in director.nonzero()[0].tolist():
        assert trace.text("stack", index).split("\n")[1] in ("validate_xmit_skb", "ip_rcv_core")


def test_drops_at_an_address_are_not_called_fine():
    """Without stacks perf trace shows neither where a packet was dropped nor why."""
    trace = gso.read_trace(TRACES / "tools/perf-trace.txt.xz")
    assert (trace.format, len(trace), trace.damaged) == ("perf-trace", 534, 0)
    diagnosis = gso.diagnose(trace, kernel="6.12")
    assert not diagnosis.clean
    assert diagnosis.unplaced == log_json("perf-trace.txt", diagnosis)["unplaced"] == 12
    assert "12 drops without a reason at an address only" in diagnosis.not_judged
    assert diagnosis.drops == {("OTHERHOST", ""): 20, ("NOT_SPECIFIED", ""): 12}


def test_trace_cmd_report_is_read_as_ftrace():
    trace = gso.read_trace(TRACES / "tools/trace-cmd.txt.xz")
    assert (trace.format, trace.damaged, trace.lost) == ("ftrace", 0, 0)
    drops = (trace.function == "kfree_skb") & (trace.location == "validate_xmit_skb")
    assert drops.sum() == 29
    (case,) = gso.diagnose(trace).cases
    assert case.rules[0] == "tunnel-header-negative"
    assert case.fields["tnl_hlen"] == -2
    assert (case.function, case.evidence) == ("ip_vs_tunnel_xmit", "it is in the stack")
    assert case.missing_call == SET_INNER_MAC


def test_retis_own_text_of_events_is_read_as_the_events():
    text, events = (gso.read_trace(TRACES / f"tools/retis-1.7.{kind}") for kind in ("txt", "json"))
    assert (text.format, events.format) == ("retis", "retis-json")
    assert (text.damaged, events.damaged) == (0, 0)
    for trace in (text, events):
        names = ["ip_vs_in_hook", "__dev_queue_xmit", "kfree_skb", "netif_receive_skb", "netif_rx"]
        assert trace.function.tolist() == names
        assert trace.time.tolist() == [100_000_000 + 1000 * n for n in range(5)]
        assert trace.cpu.tolist() == [0, 1, 2, 0, 1]
        assert set(trace.device) == {"up0"}
        assert set(trace.skb.tolist()) == {0xFFFF887FFBD36401}
        assert trace.state["ip_summed"].tolist() == [3, 3, 3, 2, 1]
        assert trace.state["len"].tolist() == [2974, 2974, 2974, 1500, 60]
        assert trace.state["gso_size"].tolist() == [1448, 1448, 1448, 0, 0]
        assert trace.skb_state(0).csum_start == 288
        (case,) = gso.diagnose(trace).cases
        assert case.rules == ("dropped-in-segmentation",)
        assert case.drop == ("kfree_skb", "NOT_SPECIFIED", "validate_xmit_skb")
        assert case.function == "ip_vs_tunnel_xmit"


def test_tcpdrop_shows_where_but_no_header():
    """Its drops are a firewall's; the segmenter's have no reason, and it passes those over."""
    trace = gso.read_trace(TRACES / "tools/tcpdrop.txt.xz")
    assert (trace.format, len(trace), trace.damaged) == ("tcpdrop", 8, 0)
    flows = ["127.0.0.1:56294->127.0.0.1:7777(tcp)", "::1:57850->::1:7777(tcp)"]
    assert trace.flow.tolist() == [flows[0]] * 4 + [flows[1]] * 4
    assert trace.text("stack", 0).split("\n")[:2] == ["kfree_skb_reason", "nft_do_chain"]
    diagnosis = gso.diagnose(trace)
    assert not diagnosis.clean
    assert diagnosis.drops == {("", "nft_do_chain"): 8}
