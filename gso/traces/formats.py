"""The formats of logs, in one table: what writes each, and which scanner reads it."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from gso.traces._bpftrace import BpftraceScanner
from gso.traces._dmesg import DmesgScanner
from gso.traces._dropwatch import DropwatchScanner
from gso.traces._events import FtraceScanner, PerfScanner
from gso.traces._function_graph import FunctionGraphScanner
from gso.traces._nettrace import NettraceScanner
from gso.traces._perf_trace import PerfTraceScanner
from gso.traces._pwru import PwruScanner
from gso.traces._pwru_json import JsonScanner
from gso.traces._retis import RetisScanner
from gso.traces._retis_json import RetisJsonScanner
from gso.traces._scanner import Scanner
from gso.traces._sk_buff_text import SkBuffTextScanner
from gso.traces._tcpdrop import TcpdropScanner

__all__ = ["READERS", "SCANNERS", "Format", "Reader", "first_format", "new_scanner", "table"]

Format: TypeAlias = Literal[
    "auto",
    "pwru",
    "pwru-json",
    "ftrace",
    "perf",
    "dmesg",
    "retis",
    "retis-json",
    "nettrace",
    "dropwatch",
    "tcpdrop",
    "perf-trace",
    "function-graph",
    "sk_buff",
    "bpftrace",
]


class Reader(NamedTuple):
    """A format that is read.

    Attributes:
        name: the format's name.
        scanner: reads its lines, and knows them by their look (`Scanner._claims`).
        tool: what writes it.
        versions: of the tool.
        reads: what is read of it.
    """

    name: str
    scanner: type[Scanner]
    tool: str
    versions: str
    reads: str


READERS = (
    Reader(
        "pwru",
        PwruScanner,
        "pwru",
        "0.0.x to 1.0.x and HEAD",
        "all columns, --output-skb, --output-skb-shared-info, --output-stack, --output-caller",
    ),
    Reader(
        "retis-json",
        RetisJsonScanner,
        "retis' event files",
        "1.4 and later; also of retis sort, and through jq",
        "as of its text, below; addresses of files before v1.6",
    ),
    Reader(
        "pwru-json",
        JsonScanner,
        "pwru --output-json",
        "1.0.9 and later",
        "all members, the sk_buff and the stack in them",
    ),
    Reader(
        "ftrace",
        FtraceScanner,
        "ftrace (trace, trace_pipe, dumped into the kernel's log), trace-cmd report, bpftrace "
        "programs that print as they do",
        "Linux 4.x and later",
        "kprobe and kretprobe events with named arguments, tracepoints of skb and net, stacks",
    ),
    Reader(
        "perf",
        PerfScanner,
        "perf script",
        "Linux 4.x and later",
        "probes with named arguments, tracepoints of skb and net, call chains",
    ),
    Reader(
        "dmesg",
        DmesgScanner,
        "the kernel's log",
        "skb_dump of Linux 5.3 and later; all others",
        "skb_dump, skb_warn_bad_offload, skb_under_panic, skb_over_panic, hw csum failure, "
        "unexpected GSO type, bad gso, bad checksum; BUG, oops, KASAN and warnings; stacks",
    ),
    Reader(
        "retis",
        RetisScanner,
        "retis collect, retis print, retis sort",
        "1.4 and later",
        "function, sk_buff, drop reason, stack, device, namespace, checksum, lengths, GSO",
    ),
    Reader(
        "nettrace",
        NettraceScanner,
        "nettrace, droptrace",
        "of 2022 and later",
        "function, sk_buff, addresses, drop reason and place, stack, device; no offsets",
    ),
    Reader(
        "dropwatch",
        DropwatchScanner,
        "dropwatch",
        "1.5, summaries and packets",
        "place and number of drops; reason, device, protocol and length of packets",
    ),
    Reader(
        "tcpdrop",
        TcpdropScanner,
        "tcpdrop of bcc, tcpdrop.bt of bpftrace",
        "bcc 0.8 and later",
        "addresses, drop reason, stack",
    ),
    Reader(
        "perf-trace",
        PerfTraceScanner,
        "perf trace -e 'skb:*' -e 'net:*'",
        "Linux 4.x and later",
        "sk_buff, drop reason and place, lengths and GSO of tracepoints that have them, stacks",
    ),
    Reader(
        "function-graph",
        FunctionGraphScanner,
        "ftrace's function_graph",
        "Linux 4.x and later",
        "calls, and what they returned (6.5 and later): errors of segmenters; no sk_buff",
    ),
    Reader(
        "sk_buff",
        SkBuffTextScanner,
        "crash, drgn, gdb: struct sk_buff, struct skb_shared_info",
        "crash 7 and later, drgn 0.0.x and later",
        "all fields of the sk_buff",
    ),
    Reader(
        "bpftrace",
        BpftraceScanner,
        "bpftrace",
        "0.9 and later",
        "maps of stacks and drop reasons; lines of name=value with fields of the sk_buff; kstack",
    ),
)
"""A line that several of them claim is read by the first."""
SCANNERS = {reader.name: reader.scanner for reader in READERS}


def _chained() -> Scanner:
    """Make one scanner of each reader, that is only asked, each with the next one after it."""
    head: Scanner | None = None
    for number in reversed(range(len(READERS))):
        scanner = READERS[number].scanner(1)
        scanner.number, scanner.next = number, head
        head = scanner
    assert head is not None
    return head


_ASKED = _chained()


def new_scanner(name: str, rows: int, *, alone: bool) -> Scanner:
    """Make the scanner of a format, "" for one that waits for the first line of any format.

    Args:
        name: the format.
        rows: most events of one batch.
        alone: whether it reads all lines, those that look like another format's, too.
    """
    numbers = {reader.name: number for number, reader in enumerate(READERS)}
    scanner = (SCANNERS[name] if name else Scanner)(rows)
    scanner.number = numbers.get(name, -1)
    scanner.next = None if alone else _ASKED
    return scanner


def first_format(lines: list[bytes]) -> str:
    """Return the format of the first of these lines that has one, "" if none has."""
    for within in (False, True):
        for line in lines:
            number = _ASKED.claimant(line[:4096], within)
            if number >= 0:
                return READERS[number].name
    return ""


def table() -> list[str]:
    """Return the table of formats in lines of Markdown, for the terminal and the documentation."""
    rows = [("format", "tool", "version", "what is read")]
    rows += [(f"`{one.name}`", one.tool, one.versions, one.reads) for one in READERS]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "| --- | --- | --- | --- |", *lines[1:]]
