"""However a log is cut into batches, its packets are the same, and those of plain Python."""

import io
import lzma
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from gso.diagnosis._packet_table import AFTER_FREE, CONSUMES, DROPS, ENTERS, PacketTable
from gso.diagnosis.follower import Follower
from gso.drawing.diagnosis_json import as_json
from reference import following
from reference import packet_table as reference

HERE = Path(__file__).parents[1]
LOGS = sorted((HERE / "vectors/traces").rglob("*.txt*")) + sorted(
    (HERE / "kernel/data").glob("*.trace")
)

KINDS = (0, DROPS, CONSUMES, ENTERS, AFTER_FREE, DROPS | AFTER_FREE)
FUNCTIONS = ("ip_rcv", "ip_vs_in_hook", "skb_push", "consume_skb", "kfree_skbmem")
DROP = "kfree_skb_reason(SKB_DROP_REASON_{})"
BAD = "inner_mac_header=68 transport_header=70 inner_network_header=82 network_header=50"
GOOD = BAD.replace("=68", "=82")


def columns(pointers, functions, places):
    n = len(pointers)
    none = np.full(n, -1, np.int32)
    return {
        "skb": np.array(pointers, np.uint64) + np.uint64(reference.LOWEST_POINTER),
        "time": np.arange(n, dtype=np.int64),
        "cpu": np.zeros(n, np.int32),
        "function": np.array(functions, np.int32),
        "location": np.array(places, np.int32) - 1,
        "stack": none,
        "returns": np.zeros(n, np.int8),
    }


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9),
            st.sampled_from(range(len(KINDS))),
            st.sampled_from([2, 0, 1]),
            st.integers(0, 1),
        ),
        max_size=80,
    ),
    st.integers(1, 6),
    st.integers(1, 80),
)
def test_the_table_agrees_with_the_obvious_one(events, room, size):
    expected, evicted = reference.packet_numbers(
        [(pointer, KINDS[f], inner, place, f) for pointer, f, inner, place in events], room
    )
    table = PacketTable(room)
    kinds = np.array(KINDS, np.uint8)
    codes = np.arange(len(KINDS), dtype=np.int32)
    found = []
    for at in range(0, len(events), size):
        part = events[at : at + size]
        pointers, functions, inners, places = zip(*part, strict=True)
        inner = np.array([(0, 82, -(1 << 31))[n] for n in inners], np.int32)
        numbers, _ = table.assign(
            columns(pointers, functions, places), inner, kinds, codes, lambda *_: False
        )
        found += numbers.tolist()
    assert found == expected
    assert table.evicted == evicted


@st.composite
def line(draw):
    pointer = draw(st.sampled_from([0xFFFF888100000000 + 256 * n for n in range(5)]))
    function = draw(st.sampled_from([*FUNCTIONS, DROP.format("NOT_SPECIFIED"), DROP.format("X")]))
    cpu, length = draw(st.integers(0, 1)), draw(st.sampled_from([1512, 1544]))
    text = f"{pointer:#x} {cpu} [p] {function} {draw(st.integers(1, 9))} len={length}"
    text += draw(st.sampled_from(["", f" {GOOD}", f" {BAD}", "", " 1.2.3.4:5->6.7.8.9:1(udp)"]))
    stack = draw(st.sampled_from(["", "\nvalidate_xmit_skb\nip_vs_tunnel_xmit", "\nip_output"]))
    return text + stack


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(line(), min_size=1, max_size=40), st.integers(1, 7))
def test_a_diagnosis_does_not_depend_on_batches(lines, rows):
    data = "\n".join(lines).encode()
    whole = gso.diagnose(gso.read_trace(io.BytesIO(data), "pwru"))
    with gso.TraceReader(io.BytesIO(data), "pwru", rows=rows) as reader:
        parts = gso.diagnose(reader)
    assert as_json([("log", parts)]) == as_json([("log", whole)])


