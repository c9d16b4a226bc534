"""How time and memory grow: with size, batch and threads, and with files larger than memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

import cases
import gso
from contest import Contest, Effort, clock, python
from gso import Frames

AREA = "growth"


def fit(xs: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Slope and fixed cost of the line whose relative errors are least."""
    slope, fixed = np.polyfit(xs, seconds, 1, w=1 / np.asarray(seconds))
    return float(slope), float(fixed)


def curve(
    contest: Contest,
    case: str,
    x: str,
    xs: Sequence[int],
    make: Callable[[int], Callable[[], object]],
) -> None:
    """Measure at all x in turn, round after round, and keep the least of each."""
    contestants = []
    for n in xs:
        contestant = python(case, make(n))
        contestant.calibrate()
        contestants.append(contestant)
    best = [float("inf")] * len(xs)

    def one_round() -> None:
        for i, contestant in enumerate(contestants):
            best[i] = min(best[i], contestant.round())
        clock.seconds += best[-1]

    contest.rounds(AREA, case, one_round)
    slope, fixed = fit(xs, best)
    contest.note(AREA, case, x=x, points=list(zip(xs, best, strict=True)), slope=slope, fixed=fixed)


SEGMENTS = (2, 4, 8, 16, 32, 44)


@pytest.mark.parametrize(("kind", "version"), [("plain", 4), ("VXLAN", 4), ("GUE", 6)])
def test_segment_over_segments(contest: Contest, kind: str, version: int) -> None:
    case = cases.case(kind, version, cases.BIG)

    def make(n: int) -> Callable[[], object]:
        frame = case.frame[: case.headers + n * case.mss]
        assert len(gso.segment(frame, case.mss)) == n
        return lambda: gso.segment(frame, case.mss)

    curve(contest, f"segment, {kind} IPv{version}", "segments", SEGMENTS, make)


def test_headers_over_segments(contest: Contest) -> None:
    case = cases.case("VXLAN", 4, cases.BIG)

    def make(n: int) -> Callable[[], object]:
        frame = case.frame[: case.headers + n * case.mss]
        return lambda: gso.segment_headers(frame, case.mss)

    curve(contest, "segment_headers, VXLAN IPv4", "segments", SEGMENTS, make)


def test_checksum_over_bytes(contest: Contest) -> None:
    data = np.resize(np.arange(251, dtype=np.uint8), 1 << 20)

    def make(n: int) -> Callable[[], object]:
        part = data[:n]
        return lambda: gso.checksum(part)

    curve(contest, "checksum", "bytes", [1 << n for n in range(6, 21, 2)], make)


BATCHES = (1, 4, 16, 64, 256, 1024, 4096)


def test_batch_over_packets(contest: Contest) -> None:
    case = cases.case("VXLAN", 4, cases.INCIDENT)

    def make(n: int) -> Callable[[], object]:
        frames = Frames.from_list([case.frame] * n)
        out = np.zeros(n * (len(case.frame) + case.headers), np.uint8)
        return lambda: gso.segment_batch(frames, case.mss, out=out)

    curve(contest, "segment_batch, VXLAN IPv4, 1448 + 12", "packets of a batch", BATCHES, make)


def test_parse_batch_over_packets(contest: Contest) -> None:
    case = cases.case("VXLAN", 4, cases.INCIDENT)

    def make(n: int) -> Callable[[], object]:
        frames = Frames.from_list([case.frame] * n)
        return lambda: gso.parse_batch(frames)

    curve(contest, "parse_batch, VXLAN IPv4", "packets of a batch", BATCHES, make)


def test_coalesce_over_packets(contest: Contest) -> None:
    case = cases.case("VXLAN", 4, cases.BIG)
    segments = gso.segment(case.frame, case.mss)

    def make(n: int) -> Callable[[], object]:
        frames = Frames.from_list([segments[i % case.segments] for i in range(n)])
        return lambda: gso.coalesce(frames)

    whole = Frames.from_list(segments)
    assert gso.coalesce(whole).lengths.tolist() == [len(case.frame)]
    curve(contest, "coalesce, VXLAN IPv4, 1448", "packets of a batch", BATCHES, make)


def test_validate_over_rows(contest: Contest) -> None:
    state = gso.SkbState(mac_header=0x44, network_header=0x52, transport_header=0x66, len=1512)

    def make(n: int) -> Callable[[], object]:
        rows = gso.skb_array([state] * n)
        return lambda: gso.validate_batch(rows)

    curve(contest, "validate_batch", "packets of a batch", BATCHES, make)


@pytest.mark.parametrize("size", [cases.INCIDENT, cases.BIG])
def test_threads(contest: Contest, effort: Effort, all_cores: int, size: str) -> None:
    case = cases.case("VXLAN", 4, size)
    n = effort.scaled(256 << 20, 32 << 20) // len(case.frame)
    frames = Frames(
        np.tile(np.frombuffer(case.frame, np.uint8), n), np.arange(n + 1) * len(case.frame)
    )
    out = np.zeros(frames.nbytes + n * case.segments * case.headers, np.uint8)

    def make(threads: int) -> Callable[[], object]:
        return lambda: gso.segment_batch(frames, case.mss, out=out, threads=threads)

    name = f"segment_batch, VXLAN IPv4, {size}, {frames.nbytes >> 20} MiB"
    curve(contest, name, "threads", range(1, all_cores + 1), make)


