"""One run: make packets, boot, send them, compare."""

from __future__ import annotations

import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from gso.kernel.bootable import Bootable
from gso.kernel.conformance.coverage import counted
from gso.kernel.conformance.coverage.run import Coverage
from gso.kernel.conformance.tunnels import malformed, outcomes, packets, records
from gso.kernel.conformance.tunnels.compare import DIFFERENT, Judged, Tally, judge
from gso.kernel.conformance.tunnels.devices import DIRECT, STRAIGHT, TAP, Device, devices
from gso.kernel.conformance.tunnels.packets import Packet
from gso.kernel.errors import UsageError
from gso.kernel.machine import jobs
from gso.kernel.machine.jobs import Job, Result
from gso.kernel.machine.share import GIVEN
from gso.kernel.progress import Progress
from gso.kernel.trees import debian
from gso.kernel.trees.debian import DebianKernel

from gso.versions import nearest

_T = TypeVar("_T")
_J = TypeVar("_J")

_MALFORMED = 0.8  # of the packets for the segmenting device
_PER_BOOT = 8000
_LARGEST_SAMPLE = 2000  # bytes of a packet that is kept though nothing is wrong with it
_SAMPLES, _DIRECT_SAMPLES = 1, 20  # of each device, transport, IP version and outcome


@dataclass(frozen=True)
class Options:
    """The packets to try. The same seed, count and selection make the same packets.

    ``only``: words of which a device's kind must have one. ``replay``: packets of an earlier run
    instead. ``machines``: those of a cluster; ``None``: this one. ``coverage``: counts
    the lines of the kernel that are reached.
    """

    seed: int = 0
    count: int = 1000
    only: Sequence[str] = ()
    kernel: str | None = None
    replay: Path | None = None
    timeout: float = 600.0
    machines: Executor | None = None
    coverage: Coverage | None = None


@dataclass
class Report:
    """The result of a run.

    ``refused``: devices that this kernel would not make, and why. ``types``: with ``--types``, how
    many packets with each bit of gso_type it segmented as we do. ``booted``: the host of each boot.
    """

    kernel: str
    seed: int
    tallies: dict[str, Tally] = field(default_factory=dict)
    differences: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    types: Counter[str] = field(default_factory=Counter)
    release: str = ""
    booted: list[str] = field(default_factory=list)

    def count(self, family: str, verdict: str, segments: int) -> None:
        """Count a packet that became so many segments."""
        self.tallies.setdefault(family, Tally(family)).add(verdict, segments)

    def add(self, one: Judged, number: int) -> None:
        """Take a judged packet in."""
        self.count(one.device.family, one.verdict, len(one.outcome.segments))
        if one.verdict == DIFFERENT:
            self.differences.append(records.of(one, f"{self.seed}-{number}"))
        elif records.can_be_kept(one) and len(one.outcome.packet.frame) <= _LARGEST_SAMPLE:
            self.samples.append(records.of(one, f"{self.seed}-{number}"))

    def total(self, verdict: str | None = None) -> int:
        """Return how many packets there were, of one verdict or of all."""
        counters = [tally.verdicts for tally in self.tallies.values()]
        return sum(c.total() if verdict is None else c[verdict] for c in counters)

    def summary(self) -> dict[str, Any]:
        """Return everything but the packets that agree."""
        return {
            "kernel": self.kernel,
            "seed": self.seed,
            "packets": self.total(),
            "tallies": [tally.summary() for tally in self.tallies.values()],
            "refused_devices": self.refused,
            "types": dict(self.types),
            "hosts": hosts(self.booted),
            "differences": self.differences,
        }


def compare(options: Options, progress: Progress) -> Report:
    """Boot a kernel, send all packets through it, and judge every answer."""
    known = devices()
    kernel = debian.choose(options.kernel)
    source = _replayed(options.replay, known) if options.replay else _made(options, known)
    bootable = ready(kernel, options, progress)
    report = Report(f"Debian {kernel.release}", options.seed, release=kernel.release)
    kept: Counter[tuple[object, ...]] = Counter()
    samples: list[dict[str, Any]] = []
    number = 0
    for judged in boots(
        options,
        progress,
        pieces(source, _PER_BOOT),
        lambda sent: _boot(options, bootable, known, sent, report),
    ):
        for one in judged:
            report.add(one, number)
            number += 1
        samples += _thinned(report.samples, kept)
        report.samples = []
    report.samples = samples
    return report


def ready(kernel: DebianKernel, options: Options, progress: Progress) -> Bootable:
    """Fetch a kernel, with all that is needed to tell which of its lines are reached."""
    progress.stage(f"fetching Debian's kernel {kernel.release}")
    debian.fetch(kernel)
    if options.coverage:
        options.coverage.prepare(kernel, progress)
    return Bootable(kernel.image, modules_folder=kernel.modules_folder)


