"""Every line as its tool prints it is read as by an obvious reader, whatever stands around it."""

from __future__ import annotations

import io
import re

from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from reference.log_lines import READERS, Event

NAME = st.from_regex(r"[a-z]{2,6}_[a-z_]{2,10}", fullmatch=True)
COMM = st.sampled_from(["iperf", "curl", "kworker", "a"])
DEVICE = st.sampled_from(["eth0", "vxlan.100", "br_lan"])
REASON = st.sampled_from(["NOT_SPECIFIED", "NO_SOCKET", "NETFILTER_DROP", "SKB_BAD_GSO"])
SMALL = st.integers(1, 2000)
ADDRESS = st.ip_addresses(v=4).map(str)
EVENT = st.fixed_dictionaries(
    {
        **{"function": NAME, "place": NAME, "comm": COMM, "device": DEVICE, "reason": REASON},
        **{"skb": st.integers(0xFFFF800000000000, 0xFFFFFFFFFFFFF000), "pid": SMALL},
        **{"source": ADDRESS, "target": ADDRESS, "time": SMALL, "cpu": st.integers(0, 127)},
        **{"len": SMALL, "size": SMALL, "mac": SMALL, "net": SMALL, "trans": SMALL, "inner": SMALL},
        **{"drop": st.booleans(), "shape": st.integers(0, 3)},
        "stack": st.lists(NAME, max_size=3),
    }
)


def offsets(e) -> str:
    return (
        f"inner_mac_header={e['inner']} transport_header=0x{e['trans']:x} len={e['len']} "
        f"gso_size={e['size']}"
    )


def flow(e) -> str:
    return f"{e['source']}:{e['pid']}->{e['target']}:{e['size']}(udp)"


def pwru(e) -> list[str]:
    function = e["function"] + f"(SKB_DROP_REASON_{e['reason']})" * e["drop"]
    first = [
        f"0x{e['skb']:x} {e['cpu']} [{e['comm']}] {function} netns=4026531840 mark=0x0 proto=8 "
        f"len={e['len']} {flow(e)}",
        f"0x{e['skb']:x}  {e['cpu']}  [<empty>]  {function} {e['time']} mtu=1500 {offsets(e)}",
        f"0x{e['skb']:x} {e['cpu']} {e['comm']}:{e['pid']} 4026531840 0 {e['device']}:2 0x0800 "
        f"1600 {e['len']} {flow(e)} {function}",
        f"0x{e['skb']:x} {e['cpu']} ~r/{e['comm']}:{e['pid']} {e['time']} 4026531840 0 "
        f"{e['device']}:2 0x86dd 1600 {e['len']} {flow(e)} {function} "
        f"inner_mac_header={e['inner']} transport_header={e['trans']}",
    ][e["shape"]]
    return [first, *(f"{name}+0x1  \t[ip_vs]" for name in e["stack"])]


def traced(e, process: str, flags: str) -> str:
    return [
        f"{process} [{e['cpu']:03}] {flags}12.{e['time']:06}: probe:x: (ffffffffc0feebe0) "
        f'dev="{e["device"]}" skb=0x{e["skb"]:x} {offsets(e)}',
        f"{process} [{e['cpu']:03}] {flags}12.{e['time']:06}: x: ({e['function']}+0x4/0x510) "
        f"skb=0x{e['skb']:x} {offsets(e)}",
        f"{process} [{e['cpu']:03}] {flags}12.{e['time']:06}: kfree_skb: skbaddr=0x{e['skb']:x} "
        f"protocol=2048 location={e['place']}+0x158 reason: {e['reason']}",
        f"{process} [{e['cpu']:03}] {flags}12.{e['time']:06}: r: ({e['function']}+0x1 <- "
        f"{e['place']}) arg1=0xffffffea",
    ][e["shape"]]


def perf(e) -> list[str]:
    chain = [f"\t        ffffffff81a3b0c0 {name}+0x1 ([kernel.kallsyms])" for name in e["stack"]]
    return [traced(e, f"{e['comm']} {e['pid']}/{e['pid']}", ""), *chain]


def ftrace(e) -> list[str]:
    first = traced(e, f"{e['comm']:>16}-{e['pid']}", "d.h1. ")
    return [first, *(f" => {name}" for name in e["stack"])]


def bpftrace(e) -> list[str]:
    if e["drop"]:
        return [f"@drops[SKB_DROP_REASON_{e['reason']}, {e['place']}]: {e['len']}"]
    stack = [f"        {name}+{e['size']}" for name in e["stack"]]
    return [f"kprobe:{e['function']} skb=0x{e['skb']:x} {offsets(e)}", *stack]


def dropwatch(e) -> list[str]:
    if e["drop"]:
        return [f"{e['len']} drops at {e['place']}+1a2 (0xffffffffa2b8c1d2) [software]"]
    return [
        f"drop at: {e['place']}+0x158/0x340 (0xffffffff81a3b0c0)",
        *("origin: software", f"input port name: {e['device']}", "protocol: 0x800"),
        *(f"original length: {e['len']}", f"drop reason: {e['reason']}"),
    ]


