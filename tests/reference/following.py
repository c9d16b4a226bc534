"""The packets of a log, event by event in plain Python: the reference for `gso.diagnosis.follower`.

It keeps every packet until its end, suspicious or not, and so forgets none.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gso import diagnosis
from gso.diagnosis._packet_table import AFTER_FREE, CONSUMES, DROPS, ENTERS, SEGMENTS, PacketTable
from gso.diagnosis.complaints import ALWAYS, Complaint, complaint_of
from gso.diagnosis.event import Event
from gso.diagnosis.kernel_functions import (
    CONSUMERS,
    DROP_FUNCTIONS,
    ENCAPSULATORS,
    ENTRIES,
    FREE_PREFIXES,
    SEGMENT_WORDS,
    SEGMENTERS,
    caller,
    is_plain,
    location_name,
)
from gso.diagnosis.told import TOLD
from gso.rules import explain
from gso.traces.trace import Trace

MOST_EVENTS = 24
MOST_NAMES = 1000
MOST_FUNCTIONS = 96
NEAR_TOP = 8
NO_TIME = np.iinfo(np.int64).min


@dataclass
class Packet:
    suspicious: bool = False
    events: list[Event] = field(default_factory=list)
    before: Event | None = None
    bad: Event | None = None
    mask: int = 0
    functions: dict[str, None] = field(default_factory=dict)
    drop: Event | None = None
    reason: str = ""
    printed_location: str = ""
    stack: tuple[str, ...] = ()
    encapsulators: dict[str, None] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    elapsed: int = 0
    words: str = ""
    occurrences: int = 1

    def take(self, batch: Trace, i: int, violated: int) -> None:
        function = batch.text("function", i)
        if batch.columns["returns"][i]:
            result = int(batch.columns["result"][i])
            if function in self.functions and -4095 <= result < 0:
                self.results[function] = result
            return
        time: int | None = int(batch.columns["time"][i])
        if time == NO_TIME:
            time = None
        elif batch.relative:
            time = self.elapsed = self.elapsed + time
        self.occurrences = max(self.occurrences, int(batch.counts()[i]))
        event = Event(
            int(batch.columns["line"][i]),
            time,
            int(batch.columns["cpu"][i]),
            function,
            batch.text("flow", i),
            batch.text("device", i),
            batch.state[i].tobytes(),
        )
        if len(self.events) < MOST_EVENTS:
            self.events.append(event)
        if self.drop is None and len(self.functions) < MOST_FUNCTIONS:
            self.functions.setdefault(function)
        if violated and self.bad is None:
            self.bad = event
        if self.bad is None:
            self.before = event
        self.mask |= violated
        if batch.columns["stack"][i] >= 0:
            self.stack = tuple(batch.text("stack", i).split("\n"))
            self.encapsulators |= dict.fromkeys(n for n in self.stack if n in ENCAPSULATORS)
        if function in DROP_FUNCTIONS and self.drop is None:
            self.drop = event
            self.reason = batch.text("reason", i)
            self.printed_location = batch.text("location", i)
        elif not self.words:
            self.words = batch.text("reason", i)

    @property
    def drop_function(self) -> str:
        return location_name(self.printed_location) or caller(self.stack)

    def last_known(self, name: str) -> int | None:
        values = [getattr(event.state, name) for event in self.events]
        return next((value for value in values[::-1] if value is not None), None)

    @property
    def complaint(self) -> Complaint | None:
        functions = [event.function for event in self.events]
        if not self.said and "skb_dump" not in functions and not ALWAYS & {*functions}:
            return None
        in_log = self.said or "skb_dump" in functions
        return complaint_of(functions, self.stack if in_log else (), self.said)

    @property
    def said(self) -> str:
        return self.words if " " in self.words else ""

    @property
    def accused(self) -> bool:
        return self.said != "" and not self.said.startswith("WARNING")

    @property
    def in_segmentation(self) -> bool:
        if self.drop is None or not is_plain(self.reason):
            return False
        if self.last_known("gso_size") == 0:
            return False
        if self.drop_function:
            return self.drop_function.split(".")[0] in SEGMENTERS
        last = [name for name in self.functions if name not in DROP_FUNCTIONS][-2:]
        return any(word in name for name in last for word in SEGMENT_WORDS)

    @property
    def in_validation(self) -> bool:
        if self.drop is None or not is_plain(self.reason) or self.last_known("gso_size") != 0:
            return False
        return self.drop_function.split(".")[0] == "validate_xmit_skb"

    # These are needed by `gso.diagnosis.causes`.

    @property
    def dropped(self) -> bool:
        return self.drop is not None

    @property
    def first_line(self) -> int:
        return self.events[0].line

    @property
    def stack_text(self) -> str:
        return "\n".join(self.stack)

    @property
    def outer_length(self) -> int:
        if self.bad is None:
            return 0
        return int(self.bad.row["transport_header"]) - int(self.bad.row["network_header"])


@dataclass
class Tally:
    rules: tuple[str, ...]
    function: str
    example: Packet
    packets: int = 0
    dropped: int = 0
    times: tuple[int, int] | None = None
    flows: Counter[str] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)

    def add(self, packet: Packet, *, timed: bool) -> None:
        if worth(packet) < worth(self.example):
            self.example = packet
        self.packets += packet.occurrences
        self.dropped += packet.occurrences * packet.dropped
        times = [event.time for event in packet.events if event.time is not None]
        if times and timed:
            first, last = self.times or (times[0], times[0])
            self.times = min(first, *times), max(last, *times)
        for counter, name in ((self.flows, "flow"), (self.devices, "device")):
            for value in dict.fromkeys(getattr(event, name) for event in packet.events):
                if value and (len(counter) < MOST_NAMES or value in counter):
                    counter[value] += 1


def worth(packet: Packet) -> tuple[int, int]:
    return 0 if packet.in_segmentation else 1 if packet.drop else 2, packet.first_line


TOLD_REASONS = {*TOLD, *(f"SKB_DROP_REASON_{name}" for name in TOLD)}


class Diagnoser(diagnosis.Diagnoser):
    """Judges every packet for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.follower = Follower()

    def _count(self, packets: list[Packet]) -> None:
        for packet in packets:
            violated = [rule.rule for rule in explain(packet.mask)]
            if packet.accused and packet.complaint:
                rules = tuple(dict.fromkeys([packet.complaint.rule, *violated]))
            elif violated:
                rules = tuple(violated)
            elif packet.in_segmentation:
                rules = ("dropped-in-segmentation",)
            elif packet.in_validation:
                rules = ("dropped-in-validation",)
            elif packet.complaint:
                rules = (packet.complaint.rule,)
            elif packet.drop is not None and packet.reason in TOLD_REASONS:
                rules = (TOLD[packet.reason.removeprefix("SKB_DROP_REASON_")].rule,)
            else:
                if packet.drop is not None:
                    self._other_drop(
                        packet.reason, packet.printed_location, packet.stack, packet.occurrences
                    )
                continue
            key = rules, encapsulator(packet)
            tally = self.tallies.setdefault(key, Tally(*key, packet))
            tally.add(packet, timed=not self.batch.relative)


