"""Hunt: random stacks, each without segmentation and with it, until the time is up.

Each stack is measured in a child of this process, in namespaces of its own, so that whatever it
leaves behind or waits for ends with it. What is found is made smaller at once, here: a machine
takes longer to start than a hundred stacks.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from .bench import MACHINES, Bench
from .draws import Draws
from .judge import outcome, same, suspicious, why
from .netns import SetupError, isolate
from .probes import Probes
from .stacks import (
    OFFLOADS,
    Rules,
    Stack,
    Way,
    as_data,
    explains,
    simpler,
    way,
)

_STACK_SECONDS = 150.0
_SIGN_SECONDS = 15.0  # between signs of life; without one the host ends the machine
_MOST_TRIALS = 30  # stacks that are tried to make one smaller
# Else each namespace has a device of each tunnel's module from the beginning.
_FALLBACK_DEVICES = Path("/proc/sys/net/core/fb_tunnels_only_for_init_net")


class Hunt:
    """One boot of a hunt. ``plan``: rules, seed, the first stack, how far to the next one."""

    def __init__(self, plan: dict[str, Any], progress: Callable[..., None], left: Path) -> None:
        self.plan, self.progress, self.left = plan, progress, left
        self.rules: Rules = plan["rules"]
        self.wire = left / "wire.frames"
        self.end = time.monotonic() + plan["seconds"]
        self.loaded: set[str] = set()
        self.findings: list[tuple[Stack, frozenset[str]]] = [
            (Stack.of(one["stack"]), frozenset(one["complaints"])) for one in plan["known"]
        ]

    def perform(self) -> dict[str, Any]:
        """Hunt until the time is up, or all stacks are done; return how many were."""
        Probes()
        _FALLBACK_DEVICES.write_text("2")
        done, draws = 0, Draws(self.rules, self.plan["seed"])
        numbers = self.plan.get("stacks") or count(self.plan["first"], self.plan["step"])
        for number in numbers:
            if time.monotonic() > self.end:
                break
            stack = draws[number]
            self.progress(stage="stack", number=number, text=str(stack))
            self.progress(stage="done", number=number, **self.judged(stack, number))
            done += 1
        return {"stacks": done}

    def judged(self, stack: Stack, number: int) -> dict[str, Any]:
        """Measure a stack; make what is found smaller, unless the same was found before."""
        measured = self.measured(stack, tuple(OFFLOADS))
        stack = replace(stack, offload=measured.get("offload", stack.offload))
        found = suspicious(measured)
        if not found:
            return {"outcome": outcome(measured), "why": why(measured)}
        if known := self.known(stack, found):
            return {"outcome": "finding", "why": "", "same_as": str(known)}
        self.keep_wire(number)
        smallest, evidence = self.smallest(stack, found, measured, number)
        found = suspicious(evidence)  # all of it, by which it is recognised
        if known := self.known(smallest, found):
            return {"outcome": "finding", "why": "", "same_as": str(known)}
        self.findings.append((smallest, found))
        (self.left / f"finding-{number}.trace").write_text(evidence.pop("trace", ""))
        told = {"stack": as_data(smallest), "complaints": sorted(found), "measured": evidence}
        (self.left / f"finding-{number}.json").write_text(json.dumps(told))
        return {"outcome": "finding", "why": evidence["words"], "text": str(smallest)}

    def known(self, stack: Stack, found: frozenset[str]) -> Stack | None:
        """Return an earlier finding that explains this one."""
        for other, complained in self.findings:
            if explains(other, stack) and same(found, complained):
                return other
        return None

    def smallest(
        self, stack: Stack, found: frozenset[str], measured: dict[str, Any], number: int
    ) -> tuple[Stack, dict[str, Any]]:
        """Take away from a stack what can go while it is complained of the same."""
        tried_before: set[Stack] = set()
        smaller = True
        while smaller:
            smaller = False
            for candidate in simpler(stack, self.rules):
                if candidate in tried_before:
                    continue
                tried_before.add(candidate)
                if len(tried_before) > _MOST_TRIALS:
                    return stack, measured
                self.progress(stage="smaller", text=str(candidate))
                tried = self.measured(candidate)
                if complained := same(found, suspicious(tried)):
                    stack, found, measured, smaller = candidate, complained, tried, True
                    self.keep_wire(number)
                    break
        return stack, measured

    def keep_wire(self, number: int) -> None:
        """Keep the frames of the last measurement for this finding."""
        with suppress(FileNotFoundError):
            self.wire.replace(self.left / f"finding-{number}.frames")

    def measured(self, stack: Stack, offloads: tuple[str, ...] = ()) -> dict[str, Any]:
        """Measure a stack in a child; a child that does not end says nothing.

        ``offloads``: measure with these, too, until there is something to complain of.
        """
        there = way(stack, self.rules)
        self.load(there.modules)
        return _in_child(
            lambda: _measured(stack, there, self.wire, offloads),
            lambda: self.progress(stage="waiting"),
        )

    def load(self, modules: tuple[str, ...]) -> None:
        """Load what the kernel cannot load itself in a machine whose modules are elsewhere."""
        if missing := set(modules) - self.loaded:
            subprocess.run(["modprobe", "--all", "--quiet", *sorted(missing)], check=False)
            self.loaded |= missing


def _measured(stack: Stack, there: Way, wire: Path, offloads: tuple[str, ...]) -> dict[str, Any]:
    isolate(MACHINES)
    return Bench(stack, there, wire).measured(offloads)


def _in_child(measure: Callable[[], dict[str, Any]], waiting: Callable[[], None]) -> dict[str, Any]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            result = measure()
        except (SetupError, OSError) as error:
            result = {"refused": str(error).replace("\n", "; ")}
        with os.fdopen(writer, "w") as sink:
            sink.write(json.dumps(result))
        os._exit(0)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as source:
            text = _read(source.fileno(), waiting)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return json.loads(text) if text else {"refused": "the measurement did not end"}


def _read(descriptor: int, waiting: Callable[[], None]) -> bytes:
    data, end = b"", time.monotonic() + _STACK_SECONDS
    while (left := end - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], min(left, _SIGN_SECONDS))[0]:
            waiting()
        elif piece := os.read(descriptor, 1 << 16):
            data += piece
        else:
            return data
    return b""


def perform(left: Path, plan: dict[str, Any], progress: Callable[..., None]) -> dict[str, Any]:
    """Hunt as the plan says."""
    return Hunt(plan, progress, left).perform()
