"""Fuzz segmentation: whichever door super-packets go through, their segments are the same.

Each round makes a thousand cases. A case is a super-packet that a kernel segmented, of another
length and with some header bytes changed, with a segment size and perhaps a type of its own. They
are cut one by one, as a batch, as two batches, into memory of the caller's, by two threads, on each
path that the processor has, and as headers with slices of the payload; the segments are merged and
cut again, by their type and behind virtio headers. A sample goes through the reference in plain
Python. It knows no coverage, but compares whole batches at once and not packet by packet, and so
tries twenty times as many cases as libFuzzer does with the target `doors`.

Exits 1 if it finds something; the round's packets are then FOLDER/batches-SEED.pcap.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import gso
from gso.buffers import _checksum
from gso.segmentation import _batch
from gso.versions import KERNELS

sys.path.append(str(Path(__file__).resolve().parents[1]))

import reference
import vectorset

PORTS = {
    5501: gso.Tunnel.GUE,
    5555: gso.Tunnel.FOU,
    5557: (gso.Tunnel.FOU, 47),
    4791: gso.Tunnel.VXLAN,
    6083: gso.Tunnel.GENEVE,
    7010: gso.Tunnel.GENEVE,
}
"""Those of the vectors, but few: a mapping of many is read again for each frame."""
CASES = 1000
"""Frames of a round."""
ROUNDS_OF_A_POOL = 50
"""After so many rounds the lengths of the super-packets are drawn anew."""
POOL = 3000
LENGTHS = (0, 1, 60, 200, 600, 1500, 1500, 5000)
"""A frame gets up to so many bytes of payload; a few get up to 64 KiB."""
LONG = 0.001
SIZES = (8, 100, 536, 1448, 1448, 1448, 9000, 70_000)
"""A gso_size is up to one of these."""
MOST_SEGMENTS = 16
"""With more segments than about that, a case costs more than it tells: its size is made larger."""
MOST_CHANGES = 4
CHANGED = 160
"""Bytes from the start of a frame that may change."""
WORDS = np.array([0, 1, 4, 6, 17, 0x40, 0x45, 0x60, 0x7F, 0x80, 0xFE, 0xFF], np.uint8)
BY_REFERENCE = 4
"""Cases of a round that the slow reference cuts too."""
MOST_BY_REFERENCE = 40
SMALLEST_VIRTIO = 8

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Round:
    """What is cut, and how."""

    frames: gso.Frames
    size: Numbers
    gso_type: Numbers | None
    checksum: Any
    kernel: Any
    ports: Any
    cut: int
    sample: list[int]

    def choice(self, part: Any = slice(None)) -> dict[str, Any]:
        """The arguments of a batch, for these of its frames."""
        return {
            "gso_size": self.size[part],
            "gso_type": None if self.gso_type is None else self.gso_type[part],
            "checksum": self.checksum,
            "kernel": self.kernel,
            "tunnel_ports": self.ports,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1, help="the first round's")
    parser.add_argument("--rounds", type=int, help="end after so many")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to put what is found")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    maker = Maker()
    begin = time.monotonic()
    rounds, segments, cut = 0, 0, 0
    while time.monotonic() - begin < options.seconds and rounds != options.rounds:
        seed = options.seed + rounds
        made = maker.round(seed)
        rounds += 1
        try:
            told = compare(made)
        except Exception:
            keep(made, seed, options.folder)
            raise
        if isinstance(told, str):
            print(f"seed {seed}: {told}")
            print(f"the packets are {keep(made, seed, options.folder)}")
            return 1
        segments += len(told)
        cut += int((np.bincount(told.parent, minlength=CASES) > 1).sum())
    seconds = time.monotonic() - begin
    cases = rounds * CASES
    print(
        f"{cases} cases ({cut} were cut; {segments} segments) in {seconds:.0f} s,"
        f" {cases / seconds:.0f} a second: no difference"
    )
    return 0


def keep(made: Round, seed: int, folder: Path) -> Path:
    path = folder / f"batches-{seed}.pcap"
    gso.write_capture(str(path), made.frames)
    return path


# --- cases -------------------------------------------------------------------------------------


class Maker:
    """Makes rounds, each from its own number alone."""

    def __init__(self) -> None:
        records = [*vectorset.records(), *vectorset.generated(), *vectorset.typed()]
        records += [*vectorset.typed_more(), *vectorset.accecn()]
        self.templates = list(dict.fromkeys(map(vectorset.frame, records)))
        layouts = gso.parse_batch(self.templates, tunnel_ports=vectorset.PORTS, errors="mark")
        self.headers = [
            at if at > 0 else min(len(frame), CHANGED)
            for frame, at in zip(self.templates, layouts["payload"].tolist(), strict=True)
        ]
        known = [record["input"].get("gso_type") for record in records]
        self.types = np.array(
            sorted({int(kind) for kind in known if kind} | {1 << bit for bit in range(20)})
        )
        self.pool, self.pool_number = gso.Frames(), -1

    def round(self, seed: int) -> Round:
        """Make the round of this number."""
        self._fill(seed // ROUNDS_OF_A_POOL)
        dice = np.random.default_rng(seed)
        frames = self._frames(dice)
        kernel = tuple(KERNELS)[dice.integers(len(KERNELS))]
        most = np.minimum(dice.choice(SIZES, CASES), frames.lengths)
        size = 1 + (dice.random(CASES) * most).astype(np.int64)
        size = np.maximum(size, frames.lengths // MOST_SEGMENTS)
        size[dice.random(CASES) < 0.01] = 0
        gso_type = dice.choice(self.types, CASES) if dice.random() < 0.2 else None
        return Round(
            frames,
            size,
            gso_type,
            "partial" if dice.random() < 0.25 else "complete",
            kernel,
            PORTS if dice.random() < 0.9 else None,
            int(dice.integers(CASES)),
            dice.integers(CASES, size=BY_REFERENCE).tolist(),
        )

    def _fill(self, number: int) -> None:
        """Give some super-packets other lengths."""
        if number == self.pool_number:
            return
        dice = np.random.default_rng(number)
        made = []
        for which in dice.integers(len(self.templates), size=POOL).tolist():
            frame, headers = self.templates[which], self.headers[which]
            most = 65_536 if dice.random() < LONG else dice.choice(LENGTHS)
            length = headers + int(dice.random() * most)
            if dice.random() < 0.02:
                length = int(dice.integers(headers + 1))
            payload = frame[headers:] or b"\xa5"
            made.append((frame[:headers] + payload * (length // len(payload) + 1))[:length])
        self.pool, self.pool_number = gso.Frames.from_list(made), number

    def _frames(self, dice: np.random.Generator) -> gso.Frames:
        """Take some of the pool, often two of a kind in a row, and change bytes of the headers."""
        which = dice.integers(POOL, size=CASES)
        again = np.flatnonzero(dice.random(CASES) < 0.4)
        which[again] = which[again - 1]
        taken = self.pool.take(which)
        data = taken.data.copy()
        changes = (dice.random(CASES) ** 2 * (MOST_CHANGES + 1)).astype(np.int64)
        frame = np.repeat(np.arange(CASES), changes)
        frame = frame[taken.lengths[frame] > 0]
        most = np.minimum(taken.lengths[frame], CHANGED)
        at = taken.offsets[frame] + (dice.random(len(frame)) * most).astype(np.int64)
        kind = dice.integers(3, size=len(frame))
        bit = np.left_shift(1, dice.integers(8, size=len(frame))).astype(np.uint8)
        value = np.where(kind == 0, data[at] ^ bit, dice.choice(WORDS, len(frame)))
        step = dice.integers(-3, 4, size=len(frame)).astype(np.int8).view(np.uint8)
        data[at] = np.where(kind == 1, data[at] + step, value)
        return gso.Frames(data, taken.offsets)


# --- the doors ---------------------------------------------------------------------------------


def compare(made: Round) -> gso.Segments | str:
    """Return the segments, or at which door they differ from those of each frame alone."""
    wanted, counts = alone(made)
    parents = np.repeat(np.arange(len(made.frames)), counts)
    first = None
    for door, cut in batches(made, int(wanted.nbytes)):
        if cut != wanted or not np.array_equal(cut.parent, parents):
            return f"{door}: {difference(wanted, cut, parents)}"
        first = first or cut
    assert first is not None
    told = as_headers(made, wanted, counts)
    told = told or merged(made, first) or by_definition(made, wanted, counts)
    return told or first


def difference(wanted: gso.Frames, cut: gso.Frames, parents: Numbers) -> str:
    """Say what is the first segment that differs, and of which frame it is."""
    for number, (one, other) in enumerate(zip(wanted, cut, strict=False)):
        if one != other:
            return f"segment {number} of frame {parents[number]} differs"
    return f"{len(cut)} segments instead of {len(wanted)}, or other parents"


def alone(made: Round) -> tuple[gso.Frames, list[int]]:
    """Cut each frame by itself; one that is refused is its only segment."""
    choice = {"checksum": made.checksum, "kernel": made.kernel, "tunnel_ports": made.ports}
    types: Iterable[Any] = [None] * CASES if made.gso_type is None else made.gso_type.tolist()
    segment = gso.segment
    parts: list[Any] = []
    for frame, size, kind in zip(made.frames, made.size.tolist(), types, strict=True):
        try:
            parts.append(segment(frame, size, gso_type=kind, **choice))
        except gso.GsoError:
            parts.append([frame])
    return gso.Frames.concat(parts), list(map(len, parts))


def batches(made: Round, room: int) -> Iterator[tuple[str, gso.Segments]]:
    """Cut the batch in one go and otherwise; each way has a name."""
    frames = made.frames
    choice = {**made.choice(), "errors": "pass"}
    yield "a batch", gso.segment_batch(frames, **choice)
    yield "memory of the caller's", gso.segment_batch(frames, out=bytearray(room), **choice)
    yield "two batches", in_two(made)
    kept = _batch._THREAD_WORK
    _batch._THREAD_WORK = 1
    try:
        yield "two threads", gso.segment_batch(frames, threads=2, **choice)
    finally:
        _batch._THREAD_WORK = kept
    try:
        for path in _checksum.simd_paths()[:-1]:  # the last one is in use
            _checksum.use_simd(path)
            yield f"the path {path}", gso.segment_batch(frames, **choice)
    finally:
        _checksum.use_simd(None)


def in_two(made: Round) -> gso.Segments:
    """Cut the frames before one, then the others, and put the segments together."""
    first, second = (
        gso.segment_batch(made.frames[part], **made.choice(part), errors="pass")
        for part in (slice(made.cut), slice(made.cut, None))
    )
    joined = gso.Frames.concat([first, second])
    parents = np.concatenate([first.parent, second.parent + made.cut])
    return gso.Segments(joined.data, joined.offsets, parents)


def as_headers(made: Round, wanted: gso.Frames, counts: list[int]) -> str:
    """Compare headers and slices of the payload, joined."""
    headers = gso.segment_headers_batch(made.frames, **made.choice(), errors="pass")
    n = len(headers)
    payload = headers.payload
    # Slices follow each other, but for empty ones.
    ends = np.maximum.accumulate(np.where(payload[:, 1] > 0, payload.sum(axis=1), 0))
    starts = ends - payload[:, 1]
    slices = gso.Frames(headers.frames.data, np.stack([starts, ends], axis=1).ravel())[::2]
    order = np.stack([np.arange(n), np.arange(n) + n], axis=1).ravel()
    both = gso.Frames.concat([headers.headers, slices]).take(order)
    joined = gso.Frames(both.data, both.offsets[::2])
    if joined == wanted:
        return ""
    # What is refused here only (UFO whose gso_size is below the UDP header's) is left as it is.
    count = np.bincount(headers.parent, minlength=len(counts))
    apart = np.flatnonzero(count != counts)
    left = joined.take(np.flatnonzero(np.isin(headers.parent, apart)))
    parents = np.repeat(np.arange(len(counts)), counts)
    others, own = (~np.isin(parent, apart) for parent in (headers.parent, parents))
    if left != made.frames.take(apart) or joined[others] != wanted[own]:
        return f"headers and slices: not only the frames {apart} are left as they are"
    return ""


def merged(made: Round, segments: gso.Segments) -> str:
    """Merge the segments, and cut what came of it by its type, and behind virtio headers."""
    choice: dict[str, Any] = {"kernel": made.kernel}
    whole = gso.coalesce(segments, tunnel_ports=made.ports, **choice)
    several = np.flatnonzero(whole.gso_segs > 1)
    if not len(several):
        return ""
    supers = whole.take(several)
    size, kind = whole.gso_size[several], whole.gso_type[several]
    sources = pieces_of(segments, whole.into, several, len(whole))
    cut = gso.segment_batch(supers, size, gso_type=kind, tunnel_ports=made.ports, **choice)
    if cut != sources:
        return f"merged, and cut by its type: {difference(sources, cut, several[cut.parent])}"
    told = supers.describable() & (size >= SMALLEST_VIRTIO)
    if made.kernel == "6.1":
        told &= kind & gso.GsoType.UDP_L4 == 0  # its virtio header has no type for these
    told &= version_is_right(supers, made.ports)
    numbers = np.flatnonzero(told)
    described = supers.take(numbers)
    if not len(described):
        return ""
    cut = gso.segment_vnet_batch(described, described.vnet_headers(), **choice)
    sources = pieces_of(segments, whole.into, several[numbers], len(whole))
    if cut != sources:
        return f"merged, behind virtio headers: {difference(sources, cut, numbers[cut.parent])}"
    return ""


def pieces_of(segments: gso.Frames, into: Numbers, chosen: Numbers, count: int) -> gso.Frames:
    """Return the segments that went into these of the merged packets, in their order."""
    place = np.full(count, -1)
    place[chosen] = np.arange(len(chosen))
    places = place[into]
    order = np.argsort(places, kind="stable")
    return segments.take(order[places[order] >= 0])


def version_is_right(supers: gso.Frames, ports: Any) -> npt.NDArray[np.bool_]:
    """Tell where the IP header in a tunnel has the version that the tunnel says.

    GRO of IPv6 does not look at it; a virtio header for datagrams has only the packet's own word.
    """
    layouts = gso.parse_batch(supers, tunnel_ports=ports)
    inner = layouts["inner_network_header"]
    version = supers.data[supers.offsets[:-1] + np.maximum(inner, 0)] >> 4
    return np.asarray((inner < 0) | (version == layouts["inner_version"]))


def by_definition(made: Round, wanted: gso.Frames, counts: list[int]) -> str:
    """Let the slow reference cut a sample.

    It guesses at no tunnel, and so refuses nothing as ambiguous.
    """
    ends = np.cumsum([0, *counts])
    for number in made.sample:
        if counts[number] > MOST_BY_REFERENCE:
            continue
        frame = bytes(made.frames[number])
        choice = made.choice(number)
        size, kind = int(choice.pop("gso_size")), choice.pop("gso_type")
        choice["gso_type"] = None if kind is None else gso.GsoType(int(kind))
        if outcome(gso.segment, frame, size, choice) is gso.Reason.AMBIGUOUS:
            continue
        cut = outcome(reference.segment, frame, size, choice)
        pieces = cut if isinstance(cut, list) else [frame]
        if pieces != wanted[ends[number] : ends[number + 1]].to_list():
            return f"the reference: frame {number}, {size}, {choice}"
    return ""


def outcome(
    segment: Callable[..., Any], frame: bytes, size: int, choice: dict[str, Any]
) -> list[bytes] | gso.Reason | None:
    """Return the segments, or why there are none."""
    try:
        return [bytes(piece) for piece in segment(frame, size, **choice)]
    except gso.GsoError as error:
        return error.reason


if __name__ == "__main__":
    sys.exit(main())
