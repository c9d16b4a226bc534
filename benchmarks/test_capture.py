"""Captures: reading every packet, and rewriting a file, beside what else does it.

Files lie in memory where there is such a place. Programs are timed with their start, ours too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dpkt
import pytest
from scapy import utils as scapy

import cases
import gso
from contest import Contest, Effort, python
from gso.capture import Writer
from scratch import scratch

READING, REWRITING, JUDGING = "reading captures", "rewriting captures", "judging captures"
MSS = cases.MSS


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with scratch() as path:
        yield path


def written(path: Path, frames: list[bytes], size: int) -> Path:
    with Writer(path) as writer:
        for second in range(size // sum(map(len, frames))):
            writer.write(frames, [second * 10**9] * len(frames))
    return path


@pytest.fixture(scope="module")
def size(effort: Effort) -> int:
    """Of files that are rewritten: large enough that a program's start does not matter."""
    return effort.scaled(1_000_000_000, 20_000_000)


@pytest.fixture(scope="module")
def super_packets(folder: Path, size: int) -> Path:
    return written(folder / "super.pcapng", [cases.case("VXLAN", 4, cases.BIG).frame], size)


def of_the_wire(path: Path, size: int) -> Path:
    return written(path, gso.segment(cases.case("VXLAN", 4, cases.BIG).frame, MSS).to_list(), size)


@pytest.fixture(scope="module", params=["pcap", "pcapng"])
def packets(folder: Path, effort: Effort, request: pytest.FixtureRequest) -> Path:
    size = effort.scaled(200_000_000, 20_000_000)
    return of_the_wire(folder / f"read.{request.param}", size)


@pytest.fixture(scope="module", params=["pcap", "pcapng"])
def large(folder: Path, size: int, request: pytest.FixtureRequest) -> Iterator[Path]:
    path = of_the_wire(folder / f"wire.{request.param}", size)
    yield path
    path.unlink()


def consume(items: Any) -> int:
    return sum(1 for _ in items)


# ---- reading every packet --------------------------------------------------------------------


