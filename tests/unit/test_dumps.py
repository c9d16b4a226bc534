"""Dumps of sk_buffs in the kernel's log: whose lines they are, and of what packet."""

from __future__ import annotations

import io
from itertools import chain, zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gso


def dump(inner_mac: int, **more: int) -> list[str]:
    """A dump of a GUE packet whose inner_mac_header should be 82."""
    values = {"len": 2992, "size": 1448, "type": 1281, "summed": 3, **more}
    return [
        f"skb len={values['len']} headroom=50 headlen=96 tailroom=0",
        "mac=(36,14) mac_len=14 net=(50,20) trans=70",
        f"shinfo(txflags=0 nr_frags=2 gso(size={values['size']} type={values['type']} segs=2))",
        f"csum(0x100066 start=102 offset=16 ip_summed={values['summed']} complete_sw=0 valid=0)",
        "hash(0x0 sw=0 l4=0) proto=0x0800 pkttype=0 iif=4",
        "priority=0x0 mark=0x0 alloc_cpu=1 vlan_all=0x0",
        f"encapsulation=1 inner(proto=0x0008, mac={inner_mac}, net=82, trans=102)",
        "dev name=eth1 feat=0x00000516401d7c69",
    ]


RIGHT, WRONG = dump(82), dump(68)
WARNING = [
    "------------[ cut here ]------------",
    "eth1: caps=(0x00000516401d7c69, 0x0000000000000000)",
    "WARNING: CPU: 3 PID: 1234 at net/core/dev.c:3258 skb_warn_bad_offload+0x78/0xe0",
    "Call Trace:",
    " __skb_gso_segment+0xf4/0x120",
    " validate_xmit_skb+0x14c/0x310",
]
OF_OLD = [
    "------------[ cut here ]------------",
    "WARNING: CPU: 3 PID: 0 at net/core/dev.c:2437 skb_warn_bad_offload+0xcd/0xda",
    "team0: caps=(0x80000048c1, 0x0) len=1646 data_len=1590 gso_size=1368 gso_type=1 ip_summed=1",
    "Call Trace:",
    " [<ffffffff9b16b7b7>] skb_warn_bad_offload+0xcd/0xda",
    " [<ffffffff9b030be9>] __skb_gso_segment+0x79/0x110",
]


def read(lines: list[str], *, stamped: bool = True) -> gso.Trace:
    stamp = "[  812.123460] " if stamped else ""
    text = "".join(f"{stamp}{line}\n" for line in lines)
    return gso.read_trace(io.BytesIO(text.encode()))


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("lines", [RIGHT + WRONG, WRONG + RIGHT, WRONG], ids=["a", "b", "c"])
def test_a_log_with_its_newest_line_first_mixes_no_dumps(lines, stamped):
    trace = read(lines[::-1], stamped=stamped)
    diagnosis = gso.diagnose(trace)
    assert not diagnosis.cases
    assert not diagnosis.clean
    assert trace.damaged > 0
    assert set(trace.state["inner_mac_header"].tolist()) == {-(2**31)}


@pytest.mark.parametrize(("one", "other"), [(RIGHT, WRONG), (WRONG, RIGHT)])
def test_dumps_of_two_processors_at_a_time_are_not_mixed(one, other):
    trace = read(list(chain.from_iterable(zip(one, other, strict=True))))
    diagnosis = gso.diagnose(trace)
    assert not diagnosis.cases
    assert not diagnosis.clean
    assert diagnosis.damaged > 0


@given(turns=st.lists(st.booleans(), max_size=16))
def test_however_two_dumps_are_mixed_no_packet_gets_values_of_both(turns):
    left, mixed = [iter(dump(68, len=2000)), iter(dump(82, len=3000, type=1025))], []
    for turn in turns:
        mixed += [line for line in [next(left[turn], None)] if line]
    mixed += [line for pair in zip_longest(*left) for line in pair if line]
    trace = read(mixed)
    for state in trace.state:
        seen = {int(state[name]) for name in ("len", "gso_type", "inner_mac_header")} - {-(2**31)}
        assert seen <= {2000, 1281, 68} or seen <= {3000, 1025, 82}, mixed


def test_a_warning_before_its_packet_is_of_that_packet():
    trace = read(OF_OLD + OF_OLD)
    assert trace.function.tolist() == ["skb_warn_bad_offload"] * 2
    assert trace.device.tolist() == ["team0", "team0"]
    assert trace.state["len"].tolist() == [1646, 1646]
    [case] = gso.diagnose(trace).cases
    assert case.packets == 2
    assert "ip_summed is 1" in case.message
    assert case.stack == ("skb_warn_bad_offload", "__skb_gso_segment")


