"""One run of ``conformance --gro``: make streams, boot, send them, compare."""

from __future__ import annotations

import io
import json
import lzma
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any

from gso.kernel import guest_files
from gso.kernel.bootable import Bootable
from gso.kernel.conformance.gro import flows, streams
from gso.kernel.conformance.gro.compare import (
    APART,
    DIFFERENT,
    EQUAL,
    Judged,
    Made,
    completed_at_once,
    judge,
    stays_below,
)
from gso.kernel.conformance.gro.streams import Handed, Stream
from gso.kernel.conformance.tunnels.run import Options, boot_in, boots, hosts, pieces, ready
from gso.kernel.errors import UsageError
from gso.kernel.guest.records import CHECKSUM_PARTIAL, LENGTH, MERGED, STREAM, with_length
from gso.kernel.machine.share import GIVEN
from gso.kernel.paths import GUEST
from gso.kernel.progress import Progress
from gso.kernel.trees import debian
from gso.kernel.trees.modules import own_module

from gso.versions import nearest

_PER_BOOT = 2000
_LARGEST_SAMPLE = 3000  # bytes of the frames of a stream that is kept as an example
# Before, outer IDs that count could go with inner ones that stay, and GRO changed data where remote
# checksums are completed at once (both seen in 6.1).
_FIRST_ALIKE = (6, 10)

VERDICTS = (EQUAL, APART, DIFFERENT)


class Report:
    """The result of a run.

    ``apart``: streams kept apart, by the reason. ``refused``: commands of the set-up that failed.
    ``booted``: the host of each boot.
    """

    def __init__(self, kernel: str, seed: int, *, release: str) -> None:
        self.kernel, self.seed, self.release = kernel, seed, release
        self.tallies: dict[str, Counter[str]] = {}
        self.differences: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []
        self.refused: dict[str, str] = {}
        self.apart: Counter[str] = Counter()
        self.booted: list[str] = []
        self._kept: set[tuple[str, str]] = set()

    def add(self, one: Judged, number: int) -> None:
        """Take a judged stream in."""
        tally = self.tallies.setdefault(family(one.stream.shape), Counter())
        tally[one.verdict] += 1
        tally["frames"] += len(one.stream.frames)
        tally["merged"] += one.merged
        name = f"gro/{one.stream.shape.replace(' ', '-')}/{self.seed}-{number}"
        if one.verdict == DIFFERENT:
            self.differences.append(record(one, name))
            return
        reason = one.why.rpartition(": ")[2]
        if one.verdict == APART:
            self.apart[reason] += 1
        if one.merged and sum(map(len, one.stream.frames)) <= _LARGEST_SAMPLE:
            kind = one.stream.shape, reason
            if kind not in self._kept:
                self._kept.add(kind)
                self.samples.append(record(one, name))

    def total(self, column: str) -> int:
        """Return the sum of a column."""
        return sum(tally[column] for tally in self.tallies.values())

    def summary(self) -> dict[str, Any]:
        """Return everything but the streams that agree."""
        return {
            "kernel": self.kernel,
            "seed": self.seed,
            "streams": sum(self.total(verdict) for verdict in VERDICTS),
            "tallies": [{"family": name, **tally} for name, tally in self.tallies.items()],
            "kept_apart": dict(self.apart),
            "refused": self.refused,
            "hosts": hosts(self.booted),
            "differences": self.differences,
        }


def family(shape: str) -> str:
    """Return the tunnel of a shape."""
    words = [word.split("-")[0] for word in shape.split()]
    for tunnel in ("vxlan", "gpe", "geneve", "gue", "fou", "gre"):
        if tunnel in words:
            return tunnel
    if sum(word.startswith("ip") for word in words) > 1:
        return "IP in IP"
    return "vlan" if "vlan" in words else "none"


def compare(options: Options, progress: Progress) -> Report:
    """Boot a kernel, send all streams through its GRO, and judge every answer."""
    kernel = debian.choose(options.kernel)
    source = replayed(options.replay) if options.replay else _made(options)
    if tuple(map(int, kernel.release.split(".")[:2])) < _FIRST_ALIKE:
        source = (
            stream for stream in source if not stays_below(stream) and not completed_at_once(stream)
        )
    bootable = ready(kernel, options, progress)
    progress.stage("building the module that hands frames to GRO")
    bootable = replace(bootable, modules=(own_module(kernel, GUEST / "receiver"),))
    report = Report(f"Debian {kernel.release}", options.seed, release=kernel.release)
    number = 0
    for judged in boots(
        options,
        progress,
        pieces(source, _PER_BOOT),
        lambda sent: _boot(options, bootable, sent, report),
    ):
        for one in judged:
            report.add(one, number)
            number += 1
    return report


