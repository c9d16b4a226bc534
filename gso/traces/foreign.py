"""Output of tools that cannot be read here, by how its lines look, and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["advice", "is_foreign"]

_RECORD = (
    "pwru, perf script, ftrace and the kernel's skb_dump are read; `gso diagnose` on a pwru log "
    "without offsets prints the commands that record them."
)
_FORMATS = (
    (
        r'\s*\{.*"(kernel|skb-drop|skb-tracking|startup)"\s*:',
        "retis' events in JSON",
        "retis does not print the offsets from skb->head that the rules compare.",
    ),
    (
        r"\s*# tracer: function(_graph)?\s*$|\s*\d+\)\s.*(\||us)",
        "ftrace's function or function_graph tracer",
        "It shows calls, but no sk_buff. Record kprobe events with the offsets as arguments.",
    ),
    (
        r"\s*[>|] ",
        "a quoted log",
        "Remove the quotation marks: sed 's/^[>|] *//'.",
    ),
    (
        r"\s*(\d\d:\d\d:\d\d\.\d+ )?(IP6?|ARP|Ethernet) .* > ",
        "tcpdump's text",
        "It has packets, but no sk_buff. `gso validate` judges a capture that tcpdump -w writes.",
    ),
    (
        r"\s*(->|<-|xx|Policy verdict) .*(flow|identity|endpoint|drop)",
        "the text of cilium monitor",
        "It has packets, but no sk_buff.",
    ),
    (r"\s*trace id [0-9a-f]+ ", "the text of nft monitor trace", "It has packets, but no sk_buff."),
    (r"\s*(Attaching \d+ probes|@\w*\[)", "bpftrace's output", "Its maps have no known fields."),
    (
        r"\d+ drops at |.*\bdrop at: ",
        "dropwatch's output",
        "It counts drops, and has no header offsets.",
    ),
    (
        r"\s*SKB\s+(CPU|PROCESS)|\s*TIME\s+SKB|# tracer:|cpus=\d+",
        "a header without events",
        "Nothing passed the filter, or the log was cut: record again while packets pass.",
    ),
)


def is_foreign(lines: Iterable[str]) -> bool:
    """Whether one of the lines is of a known format that cannot be read."""
    return any(re.match(pattern, line) for line in lines for pattern, _, _ in _FORMATS)


def advice(lines: Iterable[str]) -> str:
    """Say what lines that were not read look like, and what to do."""
    for line in lines:
        for pattern, name, hint in _FORMATS:
            if re.match(pattern, line):
                return f"This looks like {name}. {hint} {_RECORD}"
    return f"No known format looks like this. {_RECORD}"
