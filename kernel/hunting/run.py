"""A hunt: machines booted one after the other until the time is up, and what they found."""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from gso.kernel import guest_files
from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError
from gso.kernel.guest.draws import Draws
from gso.kernel.guest.stacks import MOST_LAYERS, Rules, Stack, as_data, way
from gso.kernel.hunting import rules
from gso.kernel.machine import channel, jobs
from gso.kernel.machine.jobs import Job, Result
from gso.kernel.progress import Progress
from gso.kernel.trees.patches import Patch
from gso.kernel.trees.single import Single, make

CONSOLE = "console.log"
_LAST_WORDS = tuple(
    re.compile(words)
    for words in (
        r"\b((?:BUG|Oops|WARNING): [^\r\n]*)",
        r"RIP: 0010:(\S+)",
        r"(Kernel panic[^\r\n]*)",
    )
)
_LONGEST_WORDS = 200
_MOST_LOST = 5  # machines one after the other that measure nothing
_GRACE_SECONDS = 300.0  # for the start of a machine, and for making its last finding smaller


@dataclass(frozen=True)
class Options:
    """The extent of a hunt. ``seconds``: for how long; ``shard``: this one of so many.

    ``fix``: the patch of a fault in its forms, taken out of the kernel. ``stacks``: these alone,
    by number.
    """

    kernel: str | None = None
    fix: Sequence[Path] = ()
    seed: int = 0
    seconds: float = 1800.0
    shard: tuple[int, int] = (1, 1)
    only: Sequence[str] = ()
    without: Sequence[str] = ()
    stacks: Sequence[int] = ()


@dataclass
class Hunt:
    """The result of a hunt. ``outcomes``: how many stacks ended how; ``by_kind``: that, by rule.

    ``unjudged``: why stacks were not judged, and how many. ``hosts``: how many machines each of
    them booted.
    """

    options: Options
    outcomes: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)
    unjudged: Counter[str] = field(default_factory=Counter)
    lost: list[dict[str, Any]] = field(default_factory=list)
    hosts: Counter[str] = field(default_factory=Counter)
    kernel: str = ""
    seconds: float = 0.0

    @property
    def legal(self) -> int:
        """Stacks that carry their traffic without segmentation."""
        return self.judged + self.outcomes["not exercised"]

    @property
    def judged(self) -> int:
        """Stacks in which packets were segmented, or that show a fault."""
        return self.outcomes["clean"] + self.outcomes["finding"]

    @property
    def state(self) -> str:
        """How far it is, in words."""
        counts = {"stacks": sum(self.outcomes.values()), "legal": self.legal}
        counts |= {"judged": self.judged, "findings": len(self.findings)}
        return ", ".join(f"{count} {what}" for what, count in counts.items())

    @property
    def exit_status(self) -> int:
        """0: all judged stacks are clean; 1: there are findings; 125: nothing was judged."""
        if self.findings or self.lost:
            return 1
        return 0 if self.judged else TestBedError.exit_status


def hunt(options: Options, folder: Path, progress: Progress) -> Hunt:
    """Hunt on this machine; ``folder`` gets the evidence.

    Raises:
        UsageError: a word names no rule.
        TestBedError: no machine measures anything.
    """
    rules.chosen(options.only, options.without)
    with made(options, progress) as kernel:
        return hunt_in(kernel, options, folder, progress)


def hunt_on(
    machines: Executor, options: Options, folder: Path, progress: Progress
) -> list[tuple[Hunt, Path]]:
    """Hunt on the machines of a cluster, each of which has a part of the stacks.

    Return each part with the folder of its evidence: those that ``--shard`` would have left. One in
    which no machine measures anything is left out.

    Raises:
        UsageError: a word names no rule.
        TestBedError: no machine measures anything.
    """
    rules.chosen(options.only, options.without)
    found: list[tuple[Hunt, Path]] = []
    with made(options, progress) as kernel, jobs.waiting(machines) as pool:
        under_way = [
            (pool.submit(hunt_in, kernel, part, place, progress, machines), place)
            for part, place in _parts(options, folder, jobs.slots(machines))
        ]
        for future, place in under_way:
            try:
                found.append((future.result(), place))
            except TestBedError as error:
                failed = error
                progress.note(f"{place.name}: {error}")
    if not found:
        raise failed
    return found


def _parts(options: Options, folder: Path, slots: int) -> Iterator[tuple[Options, Path]]:
    """Divide a hunt, which may be a part itself."""
    index, count = options.shard
    number = min(slots, len(options.stacks)) if options.stacks else slots
    for at in range(number):
        shard = index + count * at, count * number
        part = replace(options, shard=shard, stacks=options.stacks[at::number])
        yield part, folder / f"part-{at + 1}"


@contextmanager
def made(options: Options, progress: Progress) -> Iterator[Bootable]:
    """Make the kernel ready."""
    fix = Patch.read_forms(options.fix) if options.fix else None
    with tempfile.TemporaryDirectory(prefix="gso-kernel-") as name:
        yield make(Single(options.kernel, fix=fix), Path(name, "build.log"), progress)


