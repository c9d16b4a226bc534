"""A dump of ftrace's buffer in the kernel's log has the events that the buffer had."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples

EVENTS = (
    "p_x: (__dev_queue_xmit+0x0/0x510) skb=0xffff9ca6 len={} mac_header=36 inner_mac_header=68",
    "kfree_skb: skbaddr=0xffff9ca6 protocol=2048 location=validate_xmit_skb+0x158/0x340 reason: X",
    "r_x: (a_function+0x1/0x2 <- skb_udp_tunnel_segment) arg1=0xffffffea",
    "bputs: 0xffffffff81: words",
)
comms = st.text("abcdefghijklmnopqrstuvwxyz/:_.", min_size=1, max_size=8) | st.just("<idle>")
events = st.tuples(
    comms,
    st.integers(0, 99999),
    st.integers(0, 300),
    st.sampled_from(["d.h1.", "..s2.", "dNZff", "....."]),
    st.integers(0, 10**12),
    st.sampled_from(EVENTS),
    st.sampled_from([" ", "+", "!"]),
)


def in_buffer(event) -> str:
    comm, pid, cpu, flags, time, text, _ = event
    stamp = f"{time // 10**6}.{time % 10**6:06}"
    return f"{comm:>16}-{pid:<7} [{cpu:03}] {flags} {stamp:>12}: {text.format(time % 2000)}"


def in_dump(event) -> str:
    comm, pid, cpu, flags, time, text, mark = event
    return f"{comm:>8.8}-{pid:<7} {cpu:3}{flags} {time:4}us{mark}: {text.format(time % 2000)}"


def read(text: str):
    trace = gso.read_trace(io.BytesIO(text.encode()))
    columns = {name: getattr(trace, name).tolist() for name in trace.columns if name != "line"}
    return trace.format, trace.damaged, columns, trace.state.tolist()


@settings(max_examples=examples(100), deadline=None)
@given(found=st.lists(events, min_size=1, max_size=6), stamp=st.booleans(), stack=st.booleans())
def test_a_dump_in_the_kernels_log_is_the_buffer(found, stamp, stack):
    around = "[  813.000001] " if stamp else ""
    stacks = [" => kfree_skb", " => validate_xmit_skb"] if stack else []
    dump = ["Dumping ftrace buffer:", "---------------------------------"]
    lines = [line for event in found for line in (in_dump(event), *stacks)]
    text = "".join(f"{around}{line}\n" for line in [*dump * stamp, *lines, *dump[1:] * stamp])
    buffer = [line for event in found for line in (in_buffer(event), *stacks)]
    assert read(text) == read("\n".join(["# tracer: nop", *buffer, ""]))
