"""Frames that continue the flow of the frame before them."""

from libc.stdint cimport int64_t, uint8_t

from gso.segmentation._plan cimport job, plan
from gso.headers._walk cimport FEW_BYTES, fault

# What makes a frame a sequel of the one before
cdef struct flow:
    bint known                          # there may be one
    int64_t gso_size
    unsigned int gso_type
    Py_ssize_t words                    # of 8 bytes
    uint8_t same[FEW_BYTES]             # bits of the headers that must not differ

# make_plan(), given the plan of the frame before and its flow
cdef int next_plan(
    plan *p, flow *f, fault *why, const job *j, const uint8_t *frame, Py_ssize_t size,
    int64_t gso_size, unsigned int gso_type
) noexcept nogil