def _boot(
    options: Options,
    bootable: Bootable,
    known: list[Device],
    sent: list[tuple[int, Packet]],
    report: Report,
) -> Iterator[Judged]:
    with tempfile.TemporaryDirectory(prefix="gso-conformance-") as name:
        folder = Path(name)
        given = folder / "packets.bin"
        outcomes.write_packets(given, sent)
        used = {number for number, _ in sent}
        done = boot_in(options, folder, bootable, _plan(known, used), given)
        report.booted.append(done.place)
        kinds = {device.name: device.kind for device in known}
        report.refused |= {kinds[name]: why for name, why in done.guest["refused"].items()}
        for outcome in outcomes.read(folder / "vm", sent):
            one = judge(known[outcome.device], outcome, nearest(report.release))
            yield replace(one, host=done.host)


def pieces(source: Iterator[_T], size: int) -> Iterator[list[_T]]:
    """Cut what is to be sent into the lots of one boot each."""
    while sent := list(islice(source, size)):
        yield sent


def boots(
    options: Options,
    progress: Progress,
    lots: Iterator[list[_T]],
    boot: Callable[[list[_T]], Iterator[_J]],
) -> Iterator[Iterable[_J]]:
    """Boot for each lot, and yield what came of it, in order.

    A cluster does as many at once as it has machines. Each boot is begun when its lot is made.
    """
    if options.machines is None:
        for lot in lots:
            progress.stage(f"booting, and sending {len(lot)}")
            yield boot(lot)
        return
    slots = jobs.slots(options.machines)
    under_way: deque[Future[list[_J]]] = deque()
    with jobs.waiting(options.machines) as pool:
        for lot in lots:
            progress.stage(f"booting at a worker, and sending {len(lot)}")
            under_way.append(pool.submit(_all, boot, lot))
            if len(under_way) == slots:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _all(boot: Callable[[list[_T]], Iterator[_J]], lot: list[_T]) -> list[_J]:
    return list(boot(lot))


def boot_in(
    options: Options, folder: Path, bootable: Bootable, plan: dict[str, Any], given: Path
) -> Result:
    """Boot with a plan and a file, in a folder that goes afterwards; return what came of it."""
    place, stop = folder / "vm", folder / "stop"
    watched = options.coverage.watched if options.coverage else ()
    if watched:
        plan = {**plan, "coverage": counted.modules()}
    job = Job(bootable, plan, place, options.timeout, stop, inputs=(given,), watched=watched)
    result = jobs.done(job, options.machines)
    if result.status != "done":
        raise result.error()
    if options.coverage:
        options.coverage.take(place)
    return result


def hosts(booted: Sequence[str]) -> dict[str, int]:
    """Return how many machines each host booted, by its name."""
    return dict(sorted(Counter(booted).items()))


def _made(options: Options, known: list[Device]) -> Iterator[tuple[int, Packet]]:
    chosen = [
        number
        for number, device in enumerate(known)
        if not options.only or any(word in device.kind for word in options.only)
    ]
    if not chosen:
        kinds = ", ".join(device.kind for device in known)
        raise UsageError(
            f"no device has {' or '.join(options.only)} in its name; there are {kinds}"
        )
    return _random(Random(options.seed), options.count, known, chosen)


def _random(
    r: Random, count: int, known: list[Device], chosen: list[int]
) -> Iterator[tuple[int, Packet]]:
    direct = [number for number in chosen if known[number].name == DIRECT]
    for number in range(count):
        # The segmenting device takes anything, and as much of it as all tunnels together.
        index = direct[0] if direct and number % 2 else chosen[number // 2 % len(chosen)]
        device = known[index]
        if device.name in STRAIGHT and r.random() < _MALFORMED:
            yield index, malformed.make(r)
        else:
            yield index, packets.make(r, device)


def _replayed(path: Path, known: list[Device]) -> Iterator[tuple[int, Packet]]:
    numbers = {device.kind: number for number, device in enumerate(known)}
    for kind, packet in records.packets_of(path):
        if kind not in numbers:
            raise UsageError(f"{path}: no device is called {kind!r} now")
        yield numbers[kind], packet


def _plan(known: list[Device], used: set[int]) -> dict[str, Any]:
    wanted = [asdict(device) for device in known]
    for number, device in enumerate(wanted):
        if number not in used:
            device["ip"] = device["tc"] = ()
    return {
        "tunnels": {
            "devices": wanted,
            "direct": DIRECT,
            "tap": TAP,
            "packets": str(GIVEN / "packets.bin"),
        }
    }


def _thinned(
    samples: list[dict[str, Any]], kept: Counter[tuple[object, ...]]
) -> list[dict[str, Any]]:
    """Keep a few of each kind."""
    found = []
    for one in samples:
        key = tuple(
            one[name] for name in ("config", "tunnel", "inner_l4", "inner_family", "dropped")
        )
        kept[key] += 1
        if kept[key] <= (_DIRECT_SAMPLES if one["input_source"] == "injected" else _SAMPLES):
            found.append(one)
    return found