def _made(options: Options) -> Iterator[Stream]:
    shapes = [
        shape
        for shape in streams.SHAPES
        if not options.only or any(word in shape for word in options.only)
    ]
    if not shapes:
        raise UsageError(
            f"no stream has {' or '.join(options.only)} in its headers; there are "
            + ", ".join(streams.SHAPES)
        )
    for number in range(options.count):
        # Each has a seed of its own: one stream can be made again without those before it.
        yield streams.make(Random(f"{options.seed}-{number}"), shapes)


def _boot(
    options: Options, bootable: Bootable, sent: Sequence[Stream], report: Report
) -> Iterator[Judged]:
    with tempfile.TemporaryDirectory(prefix="gso-conformance-") as name:
        folder = Path(name)
        _write(folder / "streams.bin", sent)
        plan = {
            "gro": {
                "devices": [device._asdict() for device in streams.DEVICES],
                "completing": flows.COMPLETING,
                "listeners": streams.LISTENERS,
                "fou_listeners": streams.FOU_LISTENERS,
                "streams": str(GIVEN / "streams.bin"),
            }
        }
        done = boot_in(options, folder, bootable, plan, folder / "streams.bin")
        report.booted.append(done.place)
        report.refused |= done.guest["refused"]
        source = io.BytesIO(guest_files.read(folder / "vm" / "outcome.bin"))
        for stream in sent:
            with guest_files.understood("outcome.bin"):
                made = _read(source)
            yield replace(judge(stream, made, nearest(report.release)), host=done.host)


def _write(path: Path, sent: Sequence[Stream]) -> None:
    with path.open("wb") as sink:
        for stream in sent:
            sink.write(STREAM.pack(stream.device, len(stream.frames)))
            for frame, handed in zip_longest(stream.frames, stream.handed):
                sink.write(with_length(handed.pack(len(frame)) + frame if handed else frame))


def _read(source: Any) -> list[Made]:
    (count,) = LENGTH.unpack(source.read(LENGTH.size))
    made = []
    for _ in guest_files.counted(count):
        length, size, kind, summed = MERGED.unpack(source.read(MERGED.size))
        # What was not merged is as it came, from a driver of our own so, too.
        partial = summed == CHECKSUM_PARTIAL and size > 0
        made.append(Made(guest_files.exactly(source, length), size, kind if size else 0, partial))
    return made


# --- records -----------------------------------------------------------------------------------


def record(one: Judged, name: str) -> dict[str, Any]:
    """Return a stream with the kernel's answer, and where they differ with ours, for JSON."""
    found: dict[str, Any] = {
        "name": name,
        "shape": one.stream.shape,
        "device": streams.DEVICES[one.stream.device].name,
        "frames": [frame.hex() for frame in one.stream.frames],
        "kernel": [_packet(packet) for packet in one.kernel],
        "verdict": one.verdict,
    }
    if one.stream.handed:
        found["handed"] = [list(handed) for handed in one.stream.handed]
    if one.why:
        found |= {"why": one.why, "ours": [_packet(packet) for packet in one.ours]}
    if one.host and one.verdict == DIFFERENT:
        found["host"] = one.host
    return found


def _packet(one: Made) -> dict[str, Any]:
    found: dict[str, Any] = {"frame": one.frame.hex()}
    if one.gso_size:
        found |= {"gso_size": one.gso_size, "gso_type": one.gso_type}
        found |= {} if one.partial else {"partial": False}
    return found


def read_records(path: Path) -> Iterator[tuple[dict[str, Any], Stream, list[Made]]]:
    """Read records of this module: each with its stream and the kernel's answer."""
    numbers = {device.name: number for number, device in enumerate(streams.DEVICES)}
    for found in json.loads(lzma.decompress(path.read_bytes()))["records"]:
        frames = tuple(map(bytes.fromhex, found["frames"]))
        handed = tuple(Handed(*one) for one in found.get("handed", ()))
        stream = Stream(numbers[found["device"]], found["shape"], frames, handed)
        kernel = [
            Made(
                bytes.fromhex(packet["frame"]),
                packet.get("gso_size", 0),
                packet.get("gso_type", 0),
                packet.get("partial", "gso_size" in packet),
            )
            for packet in found["kernel"]
        ]
        yield found, stream, kernel


def replayed(path: Path) -> Iterator[Stream]:
    """Read the streams of an earlier run."""
    try:
        yield from [stream for _, stream, _ in read_records(path)]
    except (OSError, lzma.LZMAError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: not streams of an earlier run: {error}") from None
