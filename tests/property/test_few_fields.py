"""Events of tools that show few fields, printed from random values and read back."""

from __future__ import annotations

import io
import json

from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples

NAME = st.from_regex(r"[a-z]{1,6}_[a-z0-9_]{1,12}", fullmatch=True)
REASON = st.sampled_from(["NO_SOCKET", "NOT_SPECIFIED", "NETFILTER_DROP", "TCP_CSUM"])
POINTER = st.integers(0xFFFF800000000000, 0xFFFFFFFFFFFFF000)
PORT = st.integers(0, 65535)
ADDRESS = st.ip_addresses(v=4).map(str)
DEVICE = st.sampled_from(["eth0", "vxlan.100", "veth1234"])
LENGTH = st.integers(0, 1 << 20)
EVENT = st.fixed_dictionaries(
    {
        **{"function": NAME, "place": NAME, "reason": REASON, "pointer": POINTER, "cpu": PORT},
        **{"source": ADDRESS, "target": ADDRESS, "sport": PORT, "dport": PORT, "device": DEVICE},
        **{"len": LENGTH, "gso_size": PORT, "time": st.integers(0, 10**15), "count": LENGTH},
        "stack": st.lists(NAME, max_size=4),
    }
)


def read(text: str, format: str) -> gso.Trace:
    trace = gso.read_trace(io.BytesIO(text.encode()), format)
    assert trace.damaged == 0
    return trace


def expected(events, *names):
    return [tuple(event[name] for name in names) for event in events]


def flows(events):
    return [f"{e['source']}:{e['sport']}->{e['target']}:{e['dport']}(tcp)" for e in events]


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=8))
def test_retis(events):
    text = ""
    for e in events:
        text += f"{e['time']} ({e['cpu']}) [a b] 1/2 [k] {e['function']} #1 (skb {e['pointer']:x})"
        text += f" drop (reason {e['reason']})\n"
        text += "".join(f"    {name}+0x1\n" for name in e["stack"])
        text += f"  {e['source']}.{e['sport']} > {e['target']}.{e['dport']} ttl 1 proto TCP (6)\n"
        text += f"  ns 0x1/7 if 4 ({e['device']}) rxif 3\n  skb [csum none len {e['len']} "
        text += f"priority 0] gso [type 0x1 size {e['gso_size']}]\n\n"
    trace = read(text, "retis")
    found = zip(trace.function, trace.reason, trace.device, strict=True)
    assert list(found) == expected(events, "function", "reason", "device")
    found = zip(trace.time.tolist(), trace.cpu.tolist(), trace.skb.tolist(), strict=True)
    assert list(found) == expected(events, "time", "cpu", "pointer")
    assert trace.flow.tolist() == flows(events)
    assert trace.stack.tolist() == ["\n".join(e["stack"]) for e in events]
    found = zip(trace.state["len"].tolist(), trace.state["gso_size"].tolist(), strict=True)
    assert list(found) == expected(events, "len", "gso_size")


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=8), st.booleans())
def test_retis_in_json(events, tight):
    text = ""
    for e in events:
        event = {
            "common": {"timestamp": e["time"], "smp_id": e["cpu"], "task": {"comm": "a b"}},
            "kernel": {"symbol": e["function"], "stack_trace": [f"{n}+0x1" for n in e["stack"]]},
            "skb-tracking": {"skb": e["pointer"], "orig_head": 1},
            "skb-drop": {"drop_reason": e["reason"]},
            "skb": {"meta": {"len": e["len"], "ip_summed": 0}, "gso": {"size": e["gso_size"]}},
            "dev": {"name": e["device"]},
        }
        text += json.dumps(event, separators=(",", ":") if tight else None) + "\n"
    trace = read(text, "retis-json")
    found = zip(trace.function, trace.reason, trace.device, strict=True)
    assert list(found) == expected(events, "function", "reason", "device")
    found = zip(trace.time.tolist(), trace.cpu.tolist(), trace.skb.tolist(), strict=True)
    assert list(found) == expected(events, "time", "cpu", "pointer")
    assert trace.stack.tolist() == ["\n".join(e["stack"]) for e in events]
    found = zip(trace.state["len"].tolist(), trace.state["gso_size"].tolist(), strict=True)
    assert list(found) == expected(events, "len", "gso_size")


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=8))
def test_dropwatch_and_tcpdrop(events):
    summary = "".join(
        f"{e['count'] + 1} drops at {e['place']}+1a (0xff) [software]\n" for e in events
    )
    trace = read(summary, "dropwatch")
    assert trace.location.tolist() == [e["place"] for e in events]
    assert trace.counts().tolist() == [e["count"] + 1 for e in events]
    drops = "".join(
        f"10:00:00 7  4  {e['source']}:{e['sport']} > {e['target']}:{e['dport']} CLOSE (ACK) "
        f"{e['reason']} (3)\n" + "".join(f"\tb'{name}+0x1'\n" for name in e["stack"]) + "\n"
        for e in events
    )
    trace = read(drops, "tcpdrop")
    assert trace.flow.tolist() == flows(events)
    assert trace.reason.tolist() == [e["reason"] for e in events]
    assert trace.stack.tolist() == ["\n".join(e["stack"]) for e in events]


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=8))
def test_nettrace_perf_trace_and_bpftrace(events):
    lines = ""
    for e in events:
        addresses = f"{e['source']}:{e['sport']} -> {e['target']}:{e['dport']}"
        lines += (
            f"******** {e['pointer']:x} ******\n[1.5] [{e['function']:20}] TCP: {addresses} seq:1"
        )
        lines += f" *reason: {e['reason']}, {e['place']}+0x1*\n"
    trace = read(lines, "nettrace")
    found = zip(trace.function, trace.reason, trace.location, trace.skb.tolist(), strict=True)
    assert list(found) == expected(events, "function", "reason", "place", "pointer")
    assert trace.flow.tolist() == flows(events)
    lines = "".join(
        f"  1.500 a/7 skb:{e['function']}(skbaddr: 0x{e['pointer']:x}, len: {e['len']}, "
        f"gso_size: {e['gso_size']}, reason: {e['reason']})\n"
        for e in events
    )
    trace = read(lines, "perf-trace")
    found = zip(trace.function, trace.reason, trace.skb.tolist(), strict=True)
    assert list(found) == expected(events, "function", "reason", "pointer")
    lines = "".join(
        "@[\n" + "".join(f"    {name}+1\n" for name in e["stack"]) + f"]: {e['count'] + 1}\n"
        for e in events
    )
    trace = read(lines, "bpftrace")
    assert trace.stack.tolist() == ["\n".join(e["stack"]) for e in events]
    assert trace.counts().tolist() == [e["count"] + 1 for e in events]


