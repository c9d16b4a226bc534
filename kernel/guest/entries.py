"""Count how often functions of the kernel are entered, by kprobes that record nothing else."""

from __future__ import annotations

from typing import Any

from .probes import TRACEFS, append

_GROUP = "gso_entries"
# An instance of its own: what these events record must not fill the trace of the others.
_INSTANCE = TRACEFS / "instances" / _GROUP


class Entries:
    """The functions of a plan, each with the places whose entries are counted for it."""

    def __init__(self, functions: list[dict[str, Any]]) -> None:
        self.watched: dict[str, dict[str, Any]] = {}
        self._events: dict[str, str] = {}  # of each place
        self._before: dict[str, int] = {}
        if functions:
            _INSTANCE.mkdir(exist_ok=True)
            (_INSTANCE / "tracing_on").write_text("0")
        for function in functions:
            self.watched[function["name"]] = self._watch(function["places"], function["why"])

    def _watch(self, places: list[str], why: str) -> dict[str, Any]:
        for place in places:
            try:
                self._count(place)
            except OSError as error:
                # What is missing may be what ran: the others alone say nothing.
                return {"symbols": [], "why": f"there is no probe at {place}: {error.strerror}"}
        return {"symbols": places, "why": why}

    def _count(self, place: str) -> None:
        if place not in self._events:
            event = f"e{len(self._events)}"
            append("kprobe_events", f"p:{_GROUP}/{event} {place}")
            (_INSTANCE / "events" / _GROUP / event / "enable").write_text("1")
            self._events[place] = event

    def new(self) -> dict[str, int]:
        """Return the entries of each counted function since the last call, where there are any."""
        counts = hits() if self._events else {}
        now = {
            name: sum(counts[self._events[place]] for place in watched["symbols"])
            for name, watched in self.watched.items()
            if watched["symbols"]
        }
        found = {name: count - self._before.get(name, 0) for name, count in now.items()}
        self._before = now
        return {name: count for name, count in found.items() if count}


def hits() -> dict[str, int]:
    """Return the entries of each event; those that came while another probe was busy count too."""
    found = {}
    for line in (TRACEFS / "kprobe_profile").read_text().splitlines():
        event, hits, misses = line.split()
        found[event] = int(hits) + int(misses)
    return found