def retis(e) -> list[str]:
    drop = f" drop (reason {e['reason']})" * e["drop"]
    summed = ["none", "complete", "partial (start 102 off 16)"][e["shape"] % 3]
    more = f" data_len {e['net']}" * (e["shape"] > 1)
    return [
        f"{e['time']} ({e['cpu']}) [{e['comm']}] 26822/26823 [k] {e['function']} #b32ecd "
        f"(skb {e['skb']:x}) n 0{drop}",
        *(f"    {name}+0x1" for name in e["stack"]),
        f"  ns 0x1/4026531840 if 4 ({e['device']}) rxif 3",
        f"  skb [csum {summed} hash 0x51d2 len {e['len']}{more} priority 0] "
        f"gso [type 0x501 frags 1 segs 2 size {e['size']}]",
    ]


def tcpdrop(e) -> list[str]:
    drop = f" {e['reason']} ({e['cpu']})" * e["drop"]
    return [
        f"14:46:49 {e['pid']} 4  {e['source']}:{e['len']} > {e['target']}:{e['size']}  SYN_SENT "
        f"(SYN|ACK)  {drop}".rstrip(),
        *(f"\tb'{name}+0x1e4'" for name in e["stack"]),
    ]


def perf_trace(e) -> list[str]:
    first = f"{e['time']}.250 {e['comm']}/{e['pid']} "
    rest = (
        f"skb:kfree_skb(skbaddr: 0x{e['skb']:x}, location: {e['place']}, protocol: 2048, "
        f"reason: SKB_DROP_REASON_{e['reason']})"
        if e["drop"]
        else f'net:net_dev_start_xmit(name: "{e["device"]}", skbaddr: 0x{e["skb"]:x}, '
        f"len: {e['len']}, data_len: {e['net']}, ip_summed: 3, gso_size: {e['size']}, gso_type: 1)"
    )
    return [first + rest, *(f"{'':39}{name} ([kernel.kallsyms])" for name in e["stack"])]


def dmesg(e) -> list[str]:
    lines = [
        f"skb len={e['len']} headroom={e['mac']} headlen={e['net']} tailroom=0",
        f"mac=({e['mac']},14) mac_len=14 net=({e['net']},20) trans={e['trans']}",
        f"shinfo(txflags=0 nr_frags=1 gso(size={e['size']} type=1281 segs=2))",
        f"csum(0x100066 start={e['inner']} offset=16 ip_summed={e['shape']} complete_sw=0 valid=0 "
        "level=0)",
        "hash(0x0 sw=0 l4=0) proto=0x0800 pkttype=0 iif=4",
        "priority=0x0 mark=0x0 alloc_cpu=1 vlan_all=0x0",
        f"encapsulation=1 inner(proto=0x0004, mac={e['inner']}, net={e['net']}, "
        f"trans={e['trans']})",
        f"dev name={e['device']} feat=0x00000516401d7c69",
    ]
    return [f"[  812.{e['time']:06}] {line}" for line in lines[: 8 - e["drop"]]]


def nettrace(e) -> list[str]:
    place = [
        f"[{e['function']:20}] ",
        f"[{e['skb'] & 0xFFFFFF:x}][{e['function']:20}][cpu:{e['cpu']:<3}][{e['device']:5}]"
        f"[{e['comm']}-{e['pid']}][ns:4026531840] ",
    ][e["shape"] > 1]
    drop = f" *reason: {e['reason']}, {e['place']}+0x1a2*" * e["drop"]
    stack = [f"    -> [ffffffff81a3b0c0]{name}+0x1" for name in e["stack"]]
    return [
        f"***************** {e['skb']:x},{e['skb']:x} ***************",
        f"[12.{e['time']:06}] {place}TCP: {e['source']}:{e['pid']} -> {e['target']}:{e['size']} "
        f"seq:{e['len']}, ack:2, flags:A{drop}",
        *(["Call Stack:", *stack] if stack else []),
    ]


def function_graph(e) -> list[str]:
    cpu, name = f" {e['cpu']:>3})", e["function"]
    first = [
        f"{cpu}   0.505 us    |    {name}();",
        f"{cpu} + 21.100 us   |    {name}(); /* = 0x{e['len'] + 0xFFFFF000:x} */",
        f"{cpu}   3.821 us    |  }} /* {name} ret=-{e['len']} */",
        f"{cpu}               |  {name} [vxlan]() {{",
    ][e["shape"]]
    return [first, f"{cpu}   3.821 us    |  }}"]


def sk_buff(e) -> list[str]:
    fields = {"len": e["len"], "inner_mac_header": e["inner"], "transport_header": e["trans"]}
    if e["drop"]:
        members = [f"  {name} = {value}," for name, value in fields.items()]
        nested = ["  {", "    {", "      next = 0x0,", "    },", "  },"]
        return [
            *("struct sk_buff {", *nested, *members, "  ip_summed = 3 '\\003',"),
            *("  headers = {", *(f"    {name} = 7," for name in fields), "  },", "}"),
        ]
    return [
        f"*(struct sk_buff *)0x{e['skb']:x} = {{",
        *(f"\t.{name} = (__u16){value}," for name, value in fields.items()),
        *("\t.users = (struct refcount_struct){", "\t\t.len = (int)7,", "\t},", "}"),
    ]


