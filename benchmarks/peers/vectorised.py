"""Segmentation in NumPy: whole batches at once, as a strong user of it would write it.

Simpler than the real thing: all packets of a batch have headers of the same shape, and the payload
and the segment size are multiples of four.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cases import Case

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Numbers = np.ndarray[Any, np.dtype[np.int64]]


def fold(total: Numbers) -> Numbers:
    """The 16-bit sums."""
    for _ in range(4):
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _sum(block: Bytes, start: int, end: int) -> Numbers:
    """Add bytes of each row as network-order words, without byte swapping: for short rows."""
    pairs = block[..., start:end]
    high = pairs[..., 0::2].sum(axis=-1, dtype=np.int64)
    return (high << 8) + pairs[..., 1::2].sum(axis=-1, dtype=np.int64)


def _payload_sum(payload: Bytes) -> Numbers:
    """The same for long rows: 32-bit words in the order of the machine, swapped at the end."""
    total = fold(payload.view(np.uint32).sum(axis=-1, dtype=np.uint64).astype(np.int64))
    return (total & 0xFF) << 8 | total >> 8


def _put(block: Bytes, at: int, value: Numbers | int) -> None:
    block[..., at] = np.asarray(value) >> 8 & 0xFF
    block[..., at + 1] = np.asarray(value) & 0xFF


def _get(block: Bytes, at: int) -> Numbers:
    return block[..., at].astype(np.int64) << 8 | block[..., at + 1]


def _addresses(block: Bytes, ip: int, version: int) -> Numbers:
    return _sum(block, ip + 12, ip + 20) if version == 4 else _sum(block, ip + 8, ip + 40)


def _finish(block: Bytes, case: Case, number: Numbers, sequence: Numbers) -> None:
    """Lengths, IDs, sequence numbers and checksums of segments of one length."""
    size = block.shape[-1]
    for ip in case.ips:
        if case.version == 6:
            _put(block, ip + 4, size - ip - 40)
            continue
        _put(block, ip + 2, size - ip)
        _put(block, ip + 4, _get(block, ip + 4) + number)
        _put(block, ip + 10, 0)
        _put(block, ip + 10, 0xFFFF - fold(_sum(block, ip, ip + 20)))
    first = _get(block, case.tcp + 4) << 16 | _get(block, case.tcp + 6)
    _put(block, case.tcp + 4, first + sequence >> 16)
    _put(block, case.tcp + 6, first + sequence)
    pseudo = _addresses(block, case.ips[-1], case.version) + 6 + size - case.tcp
    _put(block, case.tcp + 16, 0)
    total = pseudo + _sum(block, case.tcp, case.headers) + _payload_sum(block[..., case.headers :])
    _put(block, case.tcp + 16, 0xFFFF - fold(total))
    if case.udp is not None:
        _put(block, case.udp + 4, size - case.udp)
        _put(block, case.udp + 6, 0)
        # With its right checksum the TCP segment adds up to the complement of its pseudo header.
        total = _addresses(block, case.ips[0], case.version) + 17 + size - case.udp
        total += _sum(block, case.udp, case.tcp) + (0xFFFF - fold(pseudo))
        check = 0xFFFF - fold(total)
        _put(block, case.udp + 6, np.where(check == 0, 0xFFFF, check))


def with_numpy(frames: Bytes, case: Case) -> tuple[Bytes, Bytes | None]:
    """Segment all rows of `frames`: full segments (packet, number, byte), then the short ones."""
    n, mss = case.headers, case.mss
    full, rest = divmod(frames.shape[1] - n, mss)
    headers = frames[:, :n]
    long = np.empty((len(frames), full, n + mss), np.uint8)
    long[:, :, :n] = headers[:, None]
    long[:, :, n:] = frames[:, n : n + full * mss].reshape(-1, full, mss)
    long[:, : full if rest else full - 1, case.tcp + 13] &= 0xF6
    number = np.arange(full)
    _finish(long, case, number, number * mss)
    if not rest:
        return long, None
    short = np.empty((len(frames), n + rest), np.uint8)
    short[:, :n] = headers
    short[:, n:] = frames[:, n + full * mss :]
    _finish(short, case, np.full(1, full), np.full(1, full * mss))
    return long, short


def as_list(result: tuple[Bytes, Bytes | None]) -> list[bytes]:
    """The segments of the first packet."""
    long, short = result
    segments = [row.tobytes() for row in long[0]]
    return segments if short is None else [*segments, short[0].tobytes()]
