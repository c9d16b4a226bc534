"""A diagnosis: cases, each of packets in which the same is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gso.diagnosis.event import Event
from gso.printable import plural, printable
from gso.rules import RULES, Severity
from gso.rules.table import COMMITS
from gso.traces.foreign import advice, is_foreign

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Case", "Diagnosis"]


_MOST_LINES = 5
_LENGTHS_ALONE = frozenset({"data-len"})
"""Rules that say nothing of a packet's headers: with them alone a log is not judged."""


@dataclass(repr=False)
class Case:
    """Packets in which the same is wrong.

    Attributes:
        rules: identifiers of the violated rules; ``("dropped-in-segmentation",)`` where the kernel
            dropped packets and the log does not show their offsets.
        severity, message, kernel_outcome, likely_cause: those of the first rule.
        fields: the values that were compared, of the worked example.
        commits: upstream commits where it happened or was fixed.
        packets, dropped: how many packets, and how many of them the log shows dropped.
        first_time, last_time: nanoseconds, None where the log has no times.
        flows, devices: how many packets of each.
        function: which function encapsulated the packets, empty if that cannot be told.
        evidence: how that is known.
        missing_call: the call that would set the offset right, empty if that cannot be told.
        expected: what offsets should be, of the worked example.
        events: the worked example: the events of one packet.
        example: the event whose offsets are wrong.
        growth: bytes by which the example grew, None if unknown.
        results: errors that functions returned for it: ``{"skb_udp_tunnel_segment": -22}``.
        drop: (function, reason, function that called it) of the example's drop.
        stack: the functions of the example's drop, innermost first.
        worth: the rank of the example, the smallest of all the packets.
    """

    rules: tuple[str, ...]
    severity: Severity
    message: str
    kernel_outcome: str
    likely_cause: str
    fields: dict[str, int]
    commits: tuple[str, ...]
    function: str
    evidence: str
    missing_call: str
    expected: dict[str, int]
    events: list[Event]
    example: Event
    growth: int | None
    results: dict[str, int] = field(default_factory=dict)
    drop: tuple[str, str, str] | None = None
    stack: tuple[str, ...] = ()
    packets: int = 0
    dropped: int = 0
    first_time: int | None = None
    last_time: int | None = None
    flows: Counter[str] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)
    worth: tuple[int, int] = field(default=(0, 0), repr=False)

    def __repr__(self) -> str:
        return f"<gso.Case: {', '.join(self.rules)}: {plural(self.packets, 'packet')}>"

    @property
    def kind(self) -> tuple[tuple[str, ...], str]:
        """The key that equal cases of several logs share: the rules and the function."""
        return self.rules, self.function

    @property
    def cited(self) -> list[tuple[str, str, str]]:
        """The commits, each with its subject and the first version that has it."""
        return [(commit, *COMMITS[commit]) for commit in self.commits]

    def joined(self, other: Case) -> Case:
        """Return this case with the packets of an equal one of another log.

        The better worked example is kept. Two logs' clocks cannot be compared: there are no times.
        """
        best = min(self, other, key=lambda case: case.worth[0])
        return replace(
            best,
            packets=self.packets + other.packets,
            dropped=self.dropped + other.dropped,
            first_time=None,
            last_time=None,
            flows=self.flows + other.flows,
            devices=self.devices + other.devices,
        )