PRINTERS = {
    **{"pwru": pwru, "perf": perf, "ftrace": ftrace, "bpftrace": bpftrace, "retis": retis},
    **{"dropwatch": dropwatch, "tcpdrop": tcpdrop, "perf-trace": perf_trace, "dmesg": dmesg},
    **{"nettrace": nettrace, "function-graph": function_graph, "sk_buff": sk_buff},
}
assert PRINTERS.keys() == READERS.keys()
BITS = ["0x", "[", "]", "(", ")", "=", '"', ":", " ", "  ", "\t", "->", "7", "9" * 12, "-", "x"]


@st.composite
def mutated(draw, line: str, lines: list[str]) -> str:
    """Return a line with a part of it lost, replaced, or taken from another line."""
    at = draw(st.integers(0, len(line)))
    rest = line[at + draw(st.sampled_from([0, 0, 1, 2, 9])) :]
    other = draw(st.sampled_from(lines))
    part = other[draw(st.integers(0, len(other))) :][: draw(st.integers(1, 12))]
    return draw(
        st.sampled_from(
            [line[:at], line[:at] + other, line[:at] + part + rest, line[:at] + rest]
            + [line[:at] + bit + rest for bit in BITS]
        )
    )


@st.composite
def logs(draw, format: str, *, whole: bool) -> list[str]:
    lines = [
        line for e in draw(st.lists(EVENT, min_size=1, max_size=4)) for line in PRINTERS[format](e)
    ]
    if whole:
        return lines
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        lines[at] = draw(mutated(lines[at], lines))
    return lines


def seen(trace: gso.Trace, index: int) -> Event:
    names = ("function", "reason", "location", "device", "flow")
    event = Event(int(trace.line[index]), **{name: trace.text(name, index) for name in names})
    event.skb = int(trace.columns["skb"][index])
    event.stack = [name for name in trace.text("stack", index).split("\n") if name]
    event.fields = trace.skb_state(index).known
    event.fields.pop("tnl_hlen", None)
    if trace.format == "function-graph" and trace.columns["returns"][index]:
        event.result = int(trace.columns["result"][index])
    return event


def numbers(lines: list[str]) -> set[int]:
    """Return every number that stands in lines, as each of the ways in which it may be read."""
    found = set()
    for digits in re.findall(r"(?<![0-9a-zA-Z_.])(?:0x)?[0-9a-f]+(?![\w.])", " ".join(lines)):
        values = {int(digits.removeprefix("0x"), 16)}
        values |= set() if digits.startswith("0x") or not digits.isdigit() else {int(digits)}
        found |= (
            values | {value & 0xFFFF for value in values} | {-value & 0xFFFF for value in values}
        )
    return found


def says_no_more(found: Event | None, right: Event) -> bool:
    """Whether nothing is read that the reference does not read; a damaged value may be unknown."""
    if found is None:
        return True
    names = ("function", "skb", "reason", "location", "device", "flow", "result")
    empty = Event(0)
    return (
        all(getattr(found, name) in (getattr(right, name), getattr(empty, name)) for name in names)
        and found.fields.items() <= right.fields.items()
        and set(found.stack) <= set(right.stack)
    )


def check(format: str, lines: list[str], *, whole: bool) -> None:
    trace = gso.read_trace(io.BytesIO("\n".join([*lines, ""]).encode()), format)
    read = {int(line): seen(trace, index) for index, line in enumerate(trace.line)}
    right = list(READERS[format](lines))
    for event, after in zip(right, [*right[1:], Event(0)], strict=True):
        # What follows a line that is not as the tool prints it may belong to it.
        if event and after:
            found = read.get(event.line)
            assert found == event if whole else says_no_more(found, event)
    for line, event in read.items():
        later = min((n for n in read if n > line), default=len(lines) + 1)
        made = {"data_len", "protocol", "ip_summed", "encapsulation"}
        known = {value for name, value in event.fields.items() if name not in made}
        assert known <= numbers(lines[line - 1 : later - 1]), (event, lines)


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(list(PRINTERS)), EVENT)
def test_the_reference_reads_what_is_printed(format, event):
    [found] = READERS[format](PRINTERS[format](event))
    assert found is not None


FORMAT = st.sampled_from(list(PRINTERS))


@settings(max_examples=examples(400), deadline=None)
@given(FORMAT.flatmap(lambda format: st.tuples(st.just(format), logs(format, whole=True))))
def test_lines_are_read_as_by_the_reference(case):
    check(*case, whole=True)


@settings(max_examples=examples(400), deadline=None)
@given(FORMAT.flatmap(lambda format: st.tuples(st.just(format), logs(format, whole=False))))
def test_nothing_is_read_of_damaged_lines_that_the_reference_does_not_read(case):
    check(*case, whole=False)