def test_dumps_of_a_frag_list_are_no_packets_and_the_warning_is_of_their_head():
    members = ["skb fraglist:", *dump(0, len=1448, size=0, type=0, summed=0)]
    trace = read([*dump(82, summed=0), *members, *members[1:], *WARNING, *RIGHT])
    assert trace.function.tolist() == ["skb_warn_bad_offload", "skb_dump"]
    assert trace.state["len"].tolist() == [2992, 2992]
    assert trace.state["inner_mac_header"].tolist() == [82, 82]
    assert trace.stack[0].startswith("__skb_gso_segment")
    assert not trace.damaged
    assert [trace.skb_state(at).frag_list for at in (0, 1)] == [1, None]
    [case] = gso.diagnose(trace).cases
    assert case.packets == 1


def test_the_first_line_of_a_dump_alone_is_not_judged():
    diagnosis = gso.diagnose(read(RIGHT[:1]))
    assert not diagnosis.cases
    assert not diagnosis.clean
    assert diagnosis.judged == {"data-len": 1}


@pytest.mark.parametrize("stamped", [True, False])
def test_words_after_a_dump_are_counted_and_a_crash_is_not(stamped):
    crash = ["CPU: 3 UID: 0 PID: 1 Comm: a Not tainted 6.12.0 #1", "RSP: 0018:ffffb3f4c0003b00"]
    more = ["sk family=2 type=1 proto=6", *crash, "x29: ffffffc081d8b6d0 x28: 0000", "sp : ffff"]
    assert read([*RIGHT, *more], stamped=stamped).damaged == 0
    text = "".join(f"{line}\n" for line in RIGHT) + "words of somebody\n"
    diagnosis = gso.diagnose(gso.read_trace(io.BytesIO(text.encode())))
    assert (diagnosis.damaged, diagnosis.clean) == (1, False)


@pytest.mark.parametrize(("gso_type", "known"), [(1, 1), (2, None), (0x1281, None)])
def test_bits_of_gso_type_that_old_kernels_number_otherwise_are_unknown(gso_type, known):
    text = (
        "[  462.449889] eth0: caps=(0x4197ba9, 0x1b583b) len=2962 data_len=1376 gso_size=1480 "
        f"gso_type={gso_type} ip_summed=0\n"
    )
    trace = gso.read_trace(io.BytesIO(text.encode()))
    assert trace.skb_state(0).known.get("gso_type") == known
    assert trace.skb_state(0).known["gso_size"] == 1480


@pytest.mark.parametrize(
    "line",
    [
        "12:00:01.123456 IP 192.0.2.1.5501 > 198.51.100.2.5501: UDP, length 2960",
        "12:00:01.123456 IP6 2001:db8::1.80 > 2001:db8::2.4000: Flags [.], ack 1, length 0",
        "Nov  2 11:12:13.123: default/a:43210 (ID:123) -> default/b:80 (ID:456) FORWARDED",
        "Nov  2 11:12:13.123: 192.0.2.1:40 (world) <> default/b:80 (ID:456) DENIED",
    ],
)
@pytest.mark.parametrize("stamped", [True, False])
def test_lines_of_tools_that_look_at_packets_are_counted(line, stamped):
    stamp = "[  812.123460] " if stamped else ""
    dumped = "".join(f"{stamp}{text}\n" for text in RIGHT)
    for text in (f"{dumped}{line}\n", f"{line}\n{dumped}"):
        diagnosis = gso.diagnose(gso.read_trace(io.BytesIO(text.encode())))
        assert (diagnosis.events, diagnosis.damaged, diagnosis.clean) == (1, 1, False)


def test_a_crash_without_times_is_read():
    text = (
        "kernel BUG at net/core/skbuff.c:4219!\ninvalid opcode: 0000 [#1] SMP NOPTI\n"
        "CPU: 12 PID: 0 Comm: swapper/12 Not tainted 5.15.0-91-generic #101-Ubuntu\n"
        "RIP: 0010:skb_segment+0xc53/0xe30\nCall Trace:\n <IRQ>\n tcp_gso_segment+0xf1/0x4f0\n"
    )
    diagnosis = gso.diagnose(gso.read_trace(io.BytesIO(text.encode())))
    assert diagnosis.damaged == 0
    assert [case.rules for case in diagnosis.cases] == [("crash-in-segmenter",)]
