"""Lines of tracers, read slowly with a regular expression for each.

A reader returns the events of a log, and None in the place of each line that is not as the tool
prints it: what such a line means is not told here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

OFFSETS = ("mac_header", "network_header", "transport_header", "csum_start")
KEYS = ("len", "data_len", "gso_size", "gso_type", "csum_offset", "encapsulation", "ip_summed")
POINTERS = ("skb", "skbaddr")
DEVICES = ("dev", "name")
PAIR = r"[\w>-]+=\S+"
FLOW = r"[0-9a-f.:\[\]]+->[0-9a-f.:\[\]]+\(\w+\)"


@dataclass
class Event:
    """What is read of one event."""

    line: int
    function: str = ""
    skb: int = 0
    reason: str = ""
    location: str = ""
    device: str = ""
    flow: str = ""
    stack: list[str] = field(default_factory=list)
    fields: dict[str, int] = field(default_factory=dict)
    result: int | None = None


Log = Iterator[Event | None]


def number(text: str) -> int:
    return int(text, 16 if text.startswith("0x") else 10)


def with_pairs(
    event: Event, pairs: list[tuple[str, str]], *, hex_proto: bool = False
) -> Event | None:
    """Return an event with what names and values tell; None where a number is none.

    A name of the kernel counts, others do not.
    """
    try:
        for name, value in pairs:
            set_pair(event, name.removeprefix("skb->"), value, hex_proto=hex_proto)
    except ValueError:
        return None
    return event


def set_pair(event: Event, name: str, value: str, *, hex_proto: bool) -> None:
    if name in POINTERS:
        pointer = int(value, 16)
        event.skb = pointer if pointer < 1 << 64 else 0  # more is no pointer
    elif name in DEVICES:
        event.device = value.split('"')[1] if value.startswith('"') else value
    elif name == "reason":
        event.reason = value
    elif name == "location":
        event.location = re.split(r"[+ )]", value)[0]
    elif name in ("proto", "protocol"):
        known = int(value, 16) if hex_proto else number(value)
        event.fields["protocol"] = {8: 0x800, 0xDD86: 0x86DD}.get(known, known)
    elif name in OFFSETS or name.removeprefix("inner_") in OFFSETS:
        event.fields[name] = number(value) & 0xFFFF
    elif name in KEYS and number(value) < 1 << 32:  # no field holds more
        event.fields[name] = number(value)


def pairs_of(text: str | None) -> list[tuple[str, str]]:
    return [(name, value) for name, value in re.findall(r"([\w>-]+)=(\S+)", text or "")]


PWRU_OLD = re.compile(
    rf"0x(?P<skb>[0-9a-f]{{10,16}}) +\d+ +\[(?P<comm>[\w<>/ ]+)\] +(?P<function>\w+)"
    rf"(?:\((?P<reason>\w+)\))?(?: +\d+)?(?P<pairs>(?: +{PAIR})*)(?: +(?P<flow>{FLOW}))?"
)
PWRU = re.compile(
    rf"0x(?P<skb>[0-9a-f]{{10,16}}) +\d+ +[\w<>/~]+:\d+ +(?:\d+ +)?\d+ +\d+ +(?P<device>[\w.]+):\d+"
    rf" +(?P<protocol>0x[0-9a-f]{{4}}) +\d+ +(?P<len>\d+) +(?P<flow>{FLOW}) +(?P<function>\w+)"
    rf"(?:\((?P<reason>\w+)\))?(?P<pairs>(?: +{PAIR})*)"
)


def pwru(lines: list[str]) -> Log:
    event = None
    for at, line in enumerate(lines, 1):
        found = PWRU_OLD.fullmatch(line) or PWRU.fullmatch(line)
        if found:
            parts = found.groupdict()
            event = Event(at, parts["function"], int(parts["skb"], 16), parts["reason"] or "")
            event.flow, event.device = parts["flow"] or "", parts.get("device") or ""
            pairs = [(name, parts[name]) for name in ("len", "protocol") if parts.get(name)]
            every = [*pairs, *pairs_of(parts["pairs"])]
            event = with_pairs(event, every, hex_proto="comm" in parts)
            yield event
        elif event and (stack := re.fullmatch(r"(\w+)(?:\+0x[0-9a-f]+)?(?:[ \t]+\[\w+\])?", line)):
            event.stack.append(stack[1])
        else:
            event = None
            yield None


TRACED = re.compile(
    r" *[a-z]{1,10}(?: +\d+(?:/\d+)?|-\d+) +\[\d{3}\] +(?:[.dhsN1-9]{5} +)?"
    r"\d{1,18}\.\d{6}: +(?:\w+:)?(?P<name>\w+):"
    r"(?: +\((?P<place>\w+)[+\w/]*(?: <- (?P<back>\w+)[+\w/]*)?\))?"
    rf"(?P<pairs>(?: +{PAIR})*)(?: reason: (?P<reason>\w+))?"
)


def traced(lines: list[str]) -> Log:
    """Read perf script, ftrace and trace-cmd."""
    event = None
    for at, line in enumerate(lines, 1):
        found = TRACED.fullmatch(line)
        chain = re.fullmatch(r"\t +[0-9a-f]{16} (\w+)(?:\+0x\w+)? \([^)]*\)| => (\w+)", line)
        if found:
            place = found["back"] or found["place"] or ""
            is_address = re.fullmatch(r"[0-9a-f]{8,}", place)
            event = Event(at, found["name"] if not place or is_address else place)
            event.reason = found["reason"] or ""
            event = with_pairs(event, pairs_of(found["pairs"]))
            yield event
        elif event and chain:
            event.stack.append(chain[1] or chain[2])
        else:
            event = None
            yield None


MAP = re.compile(r"@\w*\[(?P<reason>SKB_DROP_REASON_\w+)(?:, (?P<location>[a-z]\w*_\w+))?\]: \d+")


def bpftrace(lines: list[str]) -> Log:
    event = None
    for at, line in enumerate(lines, 1):
        if found := re.fullmatch(rf"(?:kprobe:)?([a-z]+_\w+) (skb=0x[0-9a-f]+(?: {PAIR})+)", line):
            event = with_pairs(Event(at, found[1]), pairs_of(found[2]))
            yield event
        elif found := MAP.fullmatch(line):
            event = Event(at, "kfree_skb", 0, found["reason"], found["location"] or "")
            yield event
        elif event and (stack := re.fullmatch(r"    +(\w+)\+\d+", line)):
            event.stack.append(stack[1])
        else:
            event = None
            yield None


def dropwatch(lines: list[str]) -> Log:
    event = None
    place = r"([a-z_]\w*)(?:\+\w+(?:/\w+)?)?(?: \(0x[0-9a-f]+\))?"
    for at, line in enumerate(lines, 1):
        counted = re.fullmatch(rf"\d+ drops at {place} \[\w+\]", line)
        if found := counted or re.fullmatch(rf"drop at: {place}", line):
            event = Event(at, "kfree_skb", location=found[1])
            yield event
        elif event and (found := re.fullmatch(r"drop reason: (\w+)", line)):
            event.reason = found[1]
        elif event and (found := re.fullmatch(r"original length: (\d+)", line)):
            event.fields["len"] = int(found[1])
        elif event and (found := re.fullmatch(r"protocol: (0x[0-9a-f]+)", line)):
            event.fields["protocol"] = int(found[1], 16)
        elif event and (found := re.fullmatch(r"input port name: ([\w.]+)", line)):
            event.device = found[1]
        elif not (event and re.fullmatch(r"origin: \w+", line)):
            event = None
            yield None


def retis(lines: list[str]) -> Log:
    event = None
    first = (
        r"\d+ \(\d+\) \[[\w ]+\] \d+(?:/\d+)? \[\w+\] (?:skb:)?(\w+) #[0-9a-f]+ \(skb ([0-9a-f]+)\)"
        r"(?: n \d)?(?: drop \(reason (?:\w+/)?(\w+)\))?"
    )
    packet = (
        r"  (?:skb \[csum (none|unnecessary|complete|partial)(?: \(start (\d+) off (\d+)\))?"
        r"(?: hash 0x\w+)? len (\d+)(?: data_len (\d+))?(?: \w+ \d+)*\])?"
        r"(?: ?gso \[type (0x\w+) (?:\w+ \d+ )*size (\d+)\])?"
    )
    summed = {"none": 0, "unnecessary": 1, "complete": 2, "partial": 3}
    for at, line in enumerate(lines, 1):
        if found := re.fullmatch(first, line):
            event = Event(at, found[1], int(found[2], 16), found[3] or "")
            yield event
        elif event and (found := re.fullmatch(packet, line)) and found[0].strip():
            if found[1]:
                event.fields |= {"ip_summed": summed[found[1]], "len": int(found[4])}
                event.fields["data_len"] = int(found[5] or 0)
            if found[2]:
                event.fields |= {"csum_start": int(found[2]), "csum_offset": int(found[3])}
            if found[6]:
                event.fields |= {"gso_type": int(found[6], 16), "gso_size": int(found[7])}
        elif event and (
            found := re.fullmatch(r"  ns \w+/\d+ if \d+ \(([\w.]+)\)(?: rxif \d+)?", line)
        ):
            event.device = found[1]
        elif event and (found := re.fullmatch(r"    ([a-z]\w*)\+0x\w+", line)):
            event.stack.append(found[1])
        else:
            event = None
            yield None


def tcpdrop(lines: list[str]) -> Log:
    event = None
    end = r"(\d+(?:\.\d+){3}:\d+)"
    first = rf"\d\d:\d\d:\d\d \d+ +4 +{end} +> {end} +[A-Z_]+ \([A-Z|]+\)(?: +([A-Z_]+) \(\d+\))?"
    for at, line in enumerate(lines, 1):
        if found := re.fullmatch(first, line):
            event = Event(at, "kfree_skb", 0, found[3] or "", flow=f"{found[1]}->{found[2]}(tcp)")
            yield event
        elif event and (found := re.fullmatch(r"\t(?:b')?(\w+)\+0x\w+'?", line)):
            event.stack.append(found[1])
        else:
            event = None
            yield None


def perf_trace(lines: list[str]) -> Log:
    event = None
    first = r" *\d+\.\d{3} (?:\( *\d+\.\d+ ms\): )?\S+/\d+ \w+:(\w+)\((\w+: [^()]*)\)"
    for at, line in enumerate(lines, 1):
        if found := re.fullmatch(first, line):
            pairs = re.findall(r'(\w+): +("[^"]*"|[^,\s]+)', found[2])
            event = with_pairs(Event(at, found[1]), pairs)
            yield event
        elif event and (found := re.fullmatch(r" {20,}(\w+) \([^)]*\)", line)):
            event.stack.append(found[1])
        else:
            event = None
            yield None


DUMP = (
    r"skb len=(?P<len>\d+) headroom=(?P<headroom>\d+) headlen=(?P<headlen>\d+) tailroom=\d+",
    r" *mac=\((?P<mac_header>\d+),-?\d+\)(?: mac_len=\d+)? net=\((?P<network_header>\d+),-?\d+\) "
    r"trans=(?P<transport_header>\d+)",
    r" *shinfo\(txflags=\d+ nr_frags=\d+ "
    r"gso\(size=(?P<gso_size>\d+) type=(?P<gso_type>\d+) segs=\d+\)\)",
    r" *csum\(0x\w+ start=(?P<csum_start>\d+) offset=(?P<csum_offset>\d+) "
    r"ip_summed=(?P<ip_summed>\d) complete_sw=\d valid=\d level=\d\)",
    r" *hash\(0x\w+ sw=\d l4=\d\) proto=(?P<protocol>0x\w+) pkttype=\d iif=\d+",
    r" *priority=0x\w+ mark=0x\w+ alloc_cpu=\d+ vlan_all=0x\w+",
    r" *encapsulation=(?P<encapsulation>\d) inner\(proto=0x\w+, mac=(?P<inner_mac_header>\d+), "
    r"net=(?P<inner_network_header>\d+), trans=(?P<inner_transport_header>\d+)\)",
    r" *dev name=(?P<device>\S+) feat=0x\w+",
)


def dmesg(lines: list[str]) -> Log:
    """Read dumps whose lines come in the order in which the kernel prints them."""
    event, part = None, 0
    for at, line in enumerate(lines, 1):
        text = re.fullmatch(r"\[ *\d+\.\d{6}\] (.*)", line)
        found = next(
            ((n, m) for n, one in enumerate(DUMP) if text and (m := re.fullmatch(one, text[1]))),
            None,
        )
        if found and found[0] == 0:
            event, part = Event(at, "skb_dump"), 0
            values = {name: int(value) for name, value in found[1].groupdict().items()}
            head = values.pop("headlen")
            event.fields = {**values, "data_len": max(values["len"] - head, 0)}
            yield event
        elif event and found and found[0] == part + 1:
            part += 1
            values = found[1].groupdict()
            event.device = values.pop("device", event.device)
            event.fields |= {name: number(value) for name, value in values.items()}
            if event.fields.get("ip_summed") not in (None, 3):
                event.fields.pop("csum_start", None)
                event.fields.pop("csum_offset", None)
        else:
            event = None
            yield None


STARS = re.compile(r"\*{5,} ([0-9a-f]{1,16})(?:,[0-9a-f]+)* \*{5,}")
NETTRACE = re.compile(
    r"\[\d{1,18}\.\d{6}\] (?:\[(?P<function>\w+) *\] "
    r"|\[(?P<short>[0-9a-f]{1,16})\]\[(?P<other>\w+) *\]"
    r"\[cpu:\d{1,6} *\]\[(?P<device>[\w.]+) *\]\[\w+-\d+\]\[ns:\d+\] )"
    r"(?P<protocol>TCP|UDP): (?P<source>\d+(?:\.\d+){3}:\d+) -> (?P<target>\d+(?:\.\d+){3}:\d+) "
    r"seq:\d+, ack:\d+, flags:\w+(?: \*reason: (?P<reason>\w+), (?P<location>\w+)\+0x\w+\*)?"
)


def nettrace(lines: list[str]) -> Log:
    event, packet = None, ""
    is_lost = False  # the line that names the packets of those after it
    for at, line in enumerate(lines, 1):
        if found := STARS.fullmatch(line):
            packet, is_lost = found[1], False
        elif found := NETTRACE.fullmatch(line):
            parts = found.groupdict("")
            event = Event(at, parts["function"] or parts["other"])
            event.skb = int(packet or parts["short"] or "0", 16)
            event.reason, event.location = parts["reason"], parts["location"]
            event.device = parts["device"]
            event.flow = f"{found['source']}->{found['target']}({found['protocol'].lower()})"
            yield None if is_lost else event
        elif event and (found := re.fullmatch(r" +-> \[[0-9a-f]{16}\](\w+)\+0x\w+", line)):
            event.stack.append(found[1])
        elif line != "Call Stack:":
            event, is_lost = None, True
            yield None


def function_graph(lines: list[str]) -> Log:
    before = r" *\d{1,6}\) +(?:[+!#*@$] )?(?:\d+\.\d{3} us)? +\| +"
    name = r"([A-Za-z_]\w*)"
    call = rf"{before}{name}(?: \[\w+\])?\(\)(?:;| \{{)(?: /\* = (-?\w+) \*/)?"
    end = rf"{before}\}} /\* {name} (?:ret=|= )(-?\w+) \*/"
    for at, line in enumerate(lines, 1):
        found = re.fullmatch(call, line) or re.fullmatch(end, line)
        if found:
            yield Event(at, found[1], result=returned(found[2]))
        elif not re.fullmatch(rf"{before}\}}", line):
            yield None


def returned(text: str | None) -> int | None:
    """Return an int of the kernel, which may be printed as a word of 32 bits or 64."""
    try:
        value = number(text or "")
    except ValueError:
        return None
    bits = 32 if 0 <= value < 1 << 32 else 64
    return value - (1 << bits) if value >> (bits - 1) == 1 else value


def sk_buff(lines: list[str]) -> Log:
    """Read structs as crash and drgn print them."""
    event: Event | None = None
    named: list[bool] = []  # for each open brace, whether it is a member with a name
    for at, line in enumerate(lines, 1):
        first = re.fullmatch(
            r"struct sk_buff \{|\*\(struct sk_buff \*\)0x([0-9a-f]{1,16}) = \{", line
        )
        member = re.fullmatch(r"[ \t]+\.?(\w+) = (?:\([\w ]+\))?(\d\w*)(?: '\\\d{3}')?,?", line)
        if first:
            event, named = Event(at, "sk_buff", int(first[1] or "0", 16)), [False]
            yield event
        elif event and (found := re.fullmatch(r"[ \t]+(\.?\w+ = (?:\(struct \w+\))?)?\{", line)):
            named.append(bool(found[1]))
        elif event and named and re.fullmatch(r"[ \t]*\},?", line):
            named.pop()
        elif event and member and named:
            event = event if any(named) else with_pairs(event, [(member[1], member[2])])
        else:
            event = None
            yield None


READERS: dict[str, Callable[[list[str]], Log]] = {
    **{"pwru": pwru, "perf": traced, "ftrace": traced, "bpftrace": bpftrace},
    **{"dropwatch": dropwatch, "retis": retis, "tcpdrop": tcpdrop, "perf-trace": perf_trace},
    **{"dmesg": dmesg, "nettrace": nettrace, "function-graph": function_graph, "sk_buff": sk_buff},
}
