"""Output of tools that cannot be read here, by how its lines look, and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["advice", "is_foreign"]

_RECORD = (
    "`gso diagnose --formats` lists what is read; `gso diagnose` on a log without offsets prints "
    "the commands that record them."
)
_NO_SK_BUFF = "It has packets, but no sk_buff."
_NAME = r'"?[A-Za-z_#][\w.:#()/%-]{0,60}( [\w.:#()/%-]{1,60}){0,4}"?'
_CELL = r'("[^"]*("|$)|[^,;\t"\s]*)'  # the lines that are shown are cut
_FORMATS = (
    (
        r"\s*# tracer: function(_graph)?\s*$",
        "ftrace's function or function_graph tracer",
        "It shows calls, but no sk_buff. Record kprobe events with the offsets as arguments.",
    ),
    (
        r"\s*[>|] ",
        "a quoted log",
        "Remove the quotation marks: sed 's/^[>|] *//'.",
    ),
    (
        r"Content-Transfer-Encoding: *base64",
        "a mail in base64",
        "Save the text that it shows, not the mail.",
    ),
    (
        r"\s*((netns|mark|ifindex|proto|mtu|(data_)?len|skb(addr)?|(\w+_)?(header|type|size))=\S+"
        r"|[0-9a-f.:\[\]]+->[0-9a-f.:\[\]]+\(\w*\))(\s|$)",
        "the rest of an event whose line was wrapped",
        "An event has to be one line: save the log without line breaks, or attach it to a mail.",
    ),
    (
        r"\s*(\d{4}-\d\d-\d\d )?((\d\d:\d\d:\d\d|\d+)\.\d+ )?(\S+ +(In|Out|P|B|M) +)?"
        r"((IP6?|ARP|Ethernet) (.* > |\((tos|class|flowlabel|hlim) )"
        r"|[0-9a-f:]{17} > [0-9a-f:]{17}, |tcpdump: )",
        "tcpdump's text",
        "It has packets, but no sk_buff. `gso validate` judges a capture that tcpdump -w writes.",
    ),
    (
        r"\s*\d+ +\d+\.\d+ +[0-9a-fA-F.:]+ (\u2192|->) [0-9a-fA-F.:]+ +\S+ \d+ ",
        "tshark's text",
        "It has packets, but no sk_buff. `gso validate` judges a capture that tshark -w writes.",
    ),
    (
        r"\s*((->|<-|xx|Policy verdict) .*(flow|identity|endpoint|drop)"
        r"|CPU \d+: (MARK|DROP|TRACE|CAPTURE|Policy) .*FROM \d+|CPU \d+: Packet dropped )",
        "the text of cilium monitor",
        _NO_SK_BUFF,
    ),
    (
        r"\s*(\w{3} +\d+ [\d:.]+: )?\S+:\d+ (\(\S+\) )?(->|<>|<-) \S+:\d+",
        "the text of hubble observe",
        _NO_SK_BUFF,
    ),
    (
        r'\s*\{("flow":\s*\{)?"time":\s*"[^"]*",\s*"(uuid|verdict)":',
        "hubble's JSON",
        _NO_SK_BUFF,
    ),
    (r"\s*trace id [0-9a-f]+ ", "the text of nft monitor trace", _NO_SK_BUFF),
    (
        r".*\b(calico-packet|cali[0-9a-f]{11}-[IE]|cali-(pi|po|fw|tw)-)",
        "the log of calico's policies",
        _NO_SK_BUFF,
    ),
    (
        r".*\[(DEBUG|INFO|WARNING|ERROR)\]\[\d+\] (felix|confd|monitor-addresses|cni)",
        "the log of calico's daemons",
        "It has no packets, and no sk_buff.",
    ),
    (
        r".*\bIN=\S* OUT=\S* ",
        "the log of a firewall (LOG, nflog)",
        _NO_SK_BUFF,
    ),
    (
        r"\s*@\w+: |\s*Attach(ing|ed) \d+ probe",
        "bpftrace's output without events of sk_buffs",
        "Print names and values (skb=0x%llx len=%d), or count stacks: @[kstack] = count().",
    ),
    (
        r"\s*SKB\s+(CPU|PROCESS)|\s*TIME\s+SKB|# tracer:|cpus=\d+",
        "a header without events",
        "Nothing passed the filter, or the log was cut: record again while packets pass.",
    ),
    (
        rf"\ufeff?({_NAME}(?P<between>[,;\t]){_NAME}((?P=between){_NAME})+(?P=between)?"
        rf"|(?=.*\d){_CELL}(?P<comma>[,;\t]){_CELL}((?P=comma){_CELL}){{2,}})\s*$",
        "a table of comma-separated values (CSV)",
        "Its columns may mean anything: save what the tool itself printed.",
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
