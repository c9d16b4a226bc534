"""A guest's file of many short lines, or many empty frames, takes little memory, or is refused."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from gso.kernel import errors, guest_files
from gso.kernel.conformance.gro import run as gro
from gso.kernel.conformance.tunnels import outcomes
from gso.kernel.conformance.tunnels.packets import Packet
from gso.kernel.conformance.types import run as types
from gso.kernel.guest import records
from gso.kernel.guest_files import GuestFileError
from gso.kernel.hunting import findings
from gso.kernel.judging import evidence, kernel_log, kmemleak, wire_check
from gso.kernel.judging.evidence import Cell, Frame, Trace
from gso.kernel.runs import record, shell
from gso.kernel.scenarios import select

import gso

COUNT = 200_000
"""Lines; a list of them takes five times as many bytes as may be used."""
LITTLE = 2 << 20
FRAME = records.FRAME.pack(5, 0) + bytes(records.VIRTIO_NET_HDR.size)
DATA = Path(__file__).parent / "data"
EVENT = next(
    line
    for line in (DATA / "incident-unpatched.trace").read_text().splitlines()
    if " data={" in line
)


def last(console: Path) -> Any:
    return errors.TestBedError("vm", "x", console).log_tail


READERS: dict[str, Callable[[Path], Any]] = {
    "lines": lambda path: sum(1 for _ in guest_files.lines(path)),
    "the end": last,
    "a crash": lambda path: errors.tells_of_crash(guest_files.lines(path)),
    "warnings": lambda path: kernel_log.told(kernel_log.complaints(guest_files.lines(path))),
    "leaks": lambda path: kmemleak.parse(guest_files.lines(path)),
    "notes": lambda path: outcomes._notes(guest_files.lines(path), 1),
    "shown": lambda path: shell.show(path, Discarded()),
}


class Discarded(io.StringIO):
    """A terminal that keeps nothing."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


