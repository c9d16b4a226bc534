"""Find a kernel's warnings in its log, and the packets it never freed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

_STAMP = re.compile(r"^(?:<\d+>)?\[\s*\d+\.\d+\](?:\[[^\]]*\])? ?")
_MARK = re.compile(r"gso: scenario ([^\s,]+)")
# What kernels call a thing that must not happen, crashes excepted: those end the machine. Stalls
# are left out: a busy host stalls an emulated processor, and a real hang ends the machine too.
_COMPLAINT = re.compile(
    r"WARNING: |BUG: (?!workqueue lockup)|UBSAN: |KASAN: |KFENCE: |KCSAN: |refcount_t: "
    r"|suspicious RCU usage|possible (?:circular|recursive) locking"
    r"|possible irq lock inversion|inconsistent lock state|unregister_netdevice: waiting for"
    r"|page allocation failure|list_(?:add|del) corruption"
    r"|Bad page state|scheduling while atomic|nobody cared|leaked|netdevice.{0,200}refcnt"
)
# lockdep's reports have empty and unindented lines, and end with the stack of the last lock.
_LOCKDEP = re.compile(r"suspicious RCU usage|possible (?:circular|recursive|irq)|inconsistent lock")
_STACK_END = "</TASK>"
_CUT = re.compile(r"---\[ cut here")
_END = re.compile(r"---\[ end trace")
_LONGEST, _LONGEST_LOCKDEP = 40, 250
_MOST_TOLD = 500
# When the counts are taken each processor keeps up to so many heads for its next packets
# (NAPI_SKB_CACHE_SIZE in net/core/skbuff.c), and sockets and queues hold a few.
_KEPT_BY_PROCESSOR, _HELD = 64, 16


@dataclass(frozen=True)
class Complaint:
    """A warning of the kernel: its text, and the scenario it came in (or empty)."""

    text: str
    scenario: str

    @property
    def kind(self) -> str:
        """Its first line without numbers and addresses, to compare it between kernels."""
        first = next(line for line in self.text.split("\n") if _COMPLAINT.search(line))
        return re.sub(r"\b(?:0x[0-9a-f]+|(?=[a-f]*\d)[0-9a-f]+)\b", "N", first)

    def __str__(self) -> str:
        where = f" in {self.scenario}" if self.scenario else ""
        return f"kernel warning{where}:\n{self.text}"


def complaints(log: Iterable[str]) -> Iterator[Complaint]:
    """Yield the warnings in the lines of a kernel log, each with its stack."""
    scenario = ""
    lines = iter(_STAMP.sub("", line.rstrip()) for line in log)
    for line in lines:
        if mark := _MARK.search(line):
            scenario = mark[1]
        elif _CUT.search(line) or _COMPLAINT.search(line):
            rest = _rest_of_lockdep(lines) if _LOCKDEP.search(line) else _rest(lines)
            text = "\n".join([line, *rest])
            if _COMPLAINT.search(text):
                yield Complaint(text, scenario)


def _rest(lines: Iterator[str]) -> Iterator[str]:
    """Yield what belongs to a warning: to its end mark, or while it is indented like a stack."""
    for number, line in enumerate(lines):
        if _END.search(line) or number > _LONGEST:
            return
        if _MARK.search(line) or (
            number > 2
            and not re.match(r"\s|[A-Z0-9]{2,3}:|Call Trace|CPU|Hardware|Code|Modules|R", line)
        ):
            return
        yield line


def _rest_of_lockdep(lines: Iterator[str]) -> Iterator[str]:
    for _, line in zip(range(_LONGEST_LOCKDEP), lines, strict=False):
        if _MARK.search(line):
            return
        yield line
        if line.strip() == _STACK_END:
            return


def told(found: Iterable[Complaint]) -> list[str]:
    """Return warnings as texts: the first ones, and how many more there are."""
    rest = iter(found)
    texts = list(map(str, islice(rest, _MOST_TOLD)))
    more = sum(1 for _ in rest)
    return [*texts, f"and {more} more kernel warnings, in the log"] if more else texts


def new_complaints(unpatched: Iterable[str], patched: Iterable[str]) -> Iterator[Complaint]:
    """Yield the first of each kind of warning that only the patched kernel gave."""
    seen = {complaint.kind for complaint in complaints(unpatched)}
    for complaint in complaints(patched):
        if (kind := complaint.kind) not in seen:
            seen.add(kind)
            yield complaint


def growth(guest: dict[str, Any]) -> dict[str, int]:
    """Return how many more packets each cache held after the traffic than before."""
    before, after = guest.get("packets_before", {}), guest.get("packets_after", {})
    return {name: after[name] - before[name] for name in before if name in after}


def leaks(unpatched: dict[str, Any], patched: dict[str, Any]) -> list[str]:
    """Return what says that the patched kernel loses memory and the unpatched one does not."""
    found = []
    usual = growth(unpatched)
    unremarkable = _KEPT_BY_PROCESSOR * patched.get("cpus", 1) + _HELD
    for cache, grown in growth(patched).items():
        if grown - max(usual.get(cache, 0), 0) > unremarkable:
            found.append(
                f"packets leak: {cache} grew by {grown} objects during the traffic "
                f"(unpatched: {usual.get(cache, 0)})"
            )
    return found
