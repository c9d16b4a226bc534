# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""The Internet checksum (RFC 1071): of buffers, batches and copies, and its update (RFC 1624)."""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint16_t, uint64_t

from gso.buffers._borrow cimport borrow
from gso.buffers._frames cimport Frames, as_frames
from gso.buffers._signals cimport PIECE, add_sum, check_signals, piece_end

import os

import numpy as np

from gso.buffers._memory import new_array


cdef enum:
    BLOCK = 128  # sums at a time


cdef const gso_simd *_choose(object name) except NULL:
    """The implementation called `name`, or the best one for None."""
    cdef bytes wanted
    cdef const gso_simd *found
    if name is None:
        return gso_simd_find(NULL)
    wanted = name.encode()
    found = gso_simd_find(wanted)
    if found is NULL:
        raise ValueError(f"this machine has no {name!r} path, only {', '.join(simd_paths())}")
    return found


def simd_paths():
    """Names of the implementations that this machine runs, the simplest first."""
    names = []
    while gso_simd_at(len(names)) is not NULL:
        names.append(gso_simd_at(len(names)).name.decode())
    return names


def simd_path():
    """Name of the implementation in use: the best one unless GSO_SIMD names another."""
    return simd.name.decode()


def use_simd(name):
    """Use the implementation called `name` from now on (None: the best), for tests."""
    global simd
    simd = _choose(name)


simd = _choose(os.environ.get("GSO_SIMD") or None)


cdef inline uint64_t _seed(object initial) except? 0:
    """A caller's sum, host order and of any size, as a native one."""
    if initial < 0:
        raise ValueError(f"a partial sum is not negative, got {initial}")
    # Only 0 may become 0: the sums 0 and 0xffff are congruent but complement to different values.
    return htons(initial if initial <= 0xffff else (initial - 1) % 0xffff + 1)


def checksum(buffer, initial=0):
    """The Internet checksum of `buffer`, as it goes into a header (RFC 1071).

    An odd length counts as if a zero byte followed. `initial` is a sum to add, such as that of
    :func:`pseudo_header`. Over data that includes a right checksum the result is 0.

    Returns the complemented 16-bit sum, host order: ``result.to_bytes(2, "big")`` for the wire.
    """
    cdef Py_buffer view
    cdef uint64_t total = _seed(initial)
    borrow(buffer, &view)
    try:
        if view.len < 1 << 14:  # releasing the GIL would cost more than the sum
            total += simd.sum(<const uint8_t *>view.buf, view.len)
        else:
            with nogil:
                add_sum(&total, simd.sum, <const uint8_t *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return ntohs(<uint16_t>~fold(total))


def checksum_batch(frames, initial=0):
    """:func:`checksum` of each frame: uint16 array of shape (len(frames),), host order."""
    cdef Frames batch = as_frames(frames)
    result = new_array(batch.n, np.uint16)
    cdef uint16_t[::1] out = result
    cdef uint64_t seed = _seed(initial)
    cdef uint64_t sums[BLOCK]
    cdef Py_ssize_t k, n, end, i = 0
    while i < batch.n:
        end = piece_end(batch.off, i, batch.n)
        with nogil:
            while i < end:
                n = min(BLOCK, end - i)
                simd.sums(sums, batch.buf, batch.off + i, n)
                for k in range(n):
                    out[i + k] = ntohs(<uint16_t>~fold(seed + sums[k]))
                i += n
        check_signals()
    return result


def copy_and_checksum(destination, source, initial=0, *, stream=False):
    """Copy `source` to the start of `destination` and return its :func:`checksum`, in one pass.

    With `stream` the copy goes past the caches, which is faster for what does not fit in them.

    Raises ValueError if `destination` is shorter than `source` or they overlap.
    """
    cdef Py_buffer src, dst
    cdef uint64_t total = _seed(initial)
    cdef uint8_t *to
    cdef const uint8_t *at
    cdef Py_ssize_t left, n
    cdef bint past = stream
    borrow(source, &src)
    try:
        PyObject_GetBuffer(destination, &dst, PyBUF_WRITABLE)
        try:
            if dst.len < src.len:
                raise ValueError(f"{src.len} bytes do not fit in the {dst.len} of destination")
            to = <uint8_t *>dst.buf
            at = <const uint8_t *>src.buf
            if to < at + src.len and at < to + src.len:
                raise ValueError("source and destination overlap")
            left = src.len
            while left:
                n = min(left, PIECE)
                with nogil:
                    total += simd.stream_sum(to, at, n) if past else simd.copy_sum(to, at, n)
                    if past:
                        simd.stream_end()
                to += n
                at += n
                left -= n
                check_signals()
        finally:
            PyBuffer_Release(&dst)
    finally:
        PyBuffer_Release(&src)
    return ntohs(<uint16_t>~fold(total))


def pseudo_header(source, destination, protocol, length):
    """Sum of the pseudo header of TCP or UDP, for the `initial` of :func:`checksum`.

    Args:
        source: address in network order, 4 bytes (RFC 9293, section 3.1) or 16 (RFC 8200, 8.1).
        destination: address of the same length. With a routing header, the final one.
        protocol: IP protocol number of the transport header.
        length: bytes of transport header and data; 32 bits.

    Returns the uncomplemented sum in 16 bits, host order. It is what CHECKSUM_PARTIAL leaves in
    the checksum field.
    """
    cdef Py_buffer one, two
    cdef uint64_t total
    if not 0 <= protocol <= 255:
        raise ValueError(f"protocol {protocol} is not between 0 and 255")
    if not 0 <= length < 1 << 32:
        raise ValueError(f"length {length} is not between 0 and 4294967295")
    borrow(source, &one)
    try:
        borrow(destination, &two)
        try:
            if one.len != two.len or one.len not in (4, 16):
                raise ValueError(f"addresses have 4 or 16 bytes, not {one.len} and {two.len}")
            total = short_sum(<const uint8_t *>one.buf, one.len)
            total += short_sum(<const uint8_t *>two.buf, two.len)
        finally:
            PyBuffer_Release(&two)
    finally:
        PyBuffer_Release(&one)
    return ntohs(fold(total + htons(protocol) + htons(length >> 16) + htons(length & 0xffff)))


def checksum_update(check, old, new):
    """The checksum after header bytes changed from `old` to `new` (RFC 1624, equation 3).

    `check` and the result are checksums as they stand in the header, host order; `old` and `new`
    are buffers of even length, which may differ, and their bytes stand at even offsets.
    """
    cdef Py_buffer before, after
    cdef uint64_t total
    if not 0 <= check <= 0xffff:
        raise ValueError(f"checksum {check} is not between 0 and 65535")
    borrow(old, &before)
    try:
        borrow(new, &after)
        try:
            if before.len % 2 or after.len % 2:
                raise ValueError(f"{before.len} and {after.len} bytes are not whole 16-bit words")
            total = <uint16_t>~htons(check)
            total += <uint16_t>~fold(simd.sum(<const uint8_t *>before.buf, before.len))
            total += simd.sum(<const uint8_t *>after.buf, after.len)
        finally:
            PyBuffer_Release(&after)
    finally:
        PyBuffer_Release(&before)
    return ntohs(<uint16_t>~fold(total))