@pytest.mark.parametrize("name", READERS)
def test_short_lines_are_read_one_by_one(tmp_path, name):
    path = tmp_path / "console.log"
    path.write_text("12\n" * COUNT)
    READERS[name](path)  # what is imported and kept once
    tracemalloc.start()
    try:
        READERS[name](path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < LITTLE


@pytest.mark.parametrize("format", ["ftrace", "pwru", "json", "perf"])
def test_a_recorded_log_is_written_line_by_line(tmp_path, format):
    traces = [tmp_path / "one.trace", tmp_path / "two.trace"]
    for path in traces:
        path.write_text(f"# tracer: nop\n{EVENT}\n{EVENT}\n")
    log = io.BytesIO()
    lines = record.write(traces, format, log)
    written = log.getvalue().decode().splitlines()
    assert lines == len(written)
    assert sum(not line.startswith(("#", "SKB ")) for line in written) == 4
    assert sum(line.startswith("#") for line in written) == (format == "ftrace")


def test_lines_are_those_of_the_text(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"one\r\n\n\xff two\n" + "ü".encode() * 70_000 + b"\nlast")
    assert list(guest_files.lines(path))[:3] == ["one", "", "\ufffd two"]
    assert "".join(guest_files.pieces(path)) == path.read_bytes().decode(errors="replace")
    assert max(map(len, guest_files.pieces(path))) <= 64 << 10


@pytest.mark.parametrize("more", [0, 1])
def test_a_capture_has_not_too_many_frames(tmp_path, more):
    path = tmp_path / "a.frames"
    path.write_bytes(FRAME * (records.MOST_FRAMES + more))
    if not more:
        assert len(evidence.read_frames(path)) == records.MOST_FRAMES
        return
    said = rf"a\.frames of the guest is damaged: .* more than {records.MOST_FRAMES} frames"
    with pytest.raises(GuestFileError, match=said):
        evidence.read_frames(path)
    with pytest.raises(GuestFileError, match=said):
        findings._save_wire(path, tmp_path / "out.pcapng")


ANSWERS: dict[str, Callable[[bytes], Any]] = {
    "tunnels": lambda data: outcomes._outcome(io.BytesIO(data), 0, Packet(b""), [], 0),
    "GRO": lambda data: gro._read(io.BytesIO(data)),
    "types": lambda data: types.read_answer(Mock(), data),
}
EMPTY = guest_files.MOST_PACKETS + 1
MANY = {
    "tunnels": records.OUTCOME.pack(0, 0, EMPTY) + records.LENGTH.pack(0) * EMPTY,
    "GRO": records.LENGTH.pack(EMPTY) + bytes(records.MERGED.size) * EMPTY,
    "types": records.ANSWER.pack(0, EMPTY) + bytes(records.SEGMENT.size) * EMPTY,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_has_not_too_many_packets(name):
    with pytest.raises(ValueError, match=f"{EMPTY} packets are more than"):
        ANSWERS[name](MANY[name])


def test_a_trace_has_not_too_many_events(tmp_path, monkeypatch):
    path = tmp_path / "a.trace"
    monkeypatch.setattr(evidence, "_MOST_EVENTS", 3)
    path.write_text(f"{EVENT}\n" * 3)
    assert len(evidence.read_trace(path).events) == 3
    path.write_text(f"{EVENT}\n" * 4)
    with pytest.raises(GuestFileError, match=r"a\.trace of the guest .* more than 3 events"):
        evidence.read_trace(path)


def test_each_event_has_its_own_line():
    lines = [EVENT.replace(" data={", f" other={number} data={{") for number in range(5)]
    text = "\n".join(f"garbage\n{line}" for line in lines).encode()
    assert [line.rstrip("\n") for _, _, line in evidence.hits(text)] == lines


def test_lines_that_are_divided_otherwise(tmp_path):
    """The reader of logs takes a return alone for the end of a line, as terminals show it."""
    path = tmp_path / "a.trace"
    path.write_bytes(f"{EVENT}\r{EVENT}\n".encode())
    with pytest.raises(GuestFileError, match=r"a\.trace of the guest .* fewer lines"):
        evidence.read_trace(path)


def test_leaks_of_too_many_places():
    def entries(count: int) -> list[str]:
        one = "unreferenced object 0x1 (size 3):\n  backtrace:\n    f{}+0x1/0x2"
        return "\n".join(map(one.format, range(count))).split("\n")

    assert len(kmemleak.parse(entries(10_000))) == 10_000
    with pytest.raises(ValueError, match="more than 10000 places"):
        kmemleak.parse(entries(10_001))


def test_warnings_that_are_not_shown_are_counted():
    log = ["WARNING: a", "an ordinary line", "2", "3", "4"] * 700
    said = kernel_log.told(kernel_log.complaints(log))
    assert (len(said), said[-1]) == (501, "and 200 more kernel warnings, in the log")
    # All of them are compared, and the first of each kind is told.
    new = list(kernel_log.new_complaints(log, [*log, "BUG: b", *log]))
    assert [complaint.kind for complaint in new] == ["BUG: b"]


def test_super_packets_are_not_cut_for_ever(monkeypatch):
    (scenario,) = select(["gue-outer4-inner4-nocsum"])
    (packet,) = (f for f in evidence_of_the_incident() if f.gso_size)
    small = Frame(packet.time_ns, 1, packet.needs_csum, packet.data)
    monkeypatch.setattr(wire_check, "_MOST_BYTES", 1 << 20)
    cell = Cell({}, Trace((), (), ()), {"mirror": [small] * 20, "wire": []})
    with pytest.raises(ValueError, match="segments of more than 1048576 bytes"):
        wire_check.explain(scenario, cell)


def evidence_of_the_incident() -> list[Frame]:
    capture = gso.read_capture(DATA / "incident-patched.pcapng")
    return [
        Frame(0, 1448 if comment else 0, True, bytes(frame))
        for frame, comment in zip(capture.frames, capture.comments, strict=True)
    ]