def as_in_plain_python(trace: gso.Trace):
    diagnoser = following.Diagnoser()
    diagnoser.add(trace)
    return as_json([("log", diagnoser.finish())])


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(line(), min_size=1, max_size=120))
def test_a_diagnosis_is_that_of_plain_python(lines):
    trace = gso.read_trace(io.BytesIO("\n".join(lines).encode()), "pwru")
    assert as_json([("log", gso.diagnose(trace))]) == as_in_plain_python(trace)


def again(log: bytes, times: int) -> bytes:
    """The log several times, each with sk_buffs of its own that come back now and then."""
    pointer = re.compile(rb"(skb(?:addr)?=(?:0x)?ffff)([0-9a-f]{8,12})\b")

    def of_its_own(n: int) -> bytes:
        return pointer.sub(
            lambda match: match[1] + b"%0*x" % (len(match[2]), int(match[2], 16) ^ n << 24), log
        )

    return b"".join(of_its_own(n % 7) for n in range(times))


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
@pytest.mark.parametrize("times", [1, 12])
def test_recorded_logs_are_diagnosed_as_in_plain_python(path, times):
    log = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    trace = gso.read_trace(io.BytesIO(again(log, times)))
    assert as_json([("log", gso.diagnose(trace))]) == as_in_plain_python(trace)


FTRACE = """\
 p-1 [00{cpu}] d..1. {time}: ip_vs_in_hook: (ip_vs_in_hook+0x4/0x9) skb=0xffff{skb:012x} {offsets}
 p-1 [00{cpu}] d..1. {time}: skb_udp_tunnel_segment: (skb_udp_tunnel_segment+0x4/0x9) \
skb=0xffff{skb:012x} {offsets}
 p-1 [00{cpu}] d..1. {time}: segment_ret: (inet_gso_segment+0x17c/0x3f0 <- skb_udp_tunnel_segment) \
result=-22
 p-1 [00{cpu}] d..1. {time}: kfree_skb: skbaddr=00000000{skb:08x} location=validate_xmit_skb+0x200 \
reason: NOT_SPECIFIED
 p-1 [00{cpu}] d..1. {time}: <stack trace>
 => validate_xmit_skb
 => ip_vs_tunnel_xmit
"""


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(1, 9))
def test_hashed_drops_and_returns_find_their_packet_across_batches(skbs, rows):
    data = "".join(
        FTRACE.format(cpu=skb % 2, time=f"{9 + n}.000001", skb=skb, offsets=BAD)
        for n, skb in enumerate(skbs)
    ).encode()
    with gso.TraceReader(io.BytesIO(data), "ftrace", rows=rows) as reader:
        [case] = gso.diagnose(reader).cases
    assert (case.packets, case.dropped) == (len(skbs), len(skbs))
    assert case.results == {"skb_udp_tunnel_segment": -22}
    assert case.function == "ip_vs_tunnel_xmit"
    assert case.drop == ("kfree_skb", "NOT_SPECIFIED", "validate_xmit_skb")


def followed(text: str, **bounds: int):
    trace = gso.read_trace(io.BytesIO(text.encode()), "pwru")
    follower = Follower(**bounds)
    violated = gso.validate_batch(trace.state)
    ended, _ = follower.add(trace, violated, violated != 0)
    return ended + follower.finish(), follower


def lines(pointers, fields=""):
    return "".join(f"0xffff8881{n:08x} 1 [p] f len=9 {fields}\n" for n in pointers)


def test_more_packets_than_the_table_holds_are_counted():
    _, follower = followed(lines(range(10)), under_way=4)
    assert follower.forgotten == 6


def test_events_from_before_the_remembered_ones_are_counted_as_forgotten():
    text = lines([1]) + lines(range(2, 40)) + lines([1], BAD)
    [packet], follower = followed(text)
    assert [event.line for event in packet.events] == [1, 40]
    assert follower.forgotten == 0
    [packet], follower = followed(text, remembered=5)
    assert [event.line for event in packet.events] == [40]
    assert follower.forgotten == 1


def test_a_packet_that_was_given_up_is_reported_once():
    text = lines(range(5000), BAD) + lines(range(5000), BAD)
    packets, follower = followed(text, collected=4096)
    assert len(packets) == 5000
    assert follower.forgotten > 0
