"""First inputs for the fuzzer: real packets of every tunnel, and small captures of both formats.

Writes one folder a target, with a file a seed: python tests/fuzz/seeds.py FOLDER
"""

from __future__ import annotations

import io
import json
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import c_sources  # noqa: E402  (after the path to it)
import capture_files as build  # noqa: E402
import kernel_texts  # noqa: E402
import result_files  # noqa: E402
import vectorset  # noqa: E402

LONGEST = 700


def seeds(target: str) -> Iterator[bytes]:
    """Inputs in the form that the target of this name takes."""
    yield from OWN.get(target, plain)()
    if target == "segment":
        yield from (bytes(4) + b"\x40" + bytes(3) + frame for frame in sctp())


def plain() -> Iterator[bytes]:
    """No flags, a size of 256; the other bytes are for what the seeds do not need."""
    yield from (bytes(4) + b"\0\1" + bytes(2) + frame for frame in frames())


def progress() -> Iterator[bytes]:
    """What a guest says, in the form of the fuzzer's own and as lines."""
    yield from (b"\6" + said for said in guests())
    yield b"\0" + b'{"stage": "modules"}\n{"stage": "end", "ok": true}\n{"stage": "end"}\n'


def checksum() -> Iterator[bytes]:
    """Bytes to sum, of a few sizes."""
    yield from (bytes(5) + bytes(range(n)) for n in (0, 1, 7, 64, 200))


def chosen() -> Iterator[dict[str, Any]]:
    """One vector for each tunnel and packet inside."""
    seen = set()
    for record in vectorset.records():
        kind = (record["tunnel"], record["inner_family"], record["inner_l4"])
        if kind not in seen:
            seen.add(kind)
            yield record


def frames() -> Iterator[bytes]:
    """Their super-packets, cut to a moderate length."""
    for record in chosen():
        yield vectorset.frame(record)[:LONGEST]


def sctp() -> Iterator[bytes]:
    """Super-packets of SCTP, one for each tunnel."""
    seen = set()
    for record in vectorset.read(vectorset.SCTP["6.12"]):
        frame = vectorset.frame(record) + b"".join(map(bytes.fromhex, record["input"]["listed"]))
        if record["tunnel"] not in seen and len(frame) <= LONGEST:
            seen.add(record["tunnel"])
            yield frame


def vnet() -> Iterator[bytes]:
    """Packets with the virtio header they were injected with, or a 24-byte one for a UDP tunnel."""
    for record in vectorset.records():
        if record["input_source"] == "injected":
            header = bytes.fromhex(record["injected"]["vnet_hdr"])
            yield b"\0" + header + vectorset.frame(record)[: 2 * LONGEST]
    kinds = {(4, "tcp"): 1, (6, "tcp"): 4, (4, "udp"): 5, (6, "udp"): 5}
    for frame, record in zip(frames(), chosen(), strict=True):
        given = record["input"]
        if given.get("inner_network_header"):
            kind = kinds[record["inner_family"], record["inner_l4"]]
            outer = {4: 0x20, 6: 0x40}[record["outer_family"]]
            place = given["inner_network_header"]
            fields = (1, kind | outer, 0, 256, given["csum_start"], given["csum_offset"])
            header = struct.pack("<BBHHHHHIHHHH", *fields, 0, 0, 0, 0, place - 16, place)
            yield b"\3" + header + frame


def logs() -> Iterator[bytes]:
    """A few lines of each format, after the byte that names it."""
    tests = Path(__file__).resolve().parents[1]
    recorded = (tests / "kernel/data/incident-unpatched.trace").read_bytes().splitlines()
    bpftrace = (tests / "vectors/traces/bpftrace.txt").read_bytes().splitlines()
    yield b"\4" + b"\n".join(recorded[11:24])
    yield b"\3" + b"\n".join(bpftrace[:12])
    yield (
        b"\1"
        + b"0xffff888100 3 [a] kfree_skb_reason(X) netns=1 mark=0x0 proto=8 len=7 1.2.3.4:5->6\nf\n"
    )
    yield (
        b"\1"
        + b"0xffff888100 3 a:7 99 4026531840 0 eth0:2 0x0800 1600 1512 1->2 ip_rcv mac_header=6"
    )
    yield (
        b"\2"
        + b'{"skb":"0xffff88","cpu":1,"func":"f","len":7,"tuple":{"saddr":"1"},"stack":"\\na"}'
    )
    yield (
        b"\5"
        + b"[ 1.5] skb len=15 headlen=12\n mac=(68,-18) net=(50,20) trans=70\n inner(proto=4, mac=6"
    )


def captures() -> Iterator[bytes]:
    frame = next(frames())
    for order in build.ORDERS:
        for ticks in build.RESOLUTIONS:
            yield build.pcap([(5, frame), (6, b"short", 70)], order=order, ticks=ticks)
        items = [(1, b"comment"), (2, bytes(4))]
        yield (
            build.section(order)
            + build.interface(order, items=[(2, b"eth0"), (9, b"\x09"), (14, bytes(8))])
            + build.enhanced(frame, order=order, items=items)
            + build.block(5, bytes(12), order)
            + build.simple(frame, order=order)
            + build.obsolete(b"1234", order=order)
        )