KEYS = st.lists(
    st.sampled_from(["2", "iperf3", "my_program", "kworker/0:1", "SKB_DROP_REASON_TCP_CSUM"]),
    max_size=3,
    unique=True,
)


@settings(max_examples=examples(100))
@given(
    KEYS,
    KEYS,
    st.lists(st.sampled_from(["kfree_skb_reason", "validate_xmit_skb", "ip_output"]), min_size=1),
    st.integers(1, 9999),
    st.booleans(),
)
def test_a_maps_key_may_have_more_than_a_stack(before, behind, stack, count, stripped):
    frames = "".join(f"    {name}+1\n" for name in stack)
    head = "".join(f"{key}, " for key in before)
    tail = "".join(f", {key}" for key in behind)
    text = f"@drops[{head.rstrip() if stripped else head}\n{frames}{tail}]: {count}\n"
    trace = read("Attaching 1 probe...\n" + text + "@[\n    f+1\n]: 3\n", "bpftrace")
    assert trace.damaged == 0
    assert trace.stack.tolist() == ["\n".join(stack), "f"]
    assert trace.counts().tolist() == [count, 3]
    reason = "SKB_DROP_REASON_TCP_CSUM"
    told = reason in before + behind
    assert trace.reason.tolist() == [reason if told else "", ""]
    assert trace.location.tolist() == ["", ""]
    assert trace.function.tolist() == ["kfree_skb" if reason in before else stack[0], "f"]


PROCESS = st.from_regex(r"[a-z][a-z:/ .-]{0,12}[a-z0-9]", fullmatch=True)
FRAME = st.one_of(
    NAME.map(lambda name: (name, f"{name} ([kernel.kallsyms])")),
    st.integers(0, 1 << 40).map(lambda at: ("", f"[0x{at:x}] (/usr/bin/python3.11)")),
    st.just(("", "[0] ([unknown])")),
)


@settings(max_examples=examples(200))
@given(
    st.lists(
        st.tuples(PROCESS, st.integers(1, 99999), POINTER, st.lists(FRAME, max_size=4)),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
)
def test_perf_trace_with_any_process_and_stack(events, empty):
    """Names of processes may have colons, and frames of programs no name."""
    lines = ""
    for number, (process, pid, pointer, frames) in enumerate(events):
        lines += (
            f"{number:6}.250 {process}/{pid} skb:kfree_skb(skbaddr: 0x{pointer:x}, reason: 2)\n"
        )
        lines += "".join(f"{'':39}{text}\n" for _, text in frames)
        lines += f"{number:6}.500 {process}/{pid} net:netif_rx_exit()\n" if empty else ""
    trace = read(lines, "perf-trace")
    drops = trace.function == "kfree_skb"
    assert trace.process[drops].tolist() == [process for process, *_ in events]
    assert trace.skb[drops].tolist() == [pointer for _, _, pointer, _ in events]
    stacks = ["\n".join(name for name, _ in frames if name) for *_, frames in events]
    assert trace.stack[drops].tolist() == stacks
    assert len(trace) == len(events) * (1 + empty)
