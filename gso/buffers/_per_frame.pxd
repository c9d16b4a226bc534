"""A number for each frame of a batch, or one for all of them."""

from libc.stdint cimport int64_t

cdef struct numbers:
    const int64_t *values
    Py_ssize_t step             # 0: one for all
    int64_t one


cdef inline int64_t number_at(const numbers *taken, Py_ssize_t i) noexcept nogil:
    """The number for a frame."""
    return taken.values[i * taken.step]


# Use one number for all frames. `taken` is not to be copied after this: it points into itself.
cdef void take_one(numbers *taken, int64_t number) noexcept
# Use one number for each frame; returns the array, which must be kept alive.
cdef object take_array(numbers *taken, object values, Py_ssize_t n, object name)
