"""The targets of the fuzzer: each takes any bytes and may raise nothing.

The first bytes choose options, the rest is the frame or the file. GsoError is the right answer to
most inputs; a wrong answer is an AssertionError.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.fleet import parcels
from gso.kernel.guest_files import GuestFileError, understood
from gso.kernel.hunting import merge as hunted
from gso.kernel.judging import coverage, evidence, wire_check
from gso.kernel.machine import channel, messages
from gso.kernel.report import load, zoo
from gso.kernel.report import parts as found_parts
from gso.kernel.report.compare import compare
from gso.kernel.report.merge import merge
from gso.kernel.report.write import write
from gso.kernel.runs.captures import save_capture
from gso.kernel.scenarios import SCENARIOS
from gso.kernel.trees import patches

import gso
from gso.buffers import _checksum
from gso.capture import Reader
from gso.headers.checks import check
from gso.headers.fields import differences, dissect
from gso.rewriting.coalesce import coalesce_capture
from gso.rewriting.segment import segment_capture
from gso.segmentation import _batch
from gso.versions import KERNELS

sys.path.append(str(Path(__file__).resolve().parent))
sys.path.append(str(Path(__file__).resolve().parents[1]))

import reading

import reference
import result_files
import vectorset

PORTS = {
    5501: gso.Tunnel.GUE,
    5555: gso.Tunnel.FOU,
    5557: (gso.Tunnel.FOU, 47),
    4789: gso.Tunnel.VXLAN,
}
LINKS = ("ethernet", "raw")
OPTIONS = 8
LONGEST = 70_000
MOST_COMPARED = 100
HEADERS = 200
"""The first bytes of a real super-packet, which have all its headers."""
VIRTIO_TYPES = {
    int(gso.GsoType.TCPV4): (1, 16),
    int(gso.GsoType.TCPV6): (4, 16),
    int(gso.GsoType.UDP_L4): (5, 6),
}
"""What a virtio header says of packets without a tunnel: its gso_type and csum_offset."""
SCTP_HEADER = 12
MOST_BY_REFERENCE = 20
"""The reference is in plain Python: more segments of a frame than these are not compared."""
SMALLEST_VIRTIO = 8
"""The kernel takes a smaller gso_size of a virtio header for this one."""
STATUSES = (0, 1, TestBedError.exit_status)
EXCHANGES = {"scenarios": [{"name": "s", "traffic": [{"name": "t"}, {"name": "u"}]}]}
LONGEST_SAID = 1 << 15
"""Bytes that a pipe holds, so that writing what a guest says does not wait."""
CHANGED = 64
"""Bytes of an input that are one frame of `doors`."""
SEPARATOR = b"\n====\n"
WIRES = [
    next(one for one in SCENARIOS if one.checksum == "remcsum"),
    next(one for one in SCENARIOS if one.vlan),
    next(one for one in SCENARIOS if one.segmenter and not one.vlan and one.checksum != "remcsum"),
]
"""Scenarios whose super-packets are each found in another way."""


def options(data: bytes) -> tuple[int, int, int, bytes]:
    """A bit field, a size, a GSO type, and the frame, made longer if the bit field says so."""
    flags, length, size, kind = struct.unpack("<BxHHH", data[:OPTIONS].ljust(OPTIONS, b"\0"))
    frame = data[OPTIONS:]
    if flags & 0x80:
        frame += bytes(min(length * 2, LONGEST))
    return flags, size, kind, frame


def parse(data: bytes) -> None:
    """One frame alone and in a batch: the same layout, or the same refusal."""
    flags, _, _, frame = options(data)
    link = LINKS[flags & 1]
    rows = gso.parse_batch(
        gso.Frames.from_list([frame, frame[1:], b""]),
        link_type=link,
        tunnel_ports=PORTS,
        errors="mark",
    )
    try:
        layout = gso.parse(frame, link_type=link, tunnel_ports=PORTS)
    except gso.GsoError:
        assert rows["payload"][0] == -1
        return
    assert 0 <= layout.payload <= len(frame)
    for name in ("network_header", "transport_header", "inner_network_header"):
        value = getattr(layout, name)
        assert rows[name][0] == (-1 if value is None else value)
        assert value is None or 0 <= value <= len(frame)


def segment(data: bytes) -> None:
    """Segments hold the payload and nothing else, and are no longer than they may be."""
    flags, size, kind, frame = options(data)
    link = LINKS[flags & 1]
    gso_type = gso.GsoType(kind << (flags >> 4 & 3)) if flags & 2 else None
    checksum = "partial" if flags & 4 else "complete"
    sctp(frame, size, gso_type=gso_type, link_type=link, checksum=checksum, tunnel_ports=PORTS)
    try:
        layout = gso.parse(frame, link_type=link, tunnel_ports=PORTS)
        segments = gso.segment(
            frame, size, gso_type=gso_type, layout=layout, link_type=link, checksum=checksum
        )
    except gso.GsoError:
        return
    pieces = segments.to_list()
    assert pieces
    if len(pieces) > MOST_COMPARED:
        return
    choice = {"gso_type": gso_type, "link_type": link, "checksum": checksum, "tunnel_ports": PORTS}
    at = (flags << 8 | kind) % max(layout.payload, 1)
    sequel = frame[:at] + bytes([frame[at] ^ (size & 0xFF or 1)]) + frame[at + 1 :]
    batch = gso.segment_batch(
        gso.Frames.from_list([frame, frame, sequel, frame]), size, errors="pass", **choice
    )
    assert batch.to_list() == pieces * 2 + alone(sequel, size, **choice) + pieces
    try:
        made = gso.segment_headers(frame, size, **choice)
    except gso.GsoError:
        return  # fragments whose first one has not got the whole UDP header
    starts = made.payload.tolist()
    assert pieces == [
        bytes(head) + frame[at : at + length]
        for head, (at, length) in zip(made.headers, starts, strict=True)
    ]
    if gso_type is None and layout.l4:
        assert b"".join(piece[layout.payload :] for piece in pieces) == frame[layout.payload :]
        assert not size or max(map(len, pieces)) <= layout.payload + size


def sctp(frame: bytes, size: int, **choice: Any) -> None:
    """SCTP in pieces of about a size, as the slow reference cuts it."""
    given = {name: choice[name] for name in ("link_type", "tunnel_ports")}
    try:
        at = gso.parse(frame, **given).payload + SCTP_HEADER
    except gso.GsoError:
        return
    pieces = [0]
    while at < len(frame) and len(pieces) <= MOST_BY_REFERENCE:
        length = int.from_bytes(frame[at + 2 : at + 4], "big")
        pieces[-1] += length + -length % 4
        at += max(length + -length % 4, 4)
        if pieces[-1] >= size and at < len(frame):
            pieces.append(0)
    answers = []
    for cut in (partial(gso.segment, gso_size=gso.GSO_BY_FRAGS), reference.segment_sctp):
        try:
            answers.append([bytes(one) for one in cut(frame, pieces=pieces, **choice)])
        except gso.GsoError:
            answers.append([])
    assert answers[0] == answers[1]


def alone(frame: bytes, size: int, **choice: Any) -> list[bytes]:
    """The segments of a frame, or itself if it is refused."""
    try:
        return gso.segment(frame, size, **choice).to_list()
    except gso.GsoError:
        return [frame]


def checksum(data: bytes) -> None:
    """The same as the definition, wherever in memory, in one go or copied."""
    seed = int.from_bytes(data[:4], "little")
    shift, part = data[4:5] or b"\0", data[5:]
    expected = definition(part, seed)
    assert gso.checksum(part, seed) == expected
    moved = bytearray(shift[0] % 64) + part
    assert gso.checksum(memoryview(moved)[shift[0] % 64 :], seed) == expected
    target = bytearray(b"\xa5" * len(part))
    gso.copy_and_checksum(target, part)
    assert target == part


def definition(data: bytes, seed: int) -> int:
    """RFC 1071, one word at a time."""
    total = seed
    padded = data + bytes(len(data) % 2)
    for (word,) in struct.iter_unpack(">H", padded):
        total += word
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def capture(data: bytes) -> None:
    """Read whole or in pieces, a file gives the same; rewritten, it gives a file."""
    whole = outcome(lambda: [gso.read_capture(io.BytesIO(data))])
    pieces = outcome(lambda: Reader(io.BytesIO(data), chunk_size=100))
    assert whole == pieces
    for size in (100, None):
        target = io.BytesIO()
        try:
            summary = segment_capture(io.BytesIO(data), target, size, tunnel_ports=PORTS)
        except gso.GsoError:
            continue
        result = outcome(lambda target=target: [gso.read_capture(io.BytesIO(target.getvalue()))])
        # Only what the rewriting never looks at (times, comments) may be wrong in it.
        assert isinstance(result, str) or len(result) == summary.written

    target = io.BytesIO()
    try:
        merged = coalesce_capture(io.BytesIO(data), target, tunnel_ports=PORTS, timeout=None)
    except gso.GsoError:
        return
    result = outcome(lambda: [gso.read_capture(io.BytesIO(target.getvalue()))])
    assert isinstance(result, str) or len(result) == merged.written


def outcome(captures: Callable[[], object]) -> list[bytes] | str:
    """All frames, or the error message."""
    try:
        return [frame for batch in captures() for frame in batch.frames.to_list()]
    except gso.GsoError as error:
        return str(error)


def fields(data: bytes) -> None:
    """Fields cover each bit once; verdicts and differences can be had of anything."""
    flags, size, _, frame = options(data)
    link = ("ethernet", "raw", "linux_sll", "linux_sll2", "null", "user0")[flags % 6]
    found = dissect(frame, link_type=link, tunnel_ports=PORTS)
    assert sum(one.bits for one in found) == 8 * len(frame)
    check(frame, link_type=link, tunnel_ports=PORTS, complete=bool(flags & 8))
    other = frame[: size % (len(frame) + 1)]
    assert (differences(frame, other, link_type=link) == []) == (frame == other)


def vnet(data: bytes) -> None:
    """A packet after a virtio header is refused, unchanged, or cut into what adds up to it."""
    flags, rest = (data[:1] or b"\0")[0], data[1:]
    size = (10, 12, 20, 24)[flags & 3]
    link = LINKS[flags >> 2 & 1]
    checksum = "partial" if flags & 8 else "complete"
    order = ("little", "big")[flags >> 4 & 1]
    try:
        made = gso.segment_vnet(
            rest, header_size=size, byteorder=order, link_type=link, checksum=checksum
        )
        header = gso.VirtioNetHeader.unpack(rest, size, byteorder=order)
    except gso.GsoError:
        return
    packed = header.pack(24, byteorder=order)
    assert gso.VirtioNetHeader.unpack(packed, 24, byteorder=order) == header
    packet = rest[size:]
    assert made.to_list()
    if len(made) == 1:
        assert len(made[0]) == len(packet)
    else:
        assert header.gso_type
        assert len(made) > len(packet) // 65536


def coalesce(data: bytes) -> None:
    """Whatever is merged is given back; everything else passes."""
    flags, size, kind, frame = options(data)
    link = LINKS[flags & 1]
    choice = {"link_type": link, "tunnel_ports": PORTS}
    fixed = gso.GsoType.TCP_FIXEDID if flags & 2 else None
    try:
        frames = gso.segment(frame, size, gso_type=fixed, **choice).to_list()[:MOST_COMPARED]
    except gso.GsoError:
        cut = max(size, 1)
        frames = [frame[i : i + cut] for i in range(0, min(len(frame), 50 * cut), cut)]
    if flags & 4 and frames:
        frames.insert(kind % len(frames), frames[kind // 7 % len(frames)])
    if flags & 8 and frames and frames[-1]:
        harmed = bytearray(frames[kind % len(frames)] or b"?")
        harmed[kind % len(harmed)] ^= 1 << (kind & 7)
        frames[kind % len(frames)] = bytes(harmed)
    merged = gso.coalesce(
        gso.Frames.from_list(frames),
        fixed_ids=bool(flags & 16),
        max_flows=1 + (flags >> 5 & 1),
        gro_max_size=524280 if flags & 64 else 65536,
        checksum="complete" if kind & 1 else "partial",
        **choice,
    )
    back: dict[int, list[bytes]] = {}
    for k, whole in enumerate(merged):
        pieces = [bytes(whole)]
        if merged.gso_segs[k] > 1:
            bits = int(merged.gso_type[k])
            pieces = gso.segment(whole, int(merged.gso_size[k]), gso_type=bits, **choice).to_list()
        back[k] = pieces
    assert [back[k].pop(0) for k in merged.into.tolist()] == frames
    assert not any(back.values())


def trace(data: bytes) -> None:
    """A log is read or refused; small batches hold the same events; all can be judged."""
    formats = ("auto", "pwru", "pwru-json", "perf", "ftrace", "dmesg")
    kind, log = formats[(data[:1] or b"\0")[0] % len(formats)], data[1:]
    try:
        whole = gso.read_trace(io.BytesIO(log), kind)
    except gso.GsoError:
        return
    with gso.TraceReader(io.BytesIO(log), whole.format, rows=3) as reader:
        batches = list(reader)
    assert sum(map(len, batches)) == len(whole) <= whole.lines
    assert [line for batch in batches for line in batch.line] == whole.line.tolist()
    assert gso.diagnose(iter(batches)).judged == gso.diagnose(whole).judged


# --- one answer, whichever door is used --------------------------------------------------------


@cache
def templates() -> list[bytes]:
    """A super-packet of each tunnel and packet inside."""
    found: dict[tuple[str, ...], bytes] = {}
    for record in vectorset.records():
        kind = record["tunnel"], str(record["inner_family"]), record["inner_l4"]
        found.setdefault(kind, vectorset.frame(record))
    return list(found.values())


def changed(data: bytes) -> bytes:
    """A real super-packet of another length, with some header bytes of `data`'s choice."""
    which, length, changes = data[0], int.from_bytes(data[1:3], "little"), data[3:]
    frame = bytearray(templates()[which % len(templates())])
    frame = frame[:HEADERS] + (frame[HEADERS:] * (length // len(frame) + 1))[:length]
    for at, value in zip(changes[::2], changes[1::2], strict=False):
        frame[at % len(frame)] = value
    return bytes(frame)


def doors(data: bytes) -> None:
    """Frames give the same segments by one, by batches, threads, headers, and on each path.

    They are those of the kernel whose version is chosen, as the tests' reference has it.
    """
    flags, size, kind, rest = options(data)
    parts = [rest[i : i + CHANGED].ljust(3, b"\0") for i in range(0, len(rest), CHANGED)]
    made = [changed(part) for part in parts[:4]]
    frames = gso.Frames.from_list([frame for frame in made for _ in range(1 + (flags & 1))])
    choice: dict[str, Any] = {"tunnel_ports": PORTS}
    choice["gso_type"] = gso.GsoType(kind) if flags & 2 else None
    choice["checksum"] = "partial" if flags & 4 else "complete"
    choice["kernel"] = tuple(KERNELS)[(flags >> 3 & 3) % len(KERNELS)]
    expected = [alone(bytes(frame), size, **choice) for frame in frames]
    flat = [piece for pieces in expected for piece in pieces]
    for batch in batches(frames, size, choice, sum(map(len, flat))):
        assert batch.to_list() == flat
        assert batch.parent.tolist() == [i for i, one in enumerate(expected) for _ in one]
    as_headers(frames, size, choice, expected)
    if expected:
        by_definition(bytes(frames[-1]), size, choice, expected[-1])
    for pieces in expected:
        as_virtio(pieces, choice["kernel"])


def batches(
    frames: gso.Frames, size: int, choice: dict[str, Any], room: int
) -> Iterator[gso.Segments]:
    """The batch in one go, in memory of ours, by threads, and by each path of the processor."""
    choice = {**choice, "errors": "pass"}
    yield gso.segment_batch(frames, size, **choice)
    yield gso.segment_batch(frames, size, out=bytearray(room), **choice)
    kept = _batch._THREAD_WORK
    _batch._THREAD_WORK = 1
    try:
        yield gso.segment_batch(frames, size, threads=2, **choice)
    finally:
        _batch._THREAD_WORK = kept
    try:
        for path in _checksum.simd_paths():
            _checksum.use_simd(path)
            yield gso.segment_batch(frames, size, **choice)
    finally:
        _checksum.use_simd(None)


def as_headers(
    frames: gso.Frames, size: int, choice: dict[str, Any], expected: list[list[bytes]]
) -> None:
    """Headers and slices of the payload, joined, are the segments."""
    try:
        headers = gso.segment_headers_batch(frames, size, errors="pass", **choice)
    except gso.GsoError:
        return
    joined = [b"".join(headers.iovecs(i)) for i in range(len(headers))]
    parents = headers.parent.tolist()
    for number, pieces in enumerate(expected):
        own = [piece for piece, parent in zip(joined, parents, strict=True) if parent == number]
        # For UFO a gso_size below the UDP header's is refused here only.
        assert own == pieces or own == [bytes(frames[number])]


def by_definition(frame: bytes, size: int, choice: dict[str, Any], pieces: list[bytes]) -> None:
    """The slow reference cuts the frame in the same way, or refuses it too.

    It guesses at no tunnel, and so refuses nothing as ambiguous.
    """
    if len(pieces) > MOST_BY_REFERENCE:
        return
    try:
        gso.segment(frame, size, **choice)
    except gso.GsoError as error:
        if error.reason is gso.Reason.AMBIGUOUS:
            return
    try:
        wanted = reference.segment(frame, size, **choice)
    except gso.GsoError:
        wanted = [frame]
    assert pieces == wanted


def as_virtio(pieces: list[bytes], kernel: Any) -> None:
    """Segments merged are segmented alike, by their type and by a virtio header that has it."""
    choice = {"tunnel_ports": PORTS, "kernel": kernel}
    merged = gso.coalesce(gso.Frames.from_list(pieces), **choice)
    for number, whole in enumerate(merged):
        bits, size = int(merged.gso_type[number]), int(merged.gso_size[number])
        if bits not in VIRTIO_TYPES or size < SMALLEST_VIRTIO:
            continue
        if bits == gso.GsoType.UDP_L4 and kernel == "6.1":
            continue  # its virtio header has no type for these
        start = gso.parse(whole, tunnel_ports=PORTS)
        kind, check = VIRTIO_TYPES[bits]
        fields = (1, kind, start.payload, size, start.transport_header, check)
        cut = gso.segment_vnet(
            struct.pack("<BBHHHH", *fields) + bytes(whole), header_size=10, kernel=kernel
        )
        expected = gso.segment(whole, size, gso_type=bits, **choice)
        own = [
            piece
            for piece, into in zip(pieces, merged.into.tolist(), strict=True)
            if into == number
        ]
        assert cut.to_list() == expected.to_list() == own


# --- the test bed: what people send, and what a guest leaves -----------------------------------


def patch(data: bytes) -> None:
    """A mail or a patch is read or refused, and names no file outside the tree."""
    with tempfile.TemporaryDirectory(dir=reading.MEMORY) as folder:
        path = Path(folder, "some.patch")
        path.write_bytes(data)
        try:
            series = patches.read_series(path)
        except UsageError:
            return
    assert series
    for one in series:
        for name in one.touched:
            assert not name.startswith("/")
            assert ".." not in name.split("/")


def guest(data: bytes) -> None:
    """What a guest says and leaves of a cell is read or refused: its lines, log, and frames.

    What is read can be compared with the wire, and written as a capture, or that is refused.
    """
    said, trace, frames = (*data.split(SEPARATOR, 2), b"", b"")[:3]
    with contextlib.suppress(GuestFileError):
        coverage.entries([messages.read(line) for line in said.split(b"\n")])
    with tempfile.TemporaryDirectory(dir=reading.MEMORY) as folder:
        Path(folder, "s-t.trace").write_bytes(trace)
        for kind in ("ingress", "mirror", "wire"):
            Path(folder, f"s-t.{kind}.frames").write_bytes(frames)
        with contextlib.suppress(GuestFileError, TestBedError):
            cell = evidence.read_cell({"scenario": "s", "traffic": "t"}, Path(folder))
            cell.summary()
            for scenario in WIRES:
                with understood("cell"):
                    save_capture(scenario, cell, Path(folder, "s.pcapng"))
                    wire_check.explain(scenario, cell)


def progress(data: bytes) -> None:
    """What comes out of a guest's port is taken alike, whatever pieces it comes in."""
    cut, said = 1 + (data[:1] or b"\0")[0], data[1:LONGEST_SAID]
    assert heard(said, len(said) + 1) == heard(said, cut)


def heard(said: bytes, cut: int) -> str:
    """What was taken of it, or why it was refused; in pieces of so many bytes."""
    with tempfile.TemporaryDirectory(dir=reading.MEMORY) as folder:
        try:
            with channel.Channel(EXCHANGES, Path(folder)) as port:
                for at in range(0, len(said), cut):
                    os.write(port.writer, said[at : at + cut])
                    port.read()
        except GuestFileError as error:
            if not port.end:
                return str(error)
        # What comes after the end is seen, and refused, only where it comes at once.
        return repr((port.end, channel.events(Path(folder))))


def parcel(data: bytes) -> None:
    """An archive of another host is unpacked below its folder, or refused."""
    with tempfile.TemporaryDirectory(dir=reading.MEMORY) as top:
        with contextlib.suppress(TestBedError):
            parcels.unpack(data, Path(top, "in"))
        assert {path.name for path in Path(top).iterdir()} <= {"in"}
        for path in Path(top).rglob("*"):
            assert path.is_dir() or (path.is_file() and not path.is_symlink())


def results(data: bytes) -> None:
    """Results of a run, of its parts, of a zoo and a hunt give a report and a sum, or are refused.

    The first byte says of what; then come changes to what is well formed, or a file itself.
    """
    kind, rest = (data[:1] or b"\0")[0], data[1:]
    name = result_files.NAMES[kind % len(result_files.NAMES)]
    files = [json.dumps(part).encode() for part in result_files.parts(name)]
    if kind & 0x80:
        files[kind >> 6 & 1] = rest
    else:
        changed_part = result_files.damaged(result_files.parts(name)[kind >> 6 & 1], rest)
        files[kind >> 6 & 1] = json.dumps(changed_part).encode()
    with tempfile.TemporaryDirectory(dir=reading.MEMORY) as top:
        folders = [Path(top, str(number)) for number, _ in enumerate(files)]
        for folder, file in zip(folders, files, strict=True):
            folder.mkdir()
            (folder / name).write_bytes(file)
        if name == load.RESULTS:
            report(folders)
        for gathered in (folders, folders[:1], folders[1:]):
            with contextlib.suppress(UsageError, GuestFileError):
                assert gather(name, gathered, Path(top)) in STATUSES


def report(folders: list[Path]) -> None:
    """What `gso-kernel report` without --merge, and `compare` do."""
    for folder in folders:
        with contextlib.suppress(UsageError):
            write(folder)
    with contextlib.suppress(UsageError), load.reading(folders[0]), load.reading(folders[-1]):
        compare(load.load(folders[0]), load.load(folders[-1])).summary()


def gather(name: str, folders: list[Path], top: Path) -> int:
    """What `gso-kernel report --merge` does; the exit status."""
    if name == zoo.RESULTS:
        visit = zoo.merge(folders)
        return len(visit.text()) and visit.exit_status
    if name != load.RESULTS:
        told = [found_parts.read(folder / name) for folder in folders]
        merged = hunted.merge(folders, told)
        return len(hunted.text(merged)) and int(merged["exit_status"])
    return int(
        merge(folders, top / "merged" / str(len(list(top.iterdir()))), "c")[1]["exit_status"]
    )


TARGETS: dict[str, Callable[[bytes], None]] = {
    function.__name__: function
    for function in (
        *(parse, segment, checksum, capture, fields, vnet, coalesce, trace),
        *(doors, patch, guest, progress, results, parcel),
        *reading.TARGETS,
    )
}