def encapsulator(packet: Packet) -> str:
    if packet.encapsulators:
        return next(iter(packet.encapsulators))
    seen = [name for name in packet.functions if name in ENCAPSULATORS]
    if seen:
        return seen[-1]
    if any(name.startswith("ip_vs_") for name in (*packet.functions, *packet.stack)):
        return "ip_vs_tunnel_xmit_v6" if packet.outer_length == 40 else "ip_vs_tunnel_xmit"
    return ""


class Follower:
    """Follows every packet; it replaces `gso.diagnosis.follower.Follower`."""

    forgotten = 0

    def __init__(self) -> None:
        self._table = PacketTable(1 << 17)
        self._packets: dict[int, Packet] = {}
        self._codes: dict[str, int] = {}

    def add(self, batch: Trace, violated: Any, suspect: Any) -> tuple[list[Packet], Any]:
        names = list(batch.names)
        kinds = np.array([kind(name) for name in names], np.uint8)
        codes = np.array([self._codes.setdefault(n, len(self._codes)) for n in names], np.int32)
        functions = list(self._codes)

        def in_stack(code: int, stack: int) -> bool:
            return functions[code] in names[stack].split("\n")[:NEAR_TOP]

        inner = batch.state["inner_network_header"]
        numbers, over = self._table.assign(batch.columns, inner, kinds, codes, in_stack)
        collected = np.zeros(len(batch), np.bool_)
        for i, number in enumerate(numbers.tolist()):
            if number >= 0:
                packet = self._packets.setdefault(number, Packet())
                packet.suspicious |= bool(suspect[i])
                packet.take(batch, i, int(violated[i]))
                collected[i] = packet.suspicious
        return [packet for number in over if (packet := self._end(number))], collected

    def finish(self) -> list[Packet]:
        return [packet for number in list(self._packets) if (packet := self._end(number))]

    def _end(self, number: int) -> Packet | None:
        packet = self._packets.pop(number)
        return packet if packet.suspicious else None


def kind(name: str) -> int:
    return (
        DROPS * (name in DROP_FUNCTIONS)
        | CONSUMES * (name in CONSUMERS)
        | ENTERS * (name in ENTRIES)
        | SEGMENTS * (name in SEGMENTERS)
        | AFTER_FREE * name.startswith(FREE_PREFIXES)
    )
