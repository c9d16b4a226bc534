"""Lines that were cut short, the next one going on without a line feed: never one wrong event."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples

META = "netns=4026531840 mark=0x0 ifindex=7 proto=8 mtu=1600 len={n}"
COLUMNS = "4026531840 0           eth0:2      0x0800 1600  {n} "
FLOW = "192.0.2.1:33259->198.51.100.2:5501(udp)"
OFFSETS = "inner_mac_header=0x44 transport_header=0x46 data_len={n} len=1544"
DUMP = """\
[  812.123460] skb len={n} headroom=68 headlen=1532 tailroom=0
[  812.123460] mac=(68,-18) mac_len=14 net=(50,20) trans=70
[  812.123460] shinfo(txflags=0 nr_frags=1 gso(size={n} type=1281 segs=2))
[  812.123460] csum(0x100066 start=102 offset=16 ip_summed=3 complete_sw=0 valid=0 level=0)
[  812.123460] hash(0x0 sw=0 l4=0) proto=0x0800 pkttype=0 iif=4
[  812.123460] priority=0x0 mark=0x0 alloc_cpu=1 vlan_all=0x0
[  812.123460] encapsulation=1 inner(proto=0x0004, mac=68, net=82, trans=102)
[  812.123470] dev name=vlan100 feat=0x00000516401d7c69"""
WHOLE = ("dmesg", "retis", "dropwatch")
"""Formats whose events have several lines, each of them once."""
LINES = {
    "pwru": [
        f"0xffff947712f34400 9 [<empty>] kfree_skb_reason(SKB_DROP_REASON_X) {META} {FLOW}",
        f"0xffff947712f34401 19 [my prog] skb_push 123456 {META} {FLOW}",
        f"13:05:01.250 0xffff888100000000 3 [a] kfree_skb(2) {META}",
        f"0xffff888100000000 3   ~r/bin/curl:1234 {COLUMNS} {FLOW} ip_rcv inner_mac_header=68",
        f"0xffff888100000000 3 <empty>:0 99887766 {COLUMNS} {FLOW} kfree_skb_reason(X)",
        f"2026-01-02T13:05:01.250 0xffff888100000000 3 a b:7 {COLUMNS} {FLOW} ip6_output",
    ],
    "perf": [
        "swapper     0 [030] 79090.376153:    probe:ip_vs_in_hook: (ffffffffc0feebe0) "
        f'dev="vlan100" skb=0xffff9ca661e90200 {OFFSETS}',
        "a b 12/13 [030] 79090.376153: skb:kfree_skb: skbaddr=0xffff9ca661e90200 protocol=2048 "
        "location=f+0x1 reason: NOT_SPECIFIED",
    ],
    "ftrace": [
        f"   a-12 [030] d..1. 1.000001: r: (f+0x1 <- g) arg1=0xffffffea skb=0xffff9ca6 {OFFSETS}",
        "   b-7 [003] d..1. 1.000002: kfree_skb: skbaddr=0xffff9ca6 protocol=2048 location=f+0x1 "
        "reason: NOT_SPECIFIED",
    ],
    "dmesg": DUMP.split("\n"),
    "retis": [
        "1231{n} (1) [net-0000] 26822/26823 [k] skb_push #b32e (skb ffff8ca396cf4600)",
        "  ns 0x1/4026531840 if 4 (wlp82s0) rxif 3",
        "  skb [csum partial (start 102 off 16) hash 0x51d2 len {n} priority 0] gso [size {n}]",
        "1231{n} (1) [ping] 26822 [tp] skb:kfree_skb #b32e (skb ffff8ca396cf4600) drop (reason X)",
    ],
    "nettrace": [
        "[2553.203430] UDP: 192.0.2.9:51136 -> 192.0.2.1:53 *reason: NO_SOCKET, udp_rcv+0x132*",
        "[3314844.867784] [ip_output  ] TCP: 192.0.2.1:40392 -> 198.51.100.2:22 seq:1, ack:{n}",
    ],
    "dropwatch": [
        "{n} drops at validate_xmit_skb+1a2 (0xffffffffa2b8c1d2) [software]",
        "drop at: validate_xmit_skb+0x158/0x340 (0xffffffff81a3b0c0)",
        "original length: {n}",
        "2 drops at ttl_value_is_too_small [hardware]",
    ],
    "tcpdrop": [
        "14:46:49 0 4  192.0.2.10:80 > 198.51.100.55:33280 SYN_SENT (SYN|ACK)  NETFILTER_DROP (12)",
        "\tb'sk_skb_reason_drop+0x1e4'",
        "14:46:50 4711  6  2001:db8::1:80 > 2001:db8::2:33280    ESTABLISHED (ACK)",
    ],
    "perf-trace": [
        "0.000 swapper/3/0 skb:kfree_skb(skbaddr: 0xffff9ca661e90200, location: 0xffffffff81a3b0c0,"
        " protocol: 2048, reason: SKB_DROP_REASON_NO_SOCKET)",
        '1.250 curl/506057 net:net_dev_start_xmit(name: "eth0", skbaddr: 0xffff9ca661e90300, '
        "len: 1544, data_len: {n}, ip_summed: 3, gso_size: 1448, gso_type: 1)",
    ],
    "bpftrace": [
        "kprobe:skb_udp_tunnel_segment skb=0xffff9ca661e90200 len={n} gso_size=1448 "
        "inner_mac_header=68",
        "@drops[SKB_DROP_REASON_NO_SOCKET, udp_rcv]: {n}",
        "@[SKB_CONSUMED]: 34",
    ],
}


UNKNOWN = ("", -1, 0)


def events(text: str, format: str):
    """Return (the trace, events as (values of columns, values of fields))."""
    trace = gso.read_trace(io.BytesIO(text.encode()), format)
    columns = {name: getattr(trace, name).tolist() for name in ("skb", "reason", "device", "cpu")}
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return trace, [(row, trace.skb_state(index).known) for index, row in enumerate(rows)]


def is_part(event, other) -> bool:
    """Whether all that is known of an event is so of the other one."""
    (columns, fields), (all_columns, all_fields) = event, other
    known = {name: value for name, value in columns.items() if value not in UNKNOWN}
    return known.items() <= all_columns.items() and fields.items() <= all_fields.items()


@st.composite
def cut(draw):
    """A log, and the same log with one of its lines cut and the next one glued to it."""
    format = draw(st.sampled_from(list(LINES)))
    number = st.integers(1400, 1600)
    if format in WHOLE:
        lines = LINES[format] * 3
    else:
        lines = draw(st.lists(st.sampled_from(LINES[format]), min_size=2, max_size=5))
    lines = [line.format(n=draw(number)) for line in lines]
    at = draw(st.integers(0, len(lines) - 2))
    keep = draw(st.integers(1, len(lines[at]) - 1))
    glued = [*lines[:at], lines[at][:keep] + lines[at + 1], *lines[at + 2 :]]
    return format, "\n".join([*lines, ""]), "\n".join([*glued, ""])


@settings(max_examples=examples(2000), deadline=None)
@given(cut())
def test_what_is_read_of_two_lines_in_one_is_of_one_of_them(logs):
    format, whole, glued = logs
    trace, read = events(glued, format)
    _, right = events(whole, format)
    for event in read:
        assert any(is_part(event, other) for other in right), event
    # Two events are in the line; one that was cut before its own header leaves no trace of itself.
    assert len(right) - len(read) <= (2 if trace.damaged else 1)


def columns_by_line(lines: list[str], format: str):
    """What is read of each line that begins an event."""
    trace, read = events("\n".join([*lines, ""]), format)
    texts = zip(trace.texts("function"), trace.texts("process"), trace.time.tolist(), strict=True)
    return {
        line: (*known, *more)
        for line, known, more in zip(trace.line.tolist(), read, texts, strict=True)
    }


@settings(max_examples=examples(1000), deadline=None)
@given(cut().filter(lambda logs: logs[0] not in WHOLE))
def test_a_line_that_was_cut_does_not_change_how_later_ones_are_read(logs):
    format, whole, glued = logs
    lines, short = whole.splitlines(), glued.splitlines()
    at = next(i for i, line in enumerate(short) if line != lines[i])
    # The name of a process that has a blank in it may seem to have a prefix.
    after = [line.replace("a b", "ab") for line in lines[at + 2 :]]
    expected = columns_by_line([*lines[: at + 2], *after], format)
    found = columns_by_line([*short[: at + 1], *after], format)
    for line in range(at + 3, len(lines) + 1):
        assert found.get(line - 1) == expected.get(line), (line, short[at])


@pytest.mark.parametrize(
    ("format", "line"),
    [
        (
            "perf",
            "sh     0 [030] 79090.376153:  probe:f: (ffffffffc0feebe0) skb=0xffff9ca gso_size=9",
        ),
        ("ftrace", "   a-12 [030] d..1. 1.000001: r: (f+0x1/0x2) skb=0xffff9ca6 gso_size=9"),
        ("pwru", "0xffff888100000000 3 [a] kfree_skb netns=1 gso_size=9"),
        ("bpftrace", "kprobe:skb_udp_tunnel_segment skb=0xffff9ca661e90200 gso_size=9"),
    ],
)
def test_a_number_at_the_end_of_a_line_may_go_on_in_one_that_was_not_read(format, line):
    wrapped = f"{line} len=30\n00 data_len=7\n"
    trace, [(_, known)] = events(wrapped, format)
    assert (known.get("gso_size"), known.get("len"), trace.damaged) == (9, None, 1)
    _, [(_, known)] = events(f"{line} len=30\n", format)
    assert known["len"] == 30


def test_the_length_of_pwru_may_go_on_in_the_next_line():
    line = (
        "0xffff888100000000 9 [<empty>] ip_rcv netns=4026531840 mark=0x0 ifindex=7 proto=8 mtu=16"
    )
    trace, [(_, known)] = events(f"{line} len=15\n58 1.2.3.4:5->6.7.8.9:1(udp)\n", "pwru")
    assert ("len" in known, trace.damaged) == (False, 1)
    trace, [(_, known)] = events(f"{line} len=15\n", "pwru")
    assert (known["len"], trace.damaged) == (15, 0)


@pytest.mark.parametrize("before", [0, 3])
def test_a_second_time_in_a_line_is_seen_whatever_came_before(before):
    line = "a-12 [030] d..1. 1.000001: r: (f+0x1 <- g) skb=ffff9ca6 inner_mac_header=44\n"
    trace, read = events(line * before + line.replace("r:", "39.867653:") + line, "perf")
    assert (len(read), trace.damaged) == (before + 1, 1)


def test_a_line_that_was_cut_is_no_prefix_of_those_after_it():
    line = LINES["perf"][0].format(n=1400) + "\n"
    start = line[: line.index(":") + 1]
    trace, read = events(start + line * 3, "perf")
    assert len(read) == 3
    assert trace.texts("process").tolist() == ["swapper"] * 3
