"""No line, however damaged, stops the readers; and the way a log is cut does not matter."""

import contextlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from gso import GsoError
from gso.drawing.diagnosis_json import as_json
from gso.drawing.diagnosis_page import page
from gso.drawing.diagnosis_text import report
from gso.traces.formats import SCANNERS

HERE = Path(__file__).parents[1]
REAL = (HERE / "kernel/data/incident-unpatched.trace").read_bytes().splitlines()
PWRU = b"""\
0xffff947712f34400 9 [<empty>] kfree_skb_reason(SKB_DROP_REASON_X) netns=1 mark=0x0 proto=8 len=7
0xffff947712f34400 9 a:7 4026531840 0 eth0:2 0x0800 1600 1512 1.2.3.4:5->6.7.8.9:1(udp) ip_rcv k=1
13:05:01.250 0xffff888100 3 [a] skb_push netns=1 inner_mac_header=(__u16)68 dev="x"
(struct sk_buff){
 .len = (unsigned int)1544,
validate_xmit_skb  [mod]
{"skb":"0xffff","func":"f","tuple":{"saddr":"1","dport":7},"stack":"\\na\\nb","proto":8}
[  812.123460] skb len=1544 headroom=68 headlen=1532 tailroom=0
 mac=(68,-18) mac_len=14 net=(50,20) trans=70
 shinfo(txflags=0 nr_frags=1 gso(size=1448 type=1281 segs=2))
 encapsulation=1 inner(proto=0x0004, mac=68, net=82, trans=102)
[  812.1] Call Trace:
 ? a+0x1/0x2
 b+0x1/0x2 [mod]
a b 12/13 [030] 79090.376153: probe:f: (ffffffffc0feebe0) dev="vlan100" skb=0xffff x=0x44
\tffffffff85070e60 __dev_queue_xmit+0x1 ([kernel.kallsyms])""".splitlines()
FORMATS = st.sampled_from(list(SCANNERS))
BITS = [b"0x", b"[", b"]", b"(", b"=", b'"', b":", b" ", b"\t", b"->", b"{", b"\0", b"9" * 30, b"-"]


@st.composite
def damaged(draw):
    line = draw(st.sampled_from(REAL + PWRU))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(line)))
        drop = draw(st.integers(0, 12))
        line = line[:at] + draw(st.sampled_from([*BITS, b""])) + line[at + drop :]
    return line


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(damaged(), max_size=12), FORMATS, st.sampled_from([1, 3, 1000]))
def test_damaged_lines_are_counted_or_read(lines, kind, rows):
    data = b"\n".join(lines)
    with gso.TraceReader(io.BytesIO(data), kind, rows=rows) as reader:
        batches = list(reader)
    assert sum(map(len, batches)) + batches[-1].damaged <= len(lines) + data.count(b"\\n")
    for batch in batches:
        gso.validate_batch(batch.state)
        for name in ("function", "stack", "flow", "reason"):
            batch.texts(name)
        for index in range(len(batch)):
            gso.validate(batch.skb_state(index))


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(damaged(), max_size=30), FORMATS, st.integers(1, 5))
def test_batches_of_any_size_hold_the_same_events(lines, kind, rows):
    data = b"\n".join(lines)
    whole = gso.read_trace(io.BytesIO(data), kind)
    with gso.TraceReader(io.BytesIO(data), kind, rows=rows) as reader:
        batches = list(reader)
    for name in whole.columns:
        parts = [getattr(batch, name) for batch in batches]
        assert np.concatenate(parts).tolist() == getattr(whole, name).tolist(), name
    assert np.concatenate([batch.state for batch in batches]).tolist() == whole.state.tolist()
    assert batches[-1].damaged_lines == whole.damaged_lines


