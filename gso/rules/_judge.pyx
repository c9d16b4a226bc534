# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The rules for sk_buff fields, over a structured array.

`gso.rules.table` says what each rule means and what the kernel does; the arithmetic is in
``judge.c``.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from gso.buffers._signals cimport PIECE, check_signals
from gso.headers._arguments cimport as_kernel
from gso.headers._kernel cimport known_types
from gso.skb._skb cimport Skb

import os

import numpy as np

from gso.buffers._memory import new_array
from gso.rules.table import RULES
from gso.skb._skb import SKB_DTYPE
from gso.versions import REFERENCE

cdef extern from "judge.h" nogil:
    enum:
        RULE_COUNT "GSO_RULE_COUNT"
    const char **gso_rule_names
    struct gso_kernel:
        int32_t unknown
        int32_t doubtful
    struct gso_judge:
        const char *name
        void (*judge)(const Skb *rows, Py_ssize_t n, const gso_kernel *kernel, uint64_t *violated,
                      uint64_t *judged) noexcept nogil
    const gso_judge *gso_judge_at(size_t i)

cdef enum:
    COUNTED_BLOCK = 1024

cdef const gso_judge *chosen


def check_names(rules):
    """Raise ImportError unless ``judge.c`` has these rules in this order."""
    names = [gso_rule_names[i].decode() for i in range(RULE_COUNT)]
    if names != list(rules):
        raise ImportError(f"judge.c judges by {names}, gso.RULES has {list(rules)}")


check_names(RULES)


def judge_paths():
    """Names of the implementations that this CPU runs, the simplest first."""
    names = []
    while gso_judge_at(len(names)) is not NULL:
        names.append(gso_judge_at(len(names)).name.decode())
    return names


def judge_path():
    """Name of the implementation in use."""
    return chosen.name.decode()


def use_judge(name):
    """Use the implementation called `name` from now on (None: the best), for tests.

    Some compilers do not make all of them; the baseline stands in for one that is missing.
    """
    global chosen
    paths = judge_paths()
    wanted = name or paths[len(paths) - 1]
    chosen = gso_judge_at(paths.index(wanted) if wanted in paths else 0)


use_judge(os.environ.get("GSO_SIMD"))


cdef gso_kernel as_kernels(kernels) except *:
    """The facts that the judge needs of kernels, of which the packets are from one."""
    cdef unsigned int known, of_any = 0, of_all = 0xffffffff
    for kernel in kernels:
        known = known_types(as_kernel(kernel))
        of_any |= known
        of_all &= known
    return gso_kernel(<int32_t>~of_any, <int32_t>(of_any & ~of_all))


def judge_batch(rows, bint with_judged=True, kernels=(REFERENCE,)):
    """Judge rows of SKB_DTYPE: (violated, judged), uint64 of shape (n,), a bit for each rule.

    `judged` is None unless it is asked for. `kernels` are those, of `gso.versions.KERNELS`, that
    the packets may be from: what they do not agree on is not judged.
    """
    cdef gso_kernel kernel = as_kernels(kernels)
    if not isinstance(rows, (np.ndarray, np.void)):
        raise TypeError(f"an array of gso.SKB_DTYPE is needed, not {type(rows).__name__}")
    rows = np.asarray(rows)
    if rows.dtype != SKB_DTYPE or rows.ndim != 1:
        raise TypeError(
            f"a 1-D array of gso.SKB_DTYPE is needed, this is {rows.ndim}-D of {rows.dtype}")
    rows = np.ascontiguousarray(rows)
    cdef Py_ssize_t n = rows.shape[0], i = 0, some
    violated = new_array(n, np.uint64)
    judged = new_array(n, np.uint64) if with_judged else None
    cdef uint64_t[::1] out = violated
    cdef uint64_t[::1] seen = judged
    cdef const unsigned char[::1] raw
    if n:
        raw = rows.view(np.uint8)
    while i < n:
        some = min(n - i, <Py_ssize_t>(PIECE // sizeof(Skb)))
        with nogil:
            chosen.judge(
                <const Skb *>&raw[i * sizeof(Skb)], some, &kernel, &out[i],
                &seen[i] if with_judged else NULL)
        i += some
        check_signals()
    return violated, judged


def count_bits(const uint64_t[::1] masks):
    """Count for each rule the masks that have its bit: int64 of shape (len(RULES),)."""
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
