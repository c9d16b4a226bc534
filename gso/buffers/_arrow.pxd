"""Batches handed over in Arrow's C data interface, as capsules."""

from libc.stdint cimport int64_t

# A capsule with the type of all batches: large binary, without nulls.
cdef object large_binary_schema()
# A capsule with an array of these offsets and bytes, which are the owner's.
cdef object large_binary_array(
    object owner, const void *offsets, const void *data, int64_t length
)