# ---- files that no memory holds --------------------------------------------------------------

# The kernel's resource usage of a child would include what its parent held before the exec.
COMMAND = """
import sys
from pathlib import Path
from gso.cli import main
status = main()
print(Path("/proc/self/status").read_text(), file=sys.stderr)
sys.exit(status)
"""
BLOCK = 1 << 22


@dataclass(frozen=True)
class Usage:
    """Time and memory that a program took to read a stream."""

    seconds: float
    megabytes: float
    written: int


def capture_stream(size: int) -> Iterator[bytes]:
    """A pcap of so many bytes, of super-packets."""
    frame = cases.case("VXLAN", 4, cases.BIG).frame
    record = bytes(8) + 2 * len(frame).to_bytes(4, "little") + frame
    yield bytes.fromhex("d4c3b2a1 02000400 0000000000000000 00000400 01000000")
    block = record * (BLOCK // len(record))
    for _ in range(size // len(block)):
        yield block


def log_stream(size: int) -> Iterator[bytes]:
    """A log of perf script of so many bytes, one of ten events with the incident's fault."""
    from test_trace import BAD, EVENT, GOOD  # noqa: PLC0415

    lines = [
        EVENT.format(cpu=i % 64, time=i, skb=i, mac=GOOD if i % 10 else BAD) for i in range(10000)
    ]
    block = "".join(lines).encode()
    for _ in range(size // len(block)):
        yield block


def peak_megabytes(status: str) -> float:
    """The most memory a process held, from its /proc/self/status."""
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def consumed(command: Sequence[str], stream: Iterator[bytes]) -> Usage:
    """Feed a program; its output is counted and dropped. It may exit with 0 or 1 (findings)."""
    start = time.monotonic()
    written = 0
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            [sys.executable, "-c", COMMAND, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        output = process.stdout.fileno()

        def drop() -> None:
            nonlocal written
            while block := os.read(output, BLOCK):
                written += len(block)

        reader = threading.Thread(target=drop)
        reader.start()
        for block in stream:
            process.stdin.write(block)
        process.stdin.close()
        reader.join()
        process.wait()
        said.seek(0)
        status = said.read()
    assert process.returncode in (0, 1), f"{command} exited with {process.returncode}: {status}"
    return Usage(time.monotonic() - start, peak_megabytes(status), written)


STREAMS: dict[str, tuple[list[str], Callable[[int], Iterator[bytes]]]] = {
    "gso segment of a capture": (["segment", "-", "-", "--gso-size", "1448"], capture_stream),
    "gso diagnose of a log": (["diagnose", "-"], log_stream),
}


@pytest.mark.usefixtures("all_cores")
@pytest.mark.parametrize("name", STREAMS)
def test_stream(contest: Contest, effort: Effort, name: str) -> None:
    """Made on the fly and piped in; a tenth of it first, to see that memory does not grow."""
    command, stream = STREAMS[name]
    size = effort.scaled(10_000_000_000, 200_000_000)
    small, large = (consumed(command, stream(n)) for n in (size // 10, size))
    assert large.written > 0
    contest.once(
        AREA,
        f"{name}, {size / 1e9:g} GB through a pipe",
        large.seconds,
        GB_per_s=size / large.seconds / 1e9,
        peak_MB=large.megabytes,
        peak_MB_of_a_tenth=small.megabytes,
        GB_written=large.written / 1e9,
    )


PEAKS = {
    "import of gso and NumPy": "pass",
    "segment_batch, 256 MiB": """
import cases
from gso import Frames
case = cases.case("VXLAN", 4, cases.BIG)
n = (256 << 20) // len(case.frame)
frames = Frames(np.tile(np.frombuffer(case.frame, np.uint8), n), np.arange(n + 1) * len(case.frame))
segments = gso.segment_batch(frames, case.mss)
print((frames.nbytes + segments.nbytes) / 1e6)
""",
}


@pytest.mark.parametrize("name", PEAKS)
def test_peak_memory(contest: Contest, name: str) -> None:
    """Of a process that does only this; `data` is what goes in and comes out."""
    code = f"""
import time
from pathlib import Path
import numpy as np
import gso
start = time.monotonic()
{PEAKS[name]}
print(time.monotonic() - start)
print(Path("/proc/self/status").read_text())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},  # noqa: PTH120
    )  # fmt: skip
    figures, _, status = done.stdout.partition("Name:")
    *data, seconds = map(float, figures.split())
    facts = {"data_MB": data[0]} if data else {}
    contest.once(AREA, f"peak memory: {name}", seconds, peak_MB=peak_megabytes(status), **facts)