SHAPES = [
    *REAL,
    *PWRU,
    b"0xffff888100 3 <empty>:0 4026531840 0 eth0:2 0x0800 1600 1512 ns 1.2.3.4:5->6.7.8.9:1(udp) f",
    b"0xffff888100 3 a b:7 99887766 4026531840 0 lo:1 0x86dd 9 12 1.2.3.4:5->6.7:1(udp) g(R) k=1",
    b"0xffff888100 3 <empty>:0 4026531840 0 eth0:2 0x0800 1600 1512 ip_rcv ip_list_rcv+0x1 len=7",
    b"0xffff888100 3 <empty>:0 [0x1,0x2] 1.2.3.4:5->6.7.8.9:1(udp) ip_rcv (2) list reason: A",
    b"0xffff888100 3 [a b] ip_rcv 123 netns=1 proto=8 1.2.3.4:5->6.7.8.9:1(udp) 5.5:1->6.6:2(udp)",
    b"a 12 [030] 1.000001: skb:kfree_skb: skbaddr=ffffffff protocol=2048 location=f+0x1 reason: B",
    b"a-12 [030] d..1. 1.000001: r: (f+0x1 <- g) arg1=0xffffffea skb=ffff inner_mac_header=44",
    b" => ip_output",
    b"SKB CPU PROCESS NETNS MARK IFACE PROTO MTU LEN NETNS NAME FUNC CALLER",
    b"SKB CPU PROCESS NETNS MARK IFACE PROTO MTU LEN TUPLE FUNC",
]


@st.composite
def alike(draw):
    """Lines that differ from those before them in few places."""
    bases = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    words = st.sampled_from(b" ".join(SHAPES).split() + BITS)
    lines = []
    for base in draw(st.lists(st.sampled_from(bases), max_size=20)):
        parts = re.split(rb"(?<=[ =:])|(?=[ =:])", base)
        for _ in range(draw(st.integers(0, 2))):
            at = draw(st.integers(0, len(parts) - 1))
            parts[at : at + draw(st.integers(0, 2))] = [draw(words)]
        lines.append(b"".join(parts))
    return b"\n".join(lines)


@settings(max_examples=examples(1000), deadline=None)
@given(alike(), st.sampled_from(["pwru", "perf"]), st.sampled_from([3, 1000]))
def test_lines_mean_the_same_whatever_came_before_them(data, kind, rows):
    with gso.TraceReader(io.BytesIO(data), kind, rows=rows) as reader:
        quick = list(reader)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GSO_LINE_TEMPLATES", "0")
        with gso.TraceReader(io.BytesIO(data), kind, rows=rows) as reader:
            slow = list(reader)
    for one, other in zip(quick, slow, strict=True):
        for name in one.columns:
            assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
        assert one.state.tolist() == other.state.tolist()
        assert (one.lines, one.damaged, one.damaged_lines, one.lost, one.relative) == (
            *(other.lines, other.damaged, other.damaged_lines, other.lost, other.relative),
        )


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(damaged(), max_size=30), FORMATS, st.integers(30, 1500), st.integers(2, 3))
def test_threads_read_the_same(lines, kind, size, threads):
    data = b"\n".join(lines)
    whole = gso.read_trace(io.BytesIO(data), kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gso.traces.reader._PIECE", size)
        patch.setattr("gso.traces.source._BUFFER", 64)
        patch.setattr("gso.traces.source._SAMPLE", 64)
        split = gso.read_trace(io.BytesIO(data), kind, threads=threads)
    assert split.state.tolist() == whole.state.tolist()
    for name in whole.columns:
        assert getattr(split, name).tolist() == getattr(whole, name).tolist(), name
    told = [(t.lines, t.damaged, t.damaged_lines, t.lost, t.relative) for t in (split, whole)]
    assert told[0] == told[1]


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(GsoError):
        gso.read_trace(io.BytesIO(data))


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(damaged(), max_size=30), FORMATS)
def test_whatever_was_read_can_be_diagnosed_and_reported(lines, kind):
    trace = gso.read_trace(io.BytesIO(b"\n".join(lines)), kind)
    diagnosis = gso.diagnose(trace)
    assert sum(case.packets for case in diagnosis.cases) <= len(trace)
    assert all(line.isprintable() for line in report("log", diagnosis))
    json.dumps(as_json([("log", diagnosis)]))
    assert page([("log", diagnosis)]).endswith("</html>\n")