def hunt_in(
    kernel: Bootable,
    options: Options,
    folder: Path,
    progress: Progress,
    machines: Executor | None = None,
) -> Hunt:
    """Hunt in a kernel, boot after boot."""
    chosen, begun = rules.chosen(options.only, options.without), time.monotonic()
    found, draws = Hunt(options), Draws(chosen, options.seed)
    with tempfile.TemporaryDirectory(prefix="gso-kernel-") as name:
        found.kernel = kernel.image.name.removeprefix("vmlinuz-")
        left = list(options.stacks)
        first, step = options.shard[0] - 1, options.shard[1]
        hunted, idle = time.monotonic(), 0
        for boot in range(1 << 30):
            seconds = options.seconds - (time.monotonic() - hunted)
            if seconds <= 0 or (options.stacks and not left):
                break
            plan = {
                **{"rules": chosen, "seed": options.seed, "first": first, "step": step},
                **{"stacks": left, "seconds": seconds, "known": found.findings},
            }
            progress.stage(f"booting, from stack {left[0] if left else first} on")
            evidence = folder / f"boot-{boot}"
            timeout = seconds + _GRACE_SECONDS
            job = Job(kernel, {"hunt": plan}, evidence, timeout, Path(name, f"stop-{boot}"))
            result = jobs.done(job, machines)
            asked = iter(left) if left else count(first, step)
            done = _gather(found, draws, asked, evidence, result)
            first = max(done, default=first - step) + step
            left = [number for number in left if number not in done]
            progress.note(found.state)
            idle = 0 if done else idle + 1
            if idle == _MOST_LOST:
                raise TestBedError("vm", f"{idle} machines measured nothing", evidence / CONSOLE)
            if result.status == "done":
                break
    found.seconds = round(time.monotonic() - begun, 1)
    return found


def _lost(result: Result) -> str | None:
    """Return why the machine ended before its time, if it did."""
    if result.status == "failed":
        raise result.error()
    return None if result.status == "done" else result.message


def _gather(
    found: Hunt, draws: Draws, asked: Iterator[int], folder: Path, result: Result
) -> list[int]:
    """Add what a boot tells; return the numbers of the stacks that are done with.

    ``asked``: the numbers of the stacks in their order; a guest tells of no others.
    """
    lost, host = _lost(result), result.place
    found.hosts[host] += 1
    done: list[int] = []
    begun: dict[str, Any] | None = None
    tried = ""  # what a finding was being made smaller to
    for event in channel.events(folder):
        with guest_files.understood(channel.PROGRESS):
            if event["stage"] == "stack":
                if event["number"] != next(asked, None):
                    raise ValueError(f"stack {event['number']} was not asked for")
                begun, tried = event, ""
            elif event["stage"] == "smaller":
                tried = str(event["text"])
            elif event["stage"] == "done" and begun:
                _count(found, draws, begun, event)
                _add(found, draws.rules, folder, {**event, "first": begun["text"], "host": host})
                done.append(event["number"])
                begun = None
    if lost is not None and begun:
        # The stack that the machine died of costs itself alone.
        why = "; ".join([lost, *_last_words(folder / CONSOLE)])
        stack = as_data(draws[begun["number"]])
        said = {"text": tried or begun["text"], "why": why, "host": host, "stack": stack}
        found.lost.append({"number": begun["number"], **said, "boot": folder.name})
        found.outcomes["machine lost"] += 1
        done.append(begun["number"])
    return done


def _last_words(console: Path) -> Iterable[str]:
    """Return what the kernel of a lost machine complained of, and in which function."""
    found: dict[re.Pattern[str], str] = {}
    with suppress(guest_files.GuestFileError):
        for line in guest_files.lines(console):
            for words in _LAST_WORDS:
                if words not in found and (said := words.search(line)):
                    found[words] = said[1][:_LONGEST_WORDS]
    return [found[words] for words in _LAST_WORDS if words in found]


def _count(found: Hunt, draws: Draws, begun: dict[str, Any], event: dict[str, Any]) -> None:
    outcome = event["outcome"]
    found.outcomes[outcome] += 1
    stack = draws[begun["number"]]
    for kind in {layer.kind for layer in (*stack.near, *stack.far)}:
        found.by_kind.setdefault(kind, Counter())[outcome] += 1
    if outcome in ("refused", "illegal"):
        found.unjudged[event["why"]] += 1


def _add(found: Hunt, chosen: Rules, folder: Path, event: dict[str, Any]) -> None:
    """Add a finding, or count one that is known."""
    for finding in found.findings:
        finding["seen"] += finding["text"] == event.get("same_as")
    if "text" not in event:
        return
    path = folder / f"finding-{event['number']}.json"
    with guest_files.understood(path.name):
        told = guest_files.read_json(path)
        stack = _buildable(Stack.of(told["stack"]), chosen)
        found.findings.append(
            {
                **{key: told[key] for key in ("stack", "complaints", "measured")},
                **{"number": int(event["number"]), "why": event["why"], "text": str(stack)},
                **{"first": event["first"], "seen": 1, "host": event["host"]},
            }
        )


def _buildable(stack: Stack, chosen: Rules) -> Stack:
    """Return a stack that a guest told of; raise ``ValueError`` or ``KeyError`` for another."""
    if len(stack.near) > 1 or len(stack.far) > MOST_LAYERS:
        raise ValueError(f"{len(stack.near)} and {len(stack.far)} layers")
    way(stack, chosen)
    return stack
