# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""A number for each frame of a batch, or one for all of them."""

from libc.stdint cimport int64_t

import numpy as np


cdef void take_one(numbers *taken, int64_t number) noexcept:
    """Use one number for all frames."""
    taken.one = number
    taken.values = &taken.one
    taken.step = 0


cdef object take_array(numbers *taken, object values, Py_ssize_t n, object name):
    """Use one number for each frame; returns the array, which must be kept alive."""
    cdef const int64_t[::1] view
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name} is an integer or an array of them, not of {array.dtype}")
    if array.shape != (n,):
        raise ValueError(f"{name} has shape {array.shape} for {n} frames")
    if n:
        # A copy, which cannot change between two passes
        array = np.array(array, np.int64)
        view = array
        taken.values = &view[0]
        taken.step = 1
    return array