@dataclass(repr=False)
class Diagnosis:
    """The faults that a log shows, and how much of the log could be judged.

    Attributes:
        cases: the faults; those for which packets were seen dropped come first, then those of most
            packets. Empty for a clean log.
        format: the log's format.
        events, lines: how many were read.
        damaged: lines that could not be understood.
        lost: events that the kernel says it dropped.
        damaged_lines: the first few damaged lines, with their numbers.
        judged: for each rule, how many events it could be judged for.
        offsets: how many events show header offsets.
        drops: other drops, counted by (reason, function).
        record: commands that would record the offsets that the log lacks.
        forgotten: packets whose events may be missing, as too many packets were under way.
        unread: the first lines of a log in which no event was found, with their numbers.
        error: why the log could not be read, empty if it could.
        kernel: the release of the kernel that was traced, empty if it is not known.
        unplaced: how many drops have neither a reason nor a place but an address, which may be in a
            segmenter.
        unseen_tunnels: how many events show super-packets that are in tunnels, or may be, in a log
            in which none shows inner_mac_header.
    """

    cases: list[Case]
    format: str
    events: int
    lines: int
    damaged: int
    lost: int
    damaged_lines: list[tuple[int, str]]
    judged: dict[str, int]
    offsets: int
    drops: Counter[tuple[str, str]]
    record: dict[str, str]
    forgotten: int = 0
    unread: list[tuple[int, str]] = field(default_factory=list)
    error: str = ""
    kernel: str = ""
    unplaced: int = 0
    unseen_tunnels: int = 0

    def __repr__(self) -> str:
        where = f"{plural(self.events, 'event')} of {printable(self.format) or 'no format'}"
        why = "" if self.clean or self.cases else ", not judged"
        return f"<gso.Diagnosis: {plural(len(self.cases), 'case')} in {where}{why}>"

    @classmethod
    def refused(cls, error: str) -> Self:
        """Return the diagnosis of a log that could not be read."""
        return cls([], "", 0, 0, 0, 0, [], {}, 0, Counter(), {}, error=error)

    def merge(self, others: Iterable[Diagnosis]) -> Self:
        """Return one diagnosis of this log and others: equal cases are joined, counts are added.

        It is clean only if all are. `error` says why some were not judged, if some were not.
        """
        every: list[Diagnosis] = [self, *others]
        cases: dict[tuple[tuple[str, ...], str], Case] = {}
        for case in (case for one in every for case in one.cases):
            known = cases.get(case.kind)
            cases[case.kind] = known.joined(case) if known else case
        judged = sum((Counter(one.judged) for one in every), Counter())
        offsets = sum(one.offsets for one in every)
        reasons = [one.not_judged for one in every if one.not_judged]
        kernels = {one.kernel for one in every}
        return type(self)(
            sorted(cases.values(), key=lambda case: (case.worth[0] > 0, -case.packets)),
            ", ".join(dict.fromkeys(one.format for one in every if one.format)),
            sum(one.events for one in every),
            sum(one.lines for one in every),
            sum(one.damaged for one in every),
            sum(one.lost for one in every),
            [line for one in every for line in one.damaged_lines][:_MOST_LINES],
            {rule: judged[rule] for rule in RULES if judged[rule]},
            offsets,
            sum((one.drops for one in every), Counter()),
            {} if offsets else next((one.record for one in every if one.record), {}),
            sum(one.forgotten for one in every),
            error=f"{len(reasons)} of {len(every)} logs: {'; '.join(dict.fromkeys(reasons))}"
            if reasons
            else "",
            kernel=kernels.pop() if len(kernels) == 1 else "",
            unplaced=sum(one.unplaced for one in every),
            unseen_tunnels=sum(one.unseen_tunnels for one in every),
        )

    @property
    def not_judged(self) -> str:
        """Why nothing can be said about the log; empty if rules were judged, or one is violated."""
        if self.cases:
            return ""
        if self.error:
            return self.error
        if not self.events:
            return "no event was found in it"
        if not self.judged.keys() - _LENGTHS_ALONE:
            return "its events lack the fields that the rules compare"
        return "; ".join(self._left_open())

    def _left_open(self) -> Iterator[str]:
        """Yield why a log in which nothing wrong was found is not called clean."""
        if self.damaged:
            count = plural(self.damaged, "line")
            yield f"{count} could not be read; nothing wrong was found in the others"
        if self.unseen_tunnels:
            yield (
                f"{plural(self.unseen_tunnels, 'event')} of super-packets that may be in tunnels, "
                "and none with inner_mac_header, by which those are segmented; nothing else is "
                "wrong with them"
            )
        if self.unplaced:
            yield (
                f"{plural(self.unplaced, 'drop')} without a reason at an address only, which may "
                "be that of a segmenter: record stacks, or the names of functions"
            )

    @property
    def advice(self) -> str:
        """The likely format of the lines that were not read, and what to do; empty without such."""
        if not self.unread and not is_foreign(text for _, text in self.damaged_lines):
            return ""
        return advice([text for _, text in self.unread or self.damaged_lines])

    @property
    def missing(self) -> list[str]:
        """The rules that were judged for none of the events."""
        return [rule for rule in RULES if rule not in self.judged]

    @property
    def clean(self) -> bool:
        """Whether all lines were read, rules were judged on events, and nothing is wrong."""
        return not self.cases and not self.not_judged
