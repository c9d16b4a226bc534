# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The rules for sk_buff fields, over a structured array.

What each rule means, and what the kernel does, is told once: in `gso.rules`. Their arithmetic is in
``judge.c``.
"""

from libc.stdint cimport int64_t, uint64_t

import os

import numpy as np

cdef extern from "judge.h" nogil:
    struct gso_skb:
        pass
    struct gso_judge:
        const char *name
        void (*judge)(const gso_skb *rows, Py_ssize_t n, uint64_t *violated,
                      uint64_t *judged) noexcept nogil
    const gso_judge *gso_judge_at(size_t i)

cdef enum:
    COUNTED_BLOCK = 1024

SKB_DTYPE = np.dtype([
    ("mac_header", np.int32), ("network_header", np.int32), ("transport_header", np.int32),
    ("inner_mac_header", np.int32), ("inner_network_header", np.int32),
    ("inner_transport_header", np.int32), ("len", np.int32), ("data_len", np.int32),
    ("gso_size", np.int32), ("gso_type", np.int32), ("csum_start", np.int32),
    ("csum_offset", np.int32), ("protocol", np.int32), ("inner_protocol", np.int32),
    ("payload", np.int32), ("tnl_hlen", np.int32), ("inner_ipproto", np.int16),
    ("inner_protocol_type", np.int16), ("encapsulation", np.int16), ("ip_summed", np.int16),
    ("tunnel", np.int16), ("l4", np.int16), ("ihl", np.int16), ("doff", np.int16),
    ("zero_known", np.int16),
], align=True)
FIELDS = tuple(name for name in SKB_DTYPE.names if name != "zero_known")

# The lowest number of a field's type stands for "unknown": no kernel prints it. Rows of plain
# zeros (numpy.zeros) must not pass for packets in which everything is known to be zero: there,
# as `zero_known` is zero too, zero is unknown as well.

# In the order of the bits.
RULES = (
    "tunnel-header-negative",
    "tunnel-header-short",
    "tunnel-header-wrong",
    "tunnel-header-long",
    "inner-mac-length",
    "outer-header-order",
    "inner-header-order",
    "transport-header-unset",
    "inner-header-unset",
    "encapsulation-unmarked",
    "encapsulation-missing",
    "gso-type-contradictory",
    "gso-type-protocol",
    "inner-ipproto-handler",
    "inner-protocol-handler",
    "csum-start",
    "csum-offset",
    "uso-checksum",
    "ihl-small",
    "doff-small",
    "payload-not-larger",
    "data-len",
    "gso-by-frags",
    "uso-segments",
    "dodgy-gso-size",
    "dodgy-csum-start",
    "dodgy-tunnel-checksum",
)


cdef const gso_judge *chosen


def judge_paths():
    """Names of the implementations that this machine runs, the simplest first."""
    names = []
    while gso_judge_at(len(names)) is not NULL:
        names.append(gso_judge_at(len(names)).name.decode())
    return names


def judge_path():
    """Name of the implementation in use."""
    return chosen.name.decode()


def use_judge(name):
    """Use the implementation called `name` from now on (None: the best), for tests.

    Not every compiler makes all that `gso.simd_paths` names: what is missing here is the baseline.
    """
    global chosen
    paths = judge_paths()
    wanted = name or paths[len(paths) - 1]
    chosen = gso_judge_at(paths.index(wanted) if wanted in paths else 0)


use_judge(os.environ.get("GSO_SIMD"))


def judge_batch(rows, bint with_judged=True):
    """(violated, judged): two uint64 arrays of shape (n,), bit i for `gso.RULES[i]`.

    `judged` is None if it is not wanted.
    """
    rows = np.asarray(rows)
    if rows.dtype != SKB_DTYPE or rows.ndim != 1:
        raise TypeError(
            f"a 1-D array of gso.SKB_DTYPE is needed, this is {rows.ndim}-D of {rows.dtype}")
    rows = np.ascontiguousarray(rows)
    cdef Py_ssize_t n = rows.shape[0]
    violated = np.empty(n, np.uint64)
    judged = np.empty(n, np.uint64) if with_judged else None
    cdef uint64_t[::1] out = violated
    cdef uint64_t[::1] seen = judged
    cdef const unsigned char[::1] raw
    if n:
        raw = rows.view(np.uint8)
        with nogil:
            chosen.judge(<const gso_skb *>&raw[0], n, &out[0], &seen[0] if with_judged else NULL)
    return violated, judged


def count_bits(const uint64_t[::1] masks):
    """For each of `RULES`, how many masks have its bit set: int64 of shape (len(RULES),)."""
    counts = np.zeros(len(RULES), np.int64)
    cdef int64_t[::1] out = counts
    cdef Py_ssize_t i, start = 0, end, bit, n = masks.shape[0]
    cdef uint64_t count
    with nogil:
        # Block by block, so that a block is read from memory once.
        while start < n:
            end = min(start + COUNTED_BLOCK, n)
            for bit in range(out.shape[0]):
                count = 0
                for i in range(start, end):
                    count += masks[i] >> bit & 1
                out[bit] += <int64_t>count
            start = end
    return counts


def unknown_rows(Py_ssize_t n):
    """Array of `n` rows of SKB_DTYPE in which nothing is known yet, and a zero put in counts."""
    if n < 0:
        raise ValueError(f"there cannot be {n} rows")
    rows = np.empty(n, SKB_DTYPE)
    for name in FIELDS:
        rows[name] = np.iinfo(SKB_DTYPE[name]).min
    rows["zero_known"] = 1
    return rows
