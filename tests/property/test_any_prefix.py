"""What stands before every line of a log changes nothing, whatever tool wrote it there."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples

PWRU = """\
SKB        CPU PROCESS   FUNC
0xffff9477 9   <empty>:0  4026531840 0 eth0:2 0x0800 1600 1558  192.0.2.10:3->198.51.100.1:5(udp) f
0xffff9477 9   <empty>:0  4026531840 0 eth0:2 0x0800 1600 1558  192.0.2.10:3->198.51.100.1:5(udp) g
(struct sk_buff){
 .len = (unsigned int)1544,
 .inner_mac_header = (__u16)68,
}
0xffff9478 9   <empty>:0  4026531840 0 eth0:2 0x0800 1600 1558  192.0.2.10:3->198.51.100.1:5(udp) h
validate_xmit_skb
ip_vs_tunnel_xmit\t[ip_vs]"""
FTRACE = """\
# tracer: nop
   <idle>-0     [001] ..s.   155.578474: f: (f+0x0/0x510) skb=0xffff9ca6 dev="a" len=1434
   <idle>-0     [001] ..s.   155.578490: kfree_skb: skbaddr=0xffff9ca6 reason: NOT_SPECIFIED
   <idle>-0     [001] ..s.   155.578495: <stack trace>
 => kfree_skb_reason
 => ip_vs_tunnel_xmit"""
words = st.text("abcdefghijklmnopqrstuvwxyzINFOWARN0123456789-_/.", min_size=1, max_size=8)
marks = st.sampled_from([" ", "  ", ": ", " | ", "] ", "\t", ":", " - ", ","])
prefixes = st.lists(st.tuples(words, marks), min_size=1, max_size=5).map(
    lambda parts: "".join(map("".join, parts)).rstrip() + " "
)


def counted(prefix: str, number: int) -> str:
    """Return the prefix with another number of the same kind where it has one."""
    return "".join(str((int(c) + number) % 10) if c.isdigit() else c for c in prefix)


def events(text: str):
    trace = gso.read_trace(io.BytesIO(text.encode() + b"\n"))
    columns = {name: getattr(trace, name).tolist() for name in trace.columns if name != "reader"}
    return trace.damaged, trace.lines, columns, trace.state.tolist()


@settings(max_examples=examples(200), deadline=None)
@given(prefix=prefixes, log=st.sampled_from([PWRU, FTRACE]), changes=st.booleans())
def test_a_prefix_of_an_unknown_tool_changes_nothing(prefix, log, changes):
    lines = log.split("\n")
    text = "\n".join(counted(prefix, n * changes) + line for n, line in enumerate(lines))
    assert events(text) == events(log)