def doors() -> Iterator[bytes]:
    """One and several super-packets of each kind, with nothing and with a few bytes changed."""
    for which, _ in enumerate(chosen()):
        frame = bytes([which]) + struct.pack("<H", 3000)
        yield bytes(4) + struct.pack("<HH", 1000, 0) + frame
        yield (
            b"\1"
            + bytes(3)
            + struct.pack("<HH", 500, 0)
            + frame.ljust(64, b"\0")
            + frame
            + b"\x12\7"
        )


def patches() -> Iterator[bytes]:
    """The project's own, and mails around one."""
    root = Path(__file__).resolve().parents[2]
    for path in sorted((root / "patches").glob("*.patch")):
        yield path.read_bytes()[:4000]
    diff = b"--- a/net/a.c\n+++ b/net/a.c\n@@ -1 +1 @@\n-one\n+two\n"
    mail = (
        b"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: A <a@b.c>\n"
    )
    for number in (1, 2):
        yield mail + b"Subject: [PATCH v2 %d/2] net: a\n\nText.\n---\n" % number + diff
    yield mail + b"Content-Transfer-Encoding: base64\nSubject: =?utf-8?q?a?=\n\nLS0t\n"


def guests() -> Iterator[bytes]:
    """Lines, log and frames of a cell, as a guest says and leaves them."""
    counts = dict.fromkeys(("seconds", "mss", "retransmits", "tx_dropped", "tx_packets"), 3)
    intact = dict.fromkeys(("upload_intact", "download_intact"), True)
    cell = {"scenario": "s", "traffic": "t", "error": None, "entries": {"f": 3}, **counts, **intact}
    trace = (TESTS / "kernel/data/incident-unpatched.trace").read_bytes()[:1500]
    frame = next(frames())
    head = struct.pack("<QI", 5, len(frame)) + bytes(10)
    yield b"\n====\n".join(
        [b'{"stage": "cell", "result": %s}' % json.dumps(cell).encode(), trace, head + frame]
    )
    yield b'{"stage": "end", "ok": true, "modules": {"fou": "0f"}, "packets_after": {"a": 1}}'
    yield b'{"stage": "functions", "watched": {"f": {"symbols": ["f"], "why": ""}}}'


def archives() -> Iterator[bytes]:
    """Small archives, packed and not, with names that may be and that may not."""
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        for name in ("file", "a/b/file.txt", "../file", "/file"):
            sink = io.BytesIO()
            with zipfile.ZipFile(sink, "w", method) as made:
                made.writestr(name, b"some words " * 9)
                made.writestr(zipfile.ZipInfo("other"), b"")
            yield sink.getvalue()


def results() -> Iterator[bytes]:
    """Parts as they are, with one thing and with some changed, and as a file."""
    for kind, name in enumerate(result_files.NAMES):
        yield bytes([kind])
        yield from (bytes([kind, where, where]) for where in range(0, 250, 25))
        yield bytes([kind, 9, 7, 200, 1, 3, 40])
        text = json.dumps(result_files.parts(name)[0]).encode()
        yield bytes([next(k for k in range(0x80, 0xC0) if k % 3 == kind)]) + text
        yield bytes([next(k for k in range(0x80, 0xC0) if k % 3 == kind)]) + b"[" * 5000


def sources() -> Iterator[bytes]:
    """Each piece changed, and C as it is."""
    for piece in range(2 * c_sources.COUNT):
        yield bytes([0, 0, piece, 2])
    yield bytes([1, *range(c_sources.DAMAGED)])
    before, after, _ = c_sources.edited(bytes([1, 15, 31]))
    yield b"\2" + (before + after).encode()


def configurations() -> Iterator[bytes]:
    """Each setting alone, with Kconfig files of each line; and texts."""
    for number, _ in enumerate(kernel_texts.SETTINGS):
        yield bytes([0, number, number + 1, number, number + 1])
    yield b"\1" + "".join((*kernel_texts.SETTINGS, *kernel_texts.KCONFIG)).encode()


def kernel_logs() -> Iterator[bytes]:
    """Each line alone, all of them on either side, and as a text."""
    count = len(kernel_texts.LINES) + len(kernel_texts.LEAKS)
    yield from (bytes([0, number, number]) for number in range(count))
    yield bytes([0, *range(count), *range(count)])
    yield b"\1" + "\n".join((*kernel_texts.LINES, *kernel_texts.LEAKS)).encode()


def changes() -> Iterator[bytes]:
    """The kinds of input of what changes a document: nothing, some things, another text."""
    for kind in range(4):
        yield bytes([kind])
        yield from (bytes([kind, where, where, where]) for where in range(0, 250, 10))
        yield bytes([kind]) + b'{"schema": []}'


OWN = {
    **{"capture": captures, "vnet": vnet, "trace": logs, "doors": doors, "patch": patches},
    **{"guest": guests, "progress": progress, "results": results, "parcel": archives},
    **{"checksum": checksum, "source": sources, "config": configurations, "kernel": kernel_logs},
    **dict.fromkeys(("check", "seal"), changes),
}
"""The targets whose inputs are no packets alone."""


def write(target: str, folder: Path) -> None:
    """Write the target's seeds as libFuzzer wants them: one file an input."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (folder / f"seed-{number:03}").write_bytes(seed)


if __name__ == "__main__":
    from targets import TARGETS

    for each in TARGETS:
        write(each, Path(sys.argv[1], each))
