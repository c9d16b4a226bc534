"""pwru's JSON read with Python's json, member by member: the reference for the scanner."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from gso import SKB_DTYPE

LONGEST_LINE = 1 << 20
DEEPEST = 64
STACK_BYTES = 8192
LONGEST_ADDRESS = 64
NO_TIME = -(1 << 63)
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
NOT_OF_THE_KERNEL = {"payload", "tunnel", "l4", "mtu", "context", "gre_flags", "zero_known"}
SWAPPED = {0x0008, 0xDD86, 0x0608, 0x5865}
# A line of marks alone holds no event, and nothing of one.
NO_WORD = re.compile(rb"[^0-9A-Za-z%\x80-\xff]*")
COLUMNS = {"netns": (0, 1 << 64), "mtu": (0, 1 << 31), "ifindex": (0, 1 << 31)}


class Number(str):
    """A number as it is written."""

    __slots__ = ()


class Object(list):
    """The members of an object in their order, of equal names too."""

    __slots__ = ()


@dataclass
class Log:
    """A log: `rows` are dictionaries of columns, of which "state" has the known fields."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    lines: int = 0
    damaged: list[int] = field(default_factory=list)
    relative: bool = False


def read(data: bytes) -> Log:
    log = Log()
    data = data.replace(b"\0", b"")
    for line in data.split(b"\n") if data else []:
        log.lines += 1
        if not line.strip(b" \t\r"):
            continue
        row = event(line) if len(line) <= LONGEST_LINE else None
        if row is None:
            if not NO_WORD.fullmatch(line):
                log.damaged.append(log.lines)
            continue
        if not log.rows:
            log.relative = row["time"] == 0 and not row["clock"]
        log.rows.append({"line": log.lines, **row})
    log.lines -= data.endswith(b"\n")
    return log


def event(line: bytes) -> dict[str, Any] | None:
    """Return the columns of one line, None if it is damaged."""
    try:
        members = json.loads(
            # An element of an array that is spread over lines has a comma after it.
            line.decode("utf-8", "replace").strip(" \t\r").removesuffix(","),
            object_pairs_hook=Object,
            parse_int=Number,
            parse_float=Number,
            parse_constant=refuse,
        )
    except (ValueError, RecursionError):
        return None
    if not isinstance(members, Object):
        return None
    row: dict[str, Any] = {
        **{"skb": None, "cpu": 0, "process": "", "function": "", "reason": "", "location": ""},
        **{"time": NO_TIME, "clock": False, "device": "", "ifindex": -1, "netns": -1, "mtu": -1},
        **{"flow": "", "stack": "", "state": {}},
    }
    for name, value in members:
        if depth(value) > DEEPEST or (name == "skb" and pointer(value) is None):
            return None
        member(row, name, value)
    return None if row["skb"] is None else row


def refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def depth(value: object) -> int:
    if isinstance(value, Object):
        return 1 + max((depth(inner) for _, inner in value), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def member(row: dict[str, Any], name: str, value: object) -> None:  # noqa: PLR0912
    word = text(value)
    if name == "skb":
        row["skb"] = pointer(value)
    elif name == "cpu":
        cpu = number(word)
        row["cpu"] = cpu if cpu is not None and 0 <= cpu <= 1 << 20 else -1
    elif name == "time":
        time = clock(word)
        row["clock"] = time is not None
        time = number(word) if time is None else time
        row["time"] = NO_TIME if time is None or time < 0 else time
    elif name == "process":
        row["process"] = word
    elif name == "func":
        row["function"] = re.split(r"[( \t]", word)[0]
        rest = word[len(row["function"]) :].lstrip(" \t")
        reason = re.match(r"(?!\((?:tc|xdp)\))\(([^)]*)\)", rest)
        row["reason"] = reason[1] if reason else ""
    elif name == "caller_func":
        row["location"] = re.split(r"[+) \t]", word)[0]
    elif name == "iface":
        device = re.fullmatch(r"(.*):([0-9]+)", word, re.DOTALL)
        index = None if device is None else number(device[2])
        row["device"], row["ifindex"] = word, -1
        if device is not None and index is not None:
            row["device"], row["ifindex"] = device[1], min(index, 0x7FFFFFFF)
    elif name == "tuple":
        row["flow"] = flow(value) if isinstance(value, Object) else ""
    elif name == "stack":
        row["stack"] = stack(word)
    elif name in ("skb_metadata", "skb_shared_info"):
        dump(row, value)
    elif name in COLUMNS:
        found = number(word)
        low, high = COLUMNS[name]
        row[name] = -1 if found is None else found
        if name != "netns" and not low <= row[name] < high:
            row[name] = -1
    else:
        row["state"].pop("protocol" if name == "proto" else name, None)
        state(row, name, word)


def text(value: object) -> str:
    """Return the text of a string or a number; "" for any other value."""
    return re.sub("[\ud800-\udfff]", "\ufffd", value) if isinstance(value, str) else ""


def pointer(value: object) -> int | None:
    found = number(text(value), 10 if isinstance(value, Number) else 16)
    return None if found is None else found % (1 << 64)


def number(word: str, base: int = 10) -> int | None:
    """Return a number as C prints it, its type first; None for others and for over 64 bits."""
    found = re.match(r"(?:\([^)]*\)[ \t]*)?([-+]?)(0[xX](?=.))?", word, re.DOTALL)
    assert found is not None
    base = 16 if found[2] else base
    run = re.compile("[0-9a-fA-F]*" if base == 16 else "[0-9]*").match(word, found.end())
    assert run is not None
    digits = run[0]
    total = int(digits, base) if digits else 0
    fits = len(digits) <= (16 if base == 16 else 19)
    fits |= base == 10 and len(digits) == 20 and digits[0] == "1" and total < 1 << 64
    if not digits or not fits or re.match(r"[0-9A-Za-z_.]", word[run.end() :]):
        return None
    total = (-total if found[1] == "-" else total) % (1 << 64)
    return total - (1 << 64) if total >> 63 else total


def clock(word: str) -> int | None:
    time = re.match(
        r"(\d\d):(\d\d):(\d\d)(?:[.,](\d{0,9}))?", word.split("T", 1)[-1], re.ASCII | re.DOTALL
    )
    if time is None:
        return None
    seconds = (int(time[1]) * 60 + int(time[2])) * 60 + int(time[3])
    return seconds * 10**9 + int((time[4] or "").ljust(9, "0"))


def flow(members: Object) -> str:
    side: dict[str, Any] = {"saddr": "", "daddr": "", "sport": 0, "dport": 0, "proto": 0}
    for name, value in members:
        word = text(value)
        if name in ("saddr", "daddr"):
            side[name] = word
            if len(word.encode()) > LONGEST_ADDRESS:
                return ""
        elif name in side:
            side[name] = number(word)
            if side[name] is None:
                return ""
    if not side["saddr"] and not side["daddr"]:
        return ""
    ends = "{saddr}:{sport}->{daddr}:{dport}".format(**side)
    return f"{ends}({PROTOCOLS.get(side['proto'], side['proto'])})"


def stack(word: str) -> str:
    shown = ""
    for line in word.split("\n"):
        found = re.match(r"[ \t]*([0-9A-Za-z_.]+)", line)
        if found and len(shown) + len(found[1]) + 1 <= STACK_BYTES:
            shown += ("\n" if shown else "") + found[1]
    return shown


def dump(row: dict[str, Any], value: object) -> None:
    if isinstance(value, Object):
        for name, inner in value:
            state(row, name, text(inner))
        return
    depth = member = 0
    for line in text(value).split("\n"):
        if line.startswith("(struct sk"):
            depth = member = 0
        depth, member = dump_line(row, line, depth, member)


def dump_line(row: dict[str, Any], line: str, depth: int, member: int) -> tuple[int, int]:
    """Read a line; `depth` braces are open, the struct of another kind has `member` of them."""
    at, named = 0, False
    while at < len(line):
        if line[at] == "{":
            depth += 1
            member = depth if named and not member else member
            named = False
        elif line[at] == "}":
            depth = max(depth - 1, 0)
            member = member if depth >= member else 0
        elif line[at] == "'" and line[at + 2 : at + 3] == "'":
            at += 2
        elif line[at] == ",":
            named = False
        if line[at] != ".":
            at += 1
            continue
        found = re.compile(r"\.([0-9A-Za-z_.]*)[ \t]*").match(line, at)
        assert found
        at = found.end()
        if line[at : at + 1] != "=":
            continue
        named = True
        value = re.compile(r"=[ \t]*([^,{}]*)").match(line, at)
        assert value
        at = value.end()
        if not member and line[at : at + 1] in (",", "}") and at < len(line):
            state(row, found[1], value[1])
    return depth, member


def state(row: dict[str, Any], name: str, word: str) -> None:
    """Take a field of the sk_buff; what cannot be of it changes nothing."""
    name = "protocol" if name == "proto" else name
    value = number(word)
    if name not in SKB_DTYPE.names or name in NOT_OF_THE_KERNEL or value is None:
        return
    if name.endswith("_header") or name == "csum_start":
        value &= 0xFFFF
    elif name == "tnl_hlen":
        value = (value + (1 << 31)) % (1 << 32) - (1 << 31)
        if not -0xFFFF <= value <= 0xFFFF:
            return
    elif name in ("protocol", "inner_protocol") and value in SWAPPED:
        value = (value & 0xFF) << 8 | value >> 8
    if name == "tnl_hlen" or 0 <= value <= 2 ** (8 * SKB_DTYPE[name].itemsize - 1) - 1:
        row["state"][name] = value
