"""Guests that are made up: what those of a hunt and of conformance would leave."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from gso.kernel.conformance.gro.compare import coalesce
from gso.kernel.conformance.gro.streams import DEVICES, Stream
from gso.kernel.guest.draws import Draws
from gso.kernel.guest.records import (
    ANSWER,
    ANSWERED,
    CHECKSUM_PARTIAL,
    HANDED,
    LENGTH,
    MERGED,
    OUTCOME,
    PACKET,
    STREAM,
    read_with_length,
    with_length,
)
from gso.kernel.machine import messages
from gso.kernel.machine.vm import VmLostError

import gso
from gso import GsoError, GsoType
from hunts import Kernel

_STACKS = 40
_DAMAGED = 7  # of so many streams, one loses a byte


def hunt(wanted: dict[str, Any], folder: Path, deadly: Collection[int] = ()) -> None:
    """Judge the stacks that are asked for, in a kernel that drops what IPVS puts into GUE.

    Raises:
        VmLostError: at a deadly stack.
    """
    kernel = Kernel("ipvs-gue", folder, known=wanted["known"])
    draws = Draws(wanted["rules"], wanted["seed"])
    numbers = wanted["stacks"] or range(wanted["first"], _STACKS, wanted["step"])
    with (folder / "progress.jsonl").open("w") as log:
        for number in numbers:
            stack = draws[number]
            event = {"stage": "stack", "number": number, "text": str(stack)}
            log.write(json.dumps(event) + "\n")
            if number in deadly:
                (folder / "console.log").write_text("BUG: it died\n")
                raise VmLostError("the VM ended without results", folder)
            line = json.dumps({"stage": "done", "number": number, **kernel.judged(stack, number)})
            messages.read(line.encode())
            log.write(line + "\n")


def answers(plan: dict[str, Any], given: bytes, folder: Path) -> dict[str, Any]:
    """Answer what conformance sends, mostly as the library does; return the guest's results."""
    kinds = {"tunnels": _segmented, "gro": _merged, "types": _refused}
    (kind,) = kinds.keys() & plan.keys()
    (folder / "metadata.txt").touch()
    (folder / "outcome.bin").write_bytes(b"".join(kinds[kind](io.BytesIO(given))))
    return {"refused": {}}


def _segmented(source: io.BytesIO) -> Iterator[bytes]:
    """Packets for the segmenting device: its answer is that of the library."""
    while head := source.read(PACKET.size):
        _, _, length = PACKET.unpack(head)
        try:
            segments = gso.segment_vnet(source.read(length), source="packet")
        except GsoError:
            yield OUTCOME.pack(errno.EINVAL, 0, 0)
        else:
            yield OUTCOME.pack(0, 0, len(segments))
            yield from (with_length(bytes(segment)) for segment in segments)


def _merged(source: io.BytesIO) -> Iterator[bytes]:
    """Streams: what the library merges, but of some a byte is missing."""
    while head := source.read(STREAM.size):
        device, count = STREAM.unpack(head)
        skipped = HANDED.size if DEVICES[device].driver else 0
        frames = tuple(read_with_length(source)[skipped:] for _ in range(count))
        made = coalesce(Stream(device, "", frames))
        lost = sum(map(len, frames)) % _DAMAGED == 0
        yield LENGTH.pack(len(made))
        for frame, size, kind in zip(made, made.gso_size, made.gso_type, strict=True):
            data = bytes(frame)[: len(frame) - lost]
            partial = CHECKSUM_PARTIAL if size and not kind & GsoType.FRAGLIST else 0
            yield MERGED.pack(len(data), int(size), int(kind) & 0xFFFF, partial) + data


def _refused(source: io.BytesIO) -> Iterator[bytes]:
    """Packets of any type: the segmenter refuses all of them."""
    while read_with_length(source):
        yield ANSWERED.pack(0, ANSWER.size) + ANSWER.pack(-errno.EINVAL, 0)