def race_reading(contest: Contest, packets: Path, name: str, call: Callable[[], int]) -> None:
    n = len(gso.read_capture(packets).frames)
    assert call() == n
    ours = python("read_capture", lambda: gso.read_capture(packets), items=n)
    theirs = python(name, call, items=n, unit="packet")
    contest(READING, packets.suffix[1:], ours, theirs, bytes=packets.stat().st_size // n)


def test_dpkt(contest: Contest, packets: Path) -> None:
    reader = dpkt.pcap.Reader if packets.suffix == ".pcap" else dpkt.pcapng.Reader

    def read() -> int:
        with packets.open("rb") as file:
            return consume(reader(file))

    race_reading(contest, packets, "dpkt", read)


def test_scapy_raw(contest: Contest, packets: Path) -> None:
    reader = scapy.RawPcapReader if packets.suffix == ".pcap" else scapy.RawPcapNgReader

    def read() -> int:
        with reader(str(packets)) as file:
            return consume(file)

    race_reading(contest, packets, "scapy, raw", read)


# ---- rewriting a file ------------------------------------------------------------------------

GSO = [sys.executable, "-c", "import sys; from gso.cli import main; sys.exit(main())"]
SEGMENT: list[object] = [*GSO, "segment"]
COALESCE: list[object] = [*GSO, "coalesce"]


# Programs start as they are installed: Python's with its modules compiled.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def run(*command: object) -> None:
    words = [str(word) for word in command]
    subprocess.run(words, check=True, capture_output=True, env=ENVIRONMENT)


def tool(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def same_packets(one: Path, other: Path) -> bool:
    return bool(gso.read_capture(one).frames == gso.read_capture(other).frames)


TOOLS: dict[str, tuple[Callable[[Path, Path], list[object]], str]] = {
    "cp": (lambda a, b: [tool("cp"), a, b], "copies bytes"),
    "editcap": (lambda a, b: [tool("editcap"), a, b], "copies packets, computes no checksums"),
    "tshark -w": (lambda a, b: [tool("tshark"), "-r", a, "-w", b], "dissects, changes nothing"),
    "tcprewrite --fixcsum": (
        lambda a, b: [tool("tcprewrite"), "--fixcsum", f"--infile={a}", f"--outfile={b}"],
        "mends outer checksums only",
    ),
}


@pytest.mark.parametrize("name", TOOLS)
def test_nothing_to_do(contest: Contest, large: Path, folder: Path, name: str) -> None:
    """Packets of the wire's size: each is looked at, none is changed."""
    command, leaves_out = TOOLS[name]
    mine, theirs = folder / "ours", folder / "theirs"
    if name.startswith("tcprewrite") and large.suffix == ".pcapng":
        pytest.skip("tcprewrite writes no pcapng")
    run(*SEGMENT, large, mine, "--gso-size", MSS)
    run(*command(large, theirs))
    assert same_packets(mine, large)
    assert same_packets(theirs, large)
    megabytes = large.stat().st_size / 1e6
    contest(
        REWRITING,
        f"{large.suffix[1:]}, nothing to do",
        python(
            "gso segment",
            lambda: run(*SEGMENT, large, mine, "--gso-size", MSS),
            items=megabytes,
        ),
        python(
            name,
            lambda: run(*command(large, theirs)),
            items=megabytes,
            leaves_out=leaves_out,
            unit="MB",
        ),
        bytes=1_000_000,
    )


def beside_cp(contest: Contest, case: str, command: list[object], source: Path, copy: Path) -> None:
    """Work that no peer does; beside a copy of the same file."""
    megabytes = source.stat().st_size / 1e6
    contest(
        REWRITING,
        case,
        python(f"gso {command[len(GSO)]}", lambda: run(*command), items=megabytes),
        python(
            "cp",
            lambda: run(tool("cp"), source, copy),
            items=megabytes,
            leaves_out="copies bytes",
            limit=True,
            unit="MB",
        ),
        bytes=1_000_000,
    )


def test_super_packets(contest: Contest, super_packets: Path, folder: Path) -> None:
    mine = folder / "segments"
    command = [*SEGMENT, super_packets, mine, "--gso-size", MSS]
    run(*command)
    expected = gso.segment_batch(gso.read_capture(super_packets).frames, MSS)
    assert gso.read_capture(mine).frames == expected
    beside_cp(contest, "pcapng of super-packets", command, super_packets, folder / "copy")


def merges_to(frame: bytes, source: Path, mine: Path) -> list[object]:
    """The command that merges a file, all of whose packets become this frame."""
    command = [*COALESCE, source, mine]
    run(*command)
    assert {bytes(one) for one in gso.read_capture(mine).frames} == {frame}
    return command


def merged_frame() -> tuple[gso.Frames, bytes]:
    """Segments, and the super-packet of them, all of whose checksums are right."""
    segments = gso.segment(cases.case("VXLAN", 4, cases.BIG).frame, MSS)
    (frame,) = gso.coalesce(segments, checksum="complete")
    return segments, bytes(frame)


def test_coalesce_nothing(contest: Contest, folder: Path, size: int) -> None:
    """Super-packets stay as they are."""
    _, frame = merged_frame()
    source = written(folder / "merged.pcapng", [frame], size)
    command = merges_to(frame, source, folder / "unchanged")
    case = "pcapng of super-packets, nothing to do"
    beside_cp(contest, case, command, source, folder / "copy")
    source.unlink()


def test_coalesce(contest: Contest, folder: Path, size: int) -> None:
    segments, frame = merged_frame()
    source = written(folder / "segments.pcapng", segments.to_list(), size)
    command = merges_to(frame, source, folder / "merged")
    beside_cp(contest, "pcapng of segments", command, source, folder / "copy")
    source.unlink()


# ---- judging every packet --------------------------------------------------------------------


def mixed(path: Path, size: int) -> Path:
    """Segments of all kinds of tunnels, and of none, over IPv4 and IPv6."""
    frames = [
        frame
        for kind in cases.KINDS
        for version in cases.VERSIONS
        for frame in gso.segment(cases.case(kind, version, "16 x 1448").frame, MSS).to_list()
    ]
    return written(path, frames, size)


KINDS = {"VXLAN": of_the_wire, "all kinds": mixed}
# Without a filter that asks for them, tshark sums nothing.
BAD = " or ".join(f'{name}.checksum.status == "Bad"' for name in ("ip", "tcp", "udp"))
CHECKSUMS = [f"-o{name}.check_checksum:TRUE" for name in ("ip", "tcp", "udp")]
JUDGES: dict[str, tuple[Callable[[Path, Path], list[object]], str]] = {
    "tshark": (
        lambda a, _: [tool("tshark"), "-r", a, *CHECKSUMS, "-Y", BAD],
        "also dissects what TCP carries",
    ),
    "editcap": (lambda a, b: [tool("editcap"), a, b], "copies packets, computes no checksums"),
}


@pytest.fixture(scope="module", params=KINDS)
def to_judge(
    folder: Path, effort: Effort, request: pytest.FixtureRequest
) -> Iterator[tuple[str, Path]]:
    path = folder / "judged.pcap"
    yield request.param, KINDS[request.param](path, effort.scaled(300_000_000, 20_000_000))
    path.unlink()


@pytest.mark.parametrize("name", JUDGES)
def test_judging(contest: Contest, to_judge: tuple[str, Path], folder: Path, name: str) -> None:
    """Every length and checksum of full packets."""
    kind, path = to_judge
    command, leaves_out = JUDGES[name]
    n = len(gso.read_capture(path).frames)
    contest(
        JUDGING,
        kind,
        python("gso validate", lambda: run(*GSO, "validate", path), items=n),
        python(
            name,
            lambda: run(*command(path, folder / "theirs")),
            items=n,
            leaves_out=leaves_out,
            unit="packet",
        ),
        bytes=path.stat().st_size // n,
    )
