"""Options of pcapng blocks: codes and values, as they are read, kept and written.

Numbers among them have the byte order of their section. Options that are kept are little-endian, as
the files that are written; of options that are not known here the bytes stay as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias

from gso.capture.damage import damaged
from gso.constants import Reason

Options: TypeAlias = "tuple[tuple[int, bytes], ...]"
Order: TypeAlias = Literal["<", ">"]

OPT_END = 0
OPT_COMMENT = 1

# Bytes of the numbers that each option has (draft-ietf-opsawg-pcapng, sections 4.2 and 4.3)
PACKET_NUMBERS = {2: "I", 4: "Q", 5: "Q", 6: "I", 7: "BQ", 8: "II"}
INTERFACE_NUMBERS = {8: "Q", 10: "I", 16: "Q", 17: "Q"}
_VERDICT = 7
_VERDICTS_IN_NUMBERS = (1, 2)
_CUSTOM = (2988, 2989, 19372, 19373)
_CUSTOM_NUMBERS = "I"
"""The number of the enterprise, in front of its data."""


def options(body: bytes, order: Order, offset: int) -> Iterator[tuple[int, bytes]]:
    """Code and value of each pcapng option in `body`, which is at `offset` in the file."""
    at = 0
    while len(body) - at >= 4:
        code, length = struct.unpack_from(order + "HH", body, at)
        if code == OPT_END:
            return
        if length > len(body) - at - 4:
            raise damaged(
                offset + at,
                f"option {code} of {length} bytes, but its block ends after {len(body) - at - 4}",
                "option length",
                len(body) - at - 4,
                Reason.BAD_HEADER,
            )
        yield code, body[at + 4 : at + 4 + length]
        at += 4 + (length + 3 & ~3)


def kept(found: Iterable[tuple[int, bytes]], order: Order, numbers: Mapping[int, str]) -> Options:
    """These options as they are kept, with the numbers that they have by their code."""
    if order == "<":
        return tuple(found)
    return tuple((code, _swapped(code, value, numbers)) for code, value in found)


def _swapped(code: int, value: bytes, numbers: Mapping[int, str]) -> bytes:
    kinds = _CUSTOM_NUMBERS if code in _CUSTOM else numbers.get(code, "")
    size = struct.calcsize("<" + kinds)
    if len(value) < size or (code == _VERDICT and value[0] not in _VERDICTS_IN_NUMBERS):
        return value
    return struct.pack("<" + kinds, *struct.unpack_from(">" + kinds, value)) + value[size:]


def pack_options(items: Iterable[tuple[int, bytes]]) -> bytes:
    """Options as they stand in a little-endian block, opt_endofopt included; empty for none."""
    parts = []
    for code, value in items:
        if not 0 < code < 1 << 16:
            raise ValueError(f"pcapng option {code}: codes are 1 to 65535")
        if len(value) >= 1 << 16:
            raise ValueError(f"pcapng option {code} has {len(value)} bytes, at most 65535 fit")
        parts.append(struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4))
    return b"".join(parts) + bytes(4) if parts else b""


def text_of(value: bytes) -> str:
    """The text that an option has."""
    return value.rstrip(b"\0").decode("utf-8", "replace")


def packet_options(body: bytes, order: Order, offset: int) -> tuple[str | None, Options]:
    """All comments among a packet's options, a line each, or None; and the other options."""
    texts, others = [], []
    for code, value in options(body, order, offset):
        if code == OPT_COMMENT:
            texts.append(text_of(value))
        else:
            others.append((code, value))
    return "\n".join(texts) if texts else None, kept(others, order, PACKET_NUMBERS)
